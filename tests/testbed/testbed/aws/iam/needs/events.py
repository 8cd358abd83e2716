"""EventBridge (docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html)."""

from localstack.services.events.models import events_stores

from testbed.aws.iam.evaluate import Need
from testbed.aws.iam.needs.passrole import pass_role
from testbed.aws.iam.needs.where import Where, tag_context, tags_of

_NO_RESOURCE = {
    "ListRules",
    "ListEventBuses",
    "ListRuleNamesByTarget",
    "ListArchives",
    "ListConnections",
    "ListReplays",
    "TestEventPattern",
}


def rule_arn(request: dict, where: Where) -> str:
    """The ARN of the rule that a request names by `Name` or `Rule`, on its bus."""
    name = request.get("Name") or request.get("Rule")
    bus = (request.get("EventBusName") or "default").rsplit("/", 1)[-1]
    return where.arn("events", f"rule/{name}" if bus == "default" else f"rule/{bus}/{name}")


def _tags(arn: str, where: Where) -> dict[str, str]:
    return tags_of(events_stores[where.account][where.region].TAGS.list_tags_for_resource(arn)["Tags"])


def needs(operation: str, request: dict, where: Where) -> list[Need]:
    """The needs of a call to EventBridge."""
    action = f"events:{operation}"
    if operation in _NO_RESOURCE:
        return [Need(action, "*")]
    if operation == "PutEvents":
        buses = {(entry.get("EventBusName") or "default").rsplit("/", 1)[-1] for entry in request.get("Entries") or []}
        return [Need(action, where.arn("events", f"event-bus/{bus}")) for bus in sorted(buses)]
    if request.get("ResourceARN"):
        context = tag_context("aws:ResourceTag", _tags(request["ResourceARN"], where))
        context |= tag_context("aws:RequestTag", tags_of(request.get("Tags")))
        if request.get("TagKeys"):
            context["aws:TagKeys"] = list(request["TagKeys"])
        return [Need(action, request["ResourceARN"], context)]
    if request.get("Rule") or operation.endswith("Rule"):
        return _rule(action, operation, request, where)
    name = request.get("Name")
    return [Need(action, where.arn("events", f"event-bus/{name}") if name else "*")]


def _rule(action: str, operation: str, request: dict, where: Where) -> list[Need]:
    arn = rule_arn(request, where)
    context = {**tag_context("aws:ResourceTag", _tags(arn, where)), **tag_context("aws:RequestTag", tags_of(request.get("Tags")))}
    if operation == "PutTargets":
        context["events:TargetArn"] = [target["Arn"] for target in request.get("Targets") or []]
    found = [Need(action, arn, context)]
    if operation == "PutRule" and request.get("Tags"):
        found.append(Need("events:TagResource", arn, context))
    roles = [request.get("RoleArn"), *(target.get("RoleArn") for target in request.get("Targets") or [])]
    return found + [pass_role(role, "events.amazonaws.com") for role in roles if role]
