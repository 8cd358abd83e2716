"""Systems Manager: its own provider knows which documents, nodes and parameters a call touches, and their tags."""

from testbed.aws.iam.evaluate import Need
from testbed.aws.iam.needs.where import Where


def needs(operation: str, request: dict, where: Where) -> list[Need]:
    """The needs of a call to Systems Manager."""
    from testbed.aws.ssm import authorization

    found = []
    for action, arn, context in authorization.resources_for(operation, request, where.account, where.region):
        # A service's refusal of an action without resources names the service's own ARN.
        shown = where.arn("ssm", "*") if arn == "*" and action.startswith("ssm:") else None
        found.append(Need(action, arn, context, shown))
    return found
