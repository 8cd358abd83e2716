"""Sending and cancelling commands: what AWS accepts, and what it refuses at once.

Errors: ``InvalidOutputFolder``, ``InvalidDocument``, ``InvalidDocumentVersion``, ``InvalidInstanceId``, ``DuplicateInstanceId``,
``InvalidParameters``, ``UnsupportedPlatformType``, ``MaxDocumentSizeExceeded``, ``InvalidCommandId``.
There is no client token: the same request sent twice is two commands.
"""

import uuid
from typing import TYPE_CHECKING

from . import arguments, targets, uploads
from .agent import timeout_of
from .content import Content
from .delivery import Delivery
from .documents import Version
from .errors import ServiceError, not_built, validation
from .records import Command

if TYPE_CHECKING:
    from .model import Account

#: Seconds; SendCommand's TimeoutSeconds left out.
DEFAULT_DELIVERY_TIMEOUT = 3_600

_NOT_BUILT = {
    "NotificationConfig": "notifications of commands",
    "ServiceRoleArn": "notifications of commands",
    "AlarmConfiguration": "alarms of commands",
}


class Commands:
    """The commands of one account and Region, newest last."""

    def __init__(self, account: "Account"):
        self._account, self._system = account, account.system
        self._commands: dict[str, Command] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._runs: dict[str, Command] = {}

    def send(self, request: dict) -> Command:
        """SendCommand."""
        _refuse_not_built(request)
        document = self._account.documents.get(request["DocumentName"])
        if document.type != "Command":
            raise ServiceError("InvalidDocument", f"The document {document.name} is of type {document.type}, not Command.")
        version = document.version(request.get("DocumentVersion"))
        _check_hash(request, version)
        ids = self._ids(request, version.content)
        bound = arguments.bind(version.content, request.get("Parameters") or {})
        uploads.check(self._account, request)
        command = self._record(request, version.content, bound)
        delivery = Delivery(self._account, command)
        self._commands[command.id], self._deliveries[command.id] = command, delivery
        if ids is not None:
            delivery.to_ids(ids)
        else:
            delivery.to_targets(self._system.eventual.target_resolution_seconds)
        return command

    def cancel(self, command_id: str, ids: list[str]) -> None:
        """CancelCommand; a command that has ended stays what it is."""
        command = self.get(command_id)
        if len(set(ids)) < len(ids):
            raise ServiceError("DuplicateInstanceId", "You can't specify an instance ID in more than one place.")
        if strangers := [i for i in ids if i not in command.invocations]:
            raise ServiceError("InvalidInstanceId", f"The command was not sent to {', '.join(strangers)}.")
        if command.done:
            return
        command.cancelled = command.cancelled or not ids or set(ids) == set(command.invocations)
        self._deliveries[command_id].cancel(ids or list(command.invocations))

    def get(self, command_id: str) -> Command:
        """A command that was sent here, else ``InvalidCommandId``."""
        if command_id not in self._commands:
            raise ServiceError("InvalidCommandId", f"The command ID {command_id} is not valid.")
        return self._commands[command_id]

    def find(self, command_id: str) -> Command | None:
        """A command that was sent, or a run of an association."""
        return self._commands.get(command_id) or self._runs.get(command_id)

    def remember(self, run: Command) -> None:
        """A run of an association: its output is read as a command's, but it is not among the commands."""
        self._runs[run.id] = run

    def newest_first(self) -> list[Command]:
        return list(reversed(self._commands.values()))

    def _ids(self, request: dict, content: Content) -> list[str] | None:
        """The nodes named, checked; None when Targets are to be resolved."""
        ids, wanted = request.get("InstanceIds") or [], request.get("Targets") or []
        if bool(ids) == bool(wanted):
            raise ServiceError("InvalidParameters", "Specify either InstanceIds or Targets, and not both.")
        if wanted:
            targets.check(wanted)
            return None
        if len(set(ids)) < len(ids):
            raise ServiceError("DuplicateInstanceId", "You can't specify an instance ID in more than one place.")
        found = {node_id: self._account.node(node_id) for node_id in ids}
        if unmanaged := [node_id for node_id, node in found.items() if node is None]:
            raise ServiceError(
                "InvalidInstanceId",
                f"Instances [[{', '.join(unmanaged)}]] not in a valid state for account {self._account.account}",
            )
        if other := [node.id for node in found.values() if node and node.platform not in content.platforms]:
            raise ServiceError(
                "UnsupportedPlatformType",
                f"The document doesn't support the platform type of the given instance IDs: {', '.join(other)}.",
            )
        return ids

    def _record(self, request: dict, content: Content, bound: dict[str, object]) -> Command:
        now = self._system.scheduler.now()
        # Of several steps the longest counts: the user guide speaks of one execution timeout only.
        start_by = now + request.get("TimeoutSeconds", DEFAULT_DELIVERY_TIMEOUT)
        execution = max(timeout_of(arguments.substitute(step.inputs, bound)) for step in content.steps)
        return Command(
            id=str(uuid.uuid4()),
            request=request,
            content=content,
            arguments=bound,
            document_name=request["DocumentName"],
            requested=now,
            start_by=start_by,
            expires=start_by + execution,
        )


def _refuse_not_built(request: dict) -> None:
    for name, feature in _NOT_BUILT.items():
        if request.get(name):
            raise not_built(f"{feature} ({name})")


def _check_hash(request: dict, version: Version) -> None:
    wanted = request.get("DocumentHash")
    if wanted is None:
        return
    kind = request.get("DocumentHashType", "Sha256")
    if kind not in ("Sha256", "Sha1"):
        raise validation(f"The hash type {kind} is not valid.")
    real = version.content.sha256 if kind == "Sha256" else version.content.sha1
    if wanted.lower() != real:
        raise ServiceError("InvalidDocument", "The hash of the document does not match the specified DocumentHash.")
