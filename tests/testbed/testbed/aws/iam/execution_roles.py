"""What Step Functions wants of the execution role itself, before and beside the calls of its tasks.

docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html#connect-stepfunctions-sync-iam (the managed rule of nested
executions), …/dg/cw-logs.html#cloudwatch-iam-policy (log delivery), …/dg/state-map-distributed.html (children).
"""

import json
from collections.abc import Iterator

from testbed.aws.iam.evaluate import Need, Refusal, refusal
from testbed.aws.iam.needs.where import Where
from testbed.aws.iam.principals import Principal, role_by_arn

MANAGED_RULE = "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
NESTED = ("arn:aws:states:::states:startExecution.sync", "arn:aws:states:::states:startExecution.sync:2")

LOG_DELIVERY = (
    "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries", "PutResourcePolicy",
    "DescribeResourcePolicies", "DescribeLogGroups",
)  # fmt: skip


def principal_of(role_arn: str) -> Principal | None:
    """The role as a caller, under no session in particular."""
    entity = role_by_arn(role_arn)
    if entity is None:
        return None
    _, _, _, _, account, _ = role_arn.split(":", 5)
    name = entity.role["RoleName"]
    return Principal("AssumedRole", role_arn, f"arn:aws:sts::{account}:assumed-role/{name}/states", account, name)


def lacks(role_arn: str, need: Need, region: str) -> Refusal | None:
    """Why the role may not; None when it may."""
    principal = principal_of(role_arn)
    return refusal(principal, need, region) if principal else Refusal(need, "identity-based policy", explicit=False)


def can_await_children(role_arn: str, definition: str, where: Where) -> bool:
    """Whether the role may keep the rule that tells Step Functions of nested executions' ends; true when the definition has none."""
    if not any(resource in NESTED for resource in _resources(json.loads(definition))):
        return True
    rule = where.arn("events", MANAGED_RULE)
    return not any(lacks(role_arn, Need(f"events:{action}", rule), where.region) for action in ("PutTargets", "PutRule", "DescribeRule"))


def can_deliver_logs(role_arn: str, logging: dict | None, where: Where) -> bool:
    """Whether the role may set up log delivery; true when the state machine does not log."""
    if not logging or logging.get("level", "OFF") == "OFF":
        return True
    return not any(lacks(role_arn, Need(f"logs:{action}", "*"), where.region) for action in LOG_DELIVERY)


def may_start_children(role_arn: str, state_machine_arn: str, region: str) -> Refusal | None:
    """Why a Distributed Map's role may not start the map's children; None when it may."""
    return lacks(role_arn, Need("states:StartExecution", state_machine_arn), region)


def _resources(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("Type") == "Task" and isinstance(value.get("Resource"), str):
            yield value["Resource"]
        for item in value.values():
            yield from _resources(item)
    elif isinstance(value, list):
        for item in value:
            yield from _resources(item)
