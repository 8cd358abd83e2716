"""SendCommand, CancelCommand, ListCommands, ListCommandInvocations, GetCommandInvocation."""

from datetime import datetime

from .. import command_views as views
from .. import verdict
from ..errors import ServiceError, validation
from ..model import Account
from ..paging import page
from ..records import STATUS, Command, Invocation

#: Status values that the filter takes (API reference, ``CommandFilter``).
_COMMAND_STATUS = (
    "Pending", "InProgress", "Success", "Cancelled", "Failed", "TimedOut", "AccessDenied", "DeliveryTimedOut",
    "ExecutionTimedOut", "Incomplete", "NoInstancesInTag", "LimitExceeded",
)  # fmt: skip
_INVOCATION_STATUS = (
    "Pending", "InProgress", "Delayed", "Success", "Cancelled", "Failed", "TimedOut", "AccessDenied", "DeliveryTimedOut",
    "ExecutionTimedOut", "Undeliverable", "InvalidPlatform", "Terminated",
)  # fmt: skip


def send_command(account: Account, request: dict) -> dict:
    return {"Command": views.command(account.commands.send(request))}


def cancel_command(account: Account, request: dict) -> dict:
    account.commands.cancel(request["CommandId"], request.get("InstanceIds") or [])
    return {}


def list_commands(account: Account, request: dict) -> dict:
    """Newest first; a command is there as soon as it was sent."""
    matches = _CommandFilter(request, _COMMAND_STATUS)
    if command_id := request.get("CommandId"):
        found = [account.commands.get(command_id)]
    else:
        found = account.commands.newest_first()
    found = [command for command in found if matches.command(command) and _sent_to(command, request)]
    chosen, token = page(found, request, lambda command: command.id)
    return _with_token({"Commands": [views.command(command) for command in chosen]}, token)


def list_command_invocations(account: Account, request: dict) -> dict:
    """By command, newest first; an invocation is there only some time after its command was sent."""
    matches = _CommandFilter(request, _INVOCATION_STATUS, stages=False)
    if command_id := request.get("CommandId"):
        commands = [account.commands.find(command_id) or account.commands.get(command_id)]
    else:
        commands = account.commands.newest_first()
    found = [
        (command, invocation)
        for command in commands
        if _visible(account, command) and matches.request(command)
        for invocation in command.invocations.values()
        if request.get("InstanceId") in (None, invocation.node_id) and matches.invocation(invocation)
    ]
    chosen, token = page(found, request, lambda pair: f"{pair[0].id}/{pair[1].node_id}")
    details = bool(request.get("Details"))
    return _with_token({"CommandInvocations": [views.invocation(account, c, i, details) for c, i in chosen]}, token)


def get_command_invocation(account: Account, request: dict) -> dict:
    """``InvocationDoesNotExist`` also right after SendCommand, until the service has caught up with itself."""
    command = account.commands.find(request["CommandId"])
    invocation = command.invocations.get(request["InstanceId"]) if command else None
    if command is None or invocation is None or not _visible(account, command):
        raise ServiceError("InvocationDoesNotExist", "")
    return views.result(account, command, invocation, request.get("PluginName"))


class _CommandFilter:
    """``Filters`` of the two listings: what of a command, and of its status, is wanted."""

    def __init__(self, request: dict, statuses: tuple[str, ...], stages: bool = True):
        self._after: float | None = None
        self._before: float | None = None
        self._document = self._status = self._stage = None
        for each in request.get("Filters") or []:
            key, value = each["key"], each["value"]
            if key == "InvokedAfter":
                self._after = _instant(value)
            elif key == "InvokedBefore":
                self._before = _instant(value)
            elif key == "DocumentName":
                self._document = value
            elif key == "Status":
                self._status = _one_of(value, statuses, key)
            elif key == "ExecutionStage" and stages:
                self._stage = _one_of(value, ("Executing", "Complete"), key)
            else:
                raise ServiceError("InvalidFilterKey", f"The filter key {key} is not valid for this operation.")

    def command(self, command: Command) -> bool:
        return self.request(command) and self._has_status(verdict.details(command)) and self._at_stage(command)

    def invocation(self, invocation: Invocation) -> bool:
        return self._has_status(invocation.details)

    def request(self, command: Command) -> bool:
        """Whether the command itself is meant, whatever became of it."""
        return (
            (self._after is None or command.requested >= self._after)
            and (self._before is None or command.requested <= self._before)
            and self._document in (None, command.document_name)
        )

    def _has_status(self, details: str) -> bool:
        return self._status in (None, details, STATUS[details])

    def _at_stage(self, command: Command) -> bool:
        return self._stage is None or (self._stage == "Complete") == command.done


def _visible(account: Account, command: Command) -> bool:
    system = account.system
    return system.scheduler.now() >= command.requested + system.eventual.invocation_visible_seconds


def _sent_to(command: Command, request: dict) -> bool:
    return request.get("InstanceId") is None or request["InstanceId"] in command.invocations


def _instant(text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError as error:
        raise validation(f"The filter value {text} is not a timestamp, such as 2026-07-07T00:00:00Z.") from error


def _one_of(value: str, allowed: tuple[str, ...], key: str) -> str:
    if value not in allowed:
        raise validation(f"The filter value {value} is not valid for {key}: one of {', '.join(allowed)}.")
    return value


def _with_token(response: dict, token: str | None) -> dict:
    return response | ({"NextToken": token} if token else {})


OPERATIONS = {
    "SendCommand": send_command,
    "CancelCommand": cancel_command,
    "ListCommands": list_commands,
    "ListCommandInvocations": list_command_invocations,
    "GetCommandInvocation": get_command_invocation,
}
