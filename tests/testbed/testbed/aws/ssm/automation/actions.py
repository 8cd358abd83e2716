"""What each action of a runbook does. They run without the model's lock: their calls come back to it as anybody's do.

Source: user guide, "Systems Manager Automation actions reference".
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from . import branching
from .expressions import Unresolved, select, text
from .records import StepExecution

if TYPE_CHECKING:
    from .engine import Engine

#: Virtual seconds between two looks at what an action waits for.
POLL_SECONDS = 5.0
_COMMAND_OPEN = ("Pending", "InProgress", "Cancelling")
_DURATION = re.compile(r"^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$")


class Failed(Exception):
    """The action failed; ``kind`` is FailureDetails.FailureType."""

    def __init__(self, message: str, kind: str = "Action"):
        super().__init__(message)
        self.kind = kind


class Jump(Exception):
    """The action says which step is next."""

    def __init__(self, step: str):
        super().__init__(step)
        self.step = step


def run(engine: "Engine", step: StepExecution, inputs: dict) -> dict[str, list[str]]:
    """Does one step's action and answers its outputs; ``Failed``, ``Jump``, or what ``Engine.wait`` raises."""
    try:
        return _ACTIONS[step.step.action](engine, step, inputs)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        kind = {"AccessDeniedException": "Permission", "AccessDenied": "Permission", "ThrottlingException": "Throttling"}.get(code, "Action")
        raise Failed(f"{error}", kind) from error
    except (BotoCoreError, Unresolved, ValueError, KeyError, TypeError) as error:
        raise Failed(f"{error}") from error


def _sleep(engine: "Engine", step: StepExecution, inputs: dict) -> dict:
    if "Timestamp" in inputs:
        moment = datetime.fromisoformat(str(inputs["Timestamp"]).replace("Z", "+00:00"))
        engine.wait_until(moment.timestamp())
        return {}
    found = _DURATION.match(str(inputs["Duration"]))
    if found is None:
        raise Failed(f"{inputs['Duration']} is not a duration in ISO 8601 format.")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    engine.wait(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    return {}


def _run_command(engine: "Engine", step: StepExecution, inputs: dict) -> dict:
    """Sends the command and follows it to its end; a stop of the execution cancels the command."""
    ssm = engine.client("ssm")
    arguments = {name: value if isinstance(value, list) else [text(value)] for name, value in (inputs.get("Parameters") or {}).items()}
    request = {key: value for key, value in inputs.items() if key != "Parameters"}
    for name in ("MaxConcurrency", "MaxErrors"):
        if name in request:
            request[name] = text(request[name])
    if "TimeoutSeconds" in request:
        request["TimeoutSeconds"] = int(request["TimeoutSeconds"])
    command = ssm.send_command(**request, **({"Parameters": arguments} if arguments else {}))["Command"]["CommandId"]
    engine.note(step, {"CommandId": [command]})
    try:
        while (shown := _command(ssm, command))["Status"] in _COMMAND_OPEN:
            engine.wait(POLL_SECONDS)
    except Exception:
        ssm.cancel_command(CommandId=command)
        raise
    invocations = _invocations(ssm, command)
    plugins = [plugin for invocation in invocations for plugin in invocation["CommandPlugins"]]
    code = next((plugin["ResponseCode"] for plugin in plugins if plugin["ResponseCode"] != 0), 0)
    outputs = {
        "CommandId": [command],
        "Status": [shown["Status"]],
        "ResponseCode": [str(code)],
        "Output": ["".join(plugin["Output"] for plugin in plugins)],
        "InstanceIds": [invocation["InstanceId"] for invocation in invocations],
    }
    engine.note(step, {name: values for name, values in outputs.items() if values}, str(code))
    if shown["Status"] != "Success":
        raise Failed(f"Command {command} ended with the status {shown['StatusDetails']}.")
    return step.outputs


def _command(ssm, command: str) -> dict:
    return ssm.list_commands(CommandId=command)["Commands"][0]


def _invocations(ssm, command: str) -> list[dict]:
    pages = ssm.get_paginator("list_command_invocations").paginate(CommandId=command, Details=True)
    return [invocation for page in pages for invocation in page["CommandInvocations"]]


def _api(engine: "Engine", inputs: dict) -> dict:
    """Calls the API that the inputs name with those that are its own."""
    own = {key: value for key, value in inputs.items() if key not in ("Service", "Api", "PropertySelector", "DesiredValues")}
    client = engine.client(str(inputs["Service"]).lower())
    wanted = str(inputs["Api"]).replace("_", "").lower()
    for method, operation in client.meta.method_to_api_mapping.items():
        if operation.lower() == wanted:
            answer = getattr(client, method)(**own)
            answer.pop("ResponseMetadata", None)
            return answer
    raise Failed(f"{inputs['Service']} has no API {inputs['Api']}.")


def _execute_api(engine: "Engine", step: StepExecution, inputs: dict) -> dict:
    answer = _api(engine, inputs)
    outputs: dict[str, list[str]] = {}
    for output in step.step.outputs:
        found = select(answer, output.selector)
        values = found[0] if len(found) == 1 and isinstance(found[0], list) else found
        outputs[output.name] = [_spelt(value) for value in values]
    engine.note(step, {name: values for name, values in outputs.items() if values})
    return step.outputs


def _spelt(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else text(value)


def _met(engine: "Engine", inputs: dict) -> tuple[bool, list[str]]:
    """Whether what the selector finds is one of the values desired, and what it found."""
    found = [_spelt(value) for value in select(_api(engine, inputs), str(inputs["PropertySelector"]))]
    desired = [_spelt(value) for value in inputs["DesiredValues"]]
    return bool(found) and all(value in desired for value in found), found


def _assert_property(engine: "Engine", step: StepExecution, inputs: dict) -> dict:
    met, found = _met(engine, inputs)
    if not met:
        raise Failed(f"Property value from the API output is not in the desired values. Found: {found}.", "Verification")
    return {}


def _wait_for_property(engine: "Engine", step: StepExecution, inputs: dict) -> dict:
    while not _met(engine, inputs)[0]:
        engine.wait(POLL_SECONDS)
    return {}


def _branch(engine: "Engine", step: StepExecution, inputs: dict) -> dict:
    for choice in inputs["Choices"]:
        if branching.holds(choice):
            raise Jump(str(choice["NextStep"]))
    if inputs.get("Default"):
        raise Jump(str(inputs["Default"]))
    return {}


def _pause(engine: "Engine", step: StepExecution, inputs: dict) -> dict:
    """Waits for the signal Resume."""
    engine.wait_for_people(step, lambda: any(kind == "Resume" for kind, _ in step.signals))
    return {}


def _approve(engine: "Engine", step: StepExecution, inputs: dict) -> dict:
    """Waits for as many approvals as it needs, each of another approver, or for one rejection."""
    needed = int(inputs.get("MinRequiredApprovals", 1))

    def decided() -> bool:
        kinds = [kind for kind, _ in step.signals]
        return "Reject" in kinds or kinds.count("Approve") >= needed

    engine.wait_for_people(step, decided)
    rejected = any(kind == "Reject" for kind, _ in step.signals)
    engine.note(step, {"ApprovalStatus": ["Rejected" if rejected else "Approved"]})
    if rejected:
        raise Failed("The approval was rejected.")
    return step.outputs


_ACTIONS: dict[str, Callable[["Engine", StepExecution, dict], dict]] = {
    "aws:approve": _approve,
    "aws:assertAwsResourceProperty": _assert_property,
    "aws:branch": _branch,
    "aws:executeAwsApi": _execute_api,
    "aws:pause": _pause,
    "aws:runCommand": _run_command,
    "aws:sleep": _sleep,
    "aws:waitForAwsResourceProperty": _wait_for_property,
}
