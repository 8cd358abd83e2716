"""Step Functions (docs.aws.amazon.com/service-authorization/latest/reference/list_awsstepfunctions.html).

Versions and aliases are authorised by the state machine's own ARN with the key states:StateMachineQualifier, and `publish` needs
states:PublishStateMachineVersion too (docs.aws.amazon.com/step-functions/latest/dg/auth-version-alias.html).
"""

from localstack.services.stepfunctions.backend.models import sfn_stores
from localstack.services.stepfunctions.backend.state_machine import StateMachineRevision

from testbed.aws.iam.evaluate import Need
from testbed.aws.iam.needs.passrole import pass_role
from testbed.aws.iam.needs.where import Where, tag_context, tags_of

STATES = "states.amazonaws.com"

NO_RESOURCE = {
    "ListActivities", "ListStateMachines", "SendTaskFailure", "SendTaskHeartbeat", "SendTaskSuccess",
    "TestState", "ValidateStateMachineDefinition",
}  # fmt: skip

_RESOURCE_FIELDS = (
    "stateMachineArn", "stateMachineVersionArn", "stateMachineAliasArn", "executionArn", "mapRunArn", "activityArn", "resourceArn",
)  # fmt: skip


def unqualified(arn: str) -> tuple[str, str | None]:
    """A state machine's ARN without its version or alias, and that qualifier."""
    parts = arn.split(":")
    if len(parts) == 8 and parts[5] == "stateMachine":
        return ":".join(parts[:7]), parts[7]
    return arn, None


def resource_tags(arn: str, where: Where) -> dict[str, str]:
    """The tags of a state machine; nothing when there is none."""
    machine = sfn_stores[where.account][where.region].state_machines.get(arn)
    if not isinstance(machine, StateMachineRevision):
        return {}
    return {tag["key"]: tag["value"] for tag in machine.tag_manager.to_tag_list()}


def needs(operation: str, request: dict, where: Where) -> list[Need]:
    """The needs of a call to Step Functions."""
    action = f"states:{operation}"
    if operation in NO_RESOURCE:
        return [Need(action, "*")]
    if operation == "CreateStateMachine":
        return _create(request, where)
    if operation == "CreateActivity":
        return [Need(action, where.arn("states", f"activity:{request['name']}"))]
    if operation == "CreateStateMachineAlias":
        routes = request.get("routingConfiguration") or [{}]
        arn, _ = unqualified(routes[0].get("stateMachineVersionArn", "*"))
        return [Need(action, arn)]
    target = next((request[field] for field in _RESOURCE_FIELDS if request.get(field)), "*")
    arn, qualifier = unqualified(target)
    context: dict[str, object] = tag_context("aws:ResourceTag", resource_tags(arn, where))
    if qualifier:
        context["states:StateMachineQualifier"] = qualifier
    if operation in ("TagResource", "UntagResource"):
        context |= tag_context("aws:RequestTag", tags_of(request.get("tags"), "key", "value"))
        if request.get("tagKeys"):
            context["aws:TagKeys"] = list(request["tagKeys"])
    found = [Need(action, arn, context)]
    if operation == "UpdateStateMachine":
        if request.get("publish"):
            found.append(Need("states:PublishStateMachineVersion", arn, context))
        if request.get("roleArn"):
            found.append(pass_role(request["roleArn"], STATES, arn))
    return found


def _create(request: dict, where: Where) -> list[Need]:
    arn = where.arn("states", f"stateMachine:{request['name']}")
    context = tag_context("aws:RequestTag", tags_of(request.get("tags"), "key", "value"))
    found = [Need("states:CreateStateMachine", arn, context)]
    if request.get("tags"):
        found.append(Need("states:TagResource", arn, context))
    if request.get("publish"):
        found.append(Need("states:PublishStateMachineVersion", arn, context))
    found.append(pass_role(request["roleArn"], STATES, arn))
    return found
