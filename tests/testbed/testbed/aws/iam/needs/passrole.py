"""iam:PassRole: a caller that hands a role to a service must be allowed to pass that role to that service."""

from testbed.aws.iam.evaluate import Need


def pass_role(role_arn: str, service: str, resource_arn: str | None = None) -> Need:
    """The need to pass a role to `service` (`states.amazonaws.com`), for a resource if the service tells which."""
    context: dict[str, object] = {"iam:PassedToService": service}
    if resource_arn:
        context["iam:AssociatedResourceArn"] = resource_arn
    return Need("iam:PassRole", role_arn, context)
