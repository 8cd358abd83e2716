"""Automation: Start, Stop, Get, Describe, SendAutomationSignal."""

from datetime import datetime

from ..automation.expressions import text
from ..automation.records import Execution, StepExecution
from ..command_views import instant
from ..errors import ServiceError
from ..model import Account
from ..paging import page


def start_automation_execution(account: Account, request: dict) -> dict:
    return {"AutomationExecutionId": account.automations.start(request).id}


def stop_automation_execution(account: Account, request: dict) -> dict:
    account.automations.stop(request["AutomationExecutionId"], request.get("Type", "Cancel"))
    return {}


def send_automation_signal(account: Account, request: dict) -> dict:
    account.automations.signal(request["AutomationExecutionId"], request["SignalType"])
    return {}


def get_automation_execution(account: Account, request: dict) -> dict:
    """With all its steps, those to come included."""
    execution = account.automations.get(request["AutomationExecutionId"])
    counts = {status: sum(step.status == status for step in execution.steps) for status in ("Success", "Failed", "Cancelled", "TimedOut")}
    shown = _execution(execution) | {
        "StepExecutions": [_step(step) for step in execution.steps],
        "StepExecutionsTruncated": False,
        "Parameters": {name: [text(v) for v in (value if isinstance(value, list) else [value])]
                       for name, value in execution.parameters.items() if value is not None},
        "ProgressCounters": {
            "TotalSteps": len(execution.steps),
            "SuccessSteps": counts["Success"],
            "FailedSteps": counts["Failed"],
            "CancelledSteps": counts["Cancelled"],
            "TimedOutSteps": counts["TimedOut"],
        },
    }  # fmt: skip
    return {"AutomationExecution": shown}


def describe_automation_executions(account: Account, request: dict) -> dict:
    """Newest first."""
    filters = request.get("Filters") or []
    found = [e for e in account.automations.newest_first() if all(_meets(e, f["Key"], f["Values"]) for f in filters)]
    chosen, token = page(found, request, lambda e: e.id)
    listed = [_execution(execution) | {"AutomationType": "Local", "LogFile": ""} for execution in chosen]
    return {"AutomationExecutionMetadataList": listed} | ({"NextToken": token} if token else {})


def describe_automation_step_executions(account: Account, request: dict) -> dict:
    """In the runbook's order, or the reverse."""
    execution = account.automations.get(request["AutomationExecutionId"])
    filters = request.get("Filters") or []
    found = [s for s in execution.steps if all(_step_meets(s, f["Key"], f["Values"]) for f in filters)]
    if request.get("ReverseOrder"):
        found.reverse()
    chosen, token = page(found, request, lambda s: s.id)
    return {"StepExecutions": [_step(step) for step in chosen]} | ({"NextToken": token} if token else {})


def _execution(execution: Execution) -> dict:
    """What AutomationExecution and AutomationExecutionMetadata have in common."""
    current = execution.current
    optional = {
        "ExecutionStartTime": execution.started and instant(execution.started),
        "ExecutionEndTime": execution.ended and instant(execution.ended),
        "CurrentStepName": current and current.step.name,
        "CurrentAction": current and current.step.action,
        "FailureMessage": execution.failure,
        "Outputs": execution.outputs,
        "ParentAutomationExecutionId": execution.parent,
        "Target": execution.target,
    }
    return {
        "AutomationExecutionId": execution.id,
        "DocumentName": execution.document,
        "DocumentVersion": execution.version,
        "AutomationExecutionStatus": execution.status,
        "ExecutedBy": execution.caller.arn,
        "Mode": "Auto",
        "ResolvedTargets": {"ParameterValues": execution.resolved[:50], "Truncated": len(execution.resolved) > 50},
        "Targets": [],
    } | execution.rate | {name: value for name, value in optional.items() if value}


def _step(step: StepExecution) -> dict:
    own = step.step
    shown = {
        "StepName": own.name,
        "Action": own.action,
        "StepExecutionId": step.id,
        "StepStatus": step.status,
        "OnFailure": own.on_failure,
        "MaxAttempts": own.max_attempts,
        "IsEnd": own.is_end,
        "IsCritical": own.is_critical,
        "Inputs": step.inputs,
        "Outputs": step.outputs,
    }
    optional = {
        "TimeoutSeconds": own.timeout,
        "NextStep": own.next_step,
        "ExecutionStartTime": step.started and instant(step.started),
        "ExecutionEndTime": step.ended and instant(step.ended),
        "ResponseCode": step.response_code,
        "FailureMessage": step.failure,
    }
    shown |= {name: value for name, value in optional.items() if value}
    if step.failure:
        shown["FailureDetails"] = {"FailureStage": "Invocation", "FailureType": step.failure_type, "Details": {}}
    return shown


def _meets(execution: Execution, key: str, values: list[str]) -> bool:
    current = execution.current
    match key:
        case "DocumentNamePrefix":
            return any(execution.document.startswith(value) for value in values)
        case "ExecutionStatus":
            return execution.status in values
        case "ExecutionId":
            return execution.id in values
        case "CurrentAction":
            return current is not None and current.step.action in values
        case "TagKey":
            return any(value in execution.tags for value in values)
        case "ParentExecutionId":
            return execution.parent in values
        case "AutomationType":
            return "Local" in values
        case "StartTimeBefore" | "StartTimeAfter":
            return _timely(execution.started, key, values)
    return False  # none of these executions has a resource group, a subtype or an OpsItem


def _step_meets(step: StepExecution, key: str, values: list[str]) -> bool:
    match key:
        case "StepExecutionStatus":
            return step.status in values
        case "StepExecutionId":
            return step.id in values
        case "StepName":
            return step.step.name in values
        case "Action":
            return step.step.action in values
        case "StartTimeBefore" | "StartTimeAfter":
            return _timely(step.started, key, values)
    return False


def _timely(started: float | None, key: str, values: list[str]) -> bool:
    try:
        limit = datetime.fromisoformat(values[0].replace("Z", "+00:00")).timestamp()
    except ValueError as error:
        raise ServiceError("InvalidFilterValue", f"The filter value {values[0]} is not valid.") from error
    return started is not None and (started <= limit if key == "StartTimeBefore" else started >= limit)


OPERATIONS = {
    "StartAutomationExecution": start_automation_execution,
    "StopAutomationExecution": stop_automation_execution,
    "SendAutomationSignal": send_automation_signal,
    "GetAutomationExecution": get_automation_execution,
    "DescribeAutomationExecutions": describe_automation_executions,
    "DescribeAutomationStepExecutions": describe_automation_step_executions,
}
