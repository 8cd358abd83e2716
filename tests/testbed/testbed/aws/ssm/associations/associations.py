"""The associations of one account and Region: made, changed, run.

Errors: ``AssociationAlreadyExists``, ``AssociationLimitExceeded``, ``AssociationVersionLimitExceeded``, ``AssociationDoesNotExist``,
``InvalidAssociationVersion``, ``InvalidDocument``, ``InvalidDocumentVersion``, ``InvalidInstanceId``, ``InvalidParameters``,
``InvalidSchedule``, ``InvalidTarget``, ``InvalidOutputLocation``, ``UnsupportedPlatformType``. Source: API reference, CreateAssociation and
UpdateAssociation (both run the association at once, unless ApplyOnlyAtCronInterval; an update forgets every optional parameter that it
does not repeat); user guide, "Working with associations in Systems Manager" (a node that comes to meet the targets gets it at once).
"""

import math
import uuid
from collections import Counter
from typing import TYPE_CHECKING

from .. import arguments, calendars, files, targets
from ..errors import ServiceError, not_built
from ..nodes import Node
from ..records import Command
from .records import Association, Execution, Version
from .runs import Run
from .schedule import parse

if TYPE_CHECKING:
    from ..model import Account

_NOT_BUILT = (
    "AutomationTargetParameterName", "TargetLocations", "TargetMaps", "AlarmConfiguration", "Duration", "AssociationDispatchAssumeRole",
)  # fmt: skip
#: Not part of what an association is.
_ENVELOPE = ("AssociationId", "AssociationVersion", "Tags")


class Associations:
    """All of them, oldest first."""

    def __init__(self, account: "Account"):
        self._account, self._system = account, account.system
        self._associations: dict[str, Association] = {}
        self._system.fleet.watch(self._node_changed)

    def create(self, request: dict) -> Association:
        """CreateAssociation."""
        if len(self._associations) >= self._system.quotas.associations:
            raise ServiceError("AssociationLimitExceeded", f"You can have at most {self._system.quotas.associations} active associations.")
        if request.get("InstanceId") and self.find(request["Name"], request["InstanceId"]):
            raise ServiceError("AssociationAlreadyExists", "The specified association already exists.")
        version = self._version(1, request)
        tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags") or []}
        association = Association(str(uuid.uuid4()), version.created, tags, [version])
        self._associations[association.id] = association
        self._begin(association)
        return association

    def update(self, request: dict) -> Association:
        """UpdateAssociation: a new version, which is what the request says and nothing else; only the document's name stays."""
        association = self.get(request["AssociationId"])
        self.version(association, request.get("AssociationVersion", "$LATEST"), latest=True)
        if len(association.versions) >= self._system.quotas.association_versions:
            most = self._system.quotas.association_versions
            raise ServiceError("AssociationVersionLimitExceeded", f"An association has at most {most} versions.")
        kept = {name: association.request[name] for name in ("Name", "InstanceId") if name in association.request}
        association.versions.append(self._version(association.latest.number + 1, kept | request))
        self._begin(association)
        return association

    def delete(self, association: Association) -> None:
        """DeleteAssociation: what runs goes on, nothing more begins."""
        del self._associations[association.id]

    def run_once(self, ids: list[str]) -> None:
        """StartAssociationsOnce: all of them or, when one is not there, none."""
        for association in [self.get(association_id) for association_id in ids]:
            self._run(association)

    def get(self, association_id: str) -> Association:
        """By id, else ``AssociationDoesNotExist``."""
        if association_id not in self._associations:
            raise does_not_exist()
        return self._associations[association_id]

    def find(self, name: str, node_id: str) -> Association | None:
        """The one that was made for a document and one node, in the older form without Targets."""
        return next((a for a in self.all() if (a.request["Name"], a.request.get("InstanceId")) == (name, node_id)), None)

    def all(self) -> list[Association]:
        return list(self._associations.values())

    def counts_on(self, node_id: str) -> dict[str, int]:
        """How many associations have which status on a node."""
        last = [a.last_by_node[node_id] for a in self.all() if node_id in a.last_by_node]
        return dict(Counter(execution.statuses()[node_id] for execution in last))

    def last_on(self, node_id: str) -> float:
        """When an association last ran on a node."""
        return max(a.last_by_node[node_id].created for a in self.all() if node_id in a.last_by_node)

    def version(self, association: Association, wanted: str, latest: bool = False) -> Version:
        """A version by number or $LATEST; with ``latest`` only the last one; else ``InvalidAssociationVersion``."""
        versions = {str(version.number): version for version in association.versions} | {"$LATEST": association.latest}
        found = versions.get(wanted)
        if found is None or (latest and found is not association.latest):
            raise ServiceError("InvalidAssociationVersion", f"The association version {wanted} is not valid, or not the latest.")
        return found

    def uses(self, name: str) -> bool:
        """Whether an association is of the document."""
        return any(self._account.documents.short_name(a.request["Name"]) == name for a in self.all())

    def _version(self, number: int, request: dict) -> Version:
        for name in _NOT_BUILT:
            if request.get(name):
                raise not_built(f"{name} of associations")
        self._check_document(request)
        self._check_targets(request)
        self._check_output(request)
        for name in request.get("CalendarNames") or []:
            if self._account.documents.get(name).type != "ChangeCalendar":
                raise ServiceError("InvalidDocument", f"The document {name} is not a change calendar.")
        expression, only = request.get("ScheduleExpression"), bool(request.get("ApplyOnlyAtCronInterval"))
        offset = request.get("ScheduleOffset")
        if expression is None and (only or offset is not None):
            raise ServiceError("InvalidSchedule", "ApplyOnlyAtCronInterval and ScheduleOffset need a ScheduleExpression.")
        schedule = parse(expression, only, offset) if expression else None
        kept = {name: value for name, value in request.items() if name not in _ENVELOPE}
        return Version(number, self._system.scheduler.now(), kept, schedule)

    def _check_document(self, request: dict) -> None:
        document = self._account.documents.get(request["Name"])
        if document.type == "Automation":
            raise not_built("associations of runbooks")
        if document.type != "Command":
            raise ServiceError("InvalidDocument", f"The document {document.name} is of type {document.type}.")
        content = document.version(request.get("DocumentVersion")).content
        arguments.bind(content, request.get("Parameters") or {})

    def _check_targets(self, request: dict) -> None:
        wanted, node_id = request.get("Targets") or [], request.get("InstanceId")
        if node_id and wanted:
            raise ServiceError("InvalidTarget", "Specify either InstanceId or Targets, and not both.")
        if node_id and self._account.node(node_id) is None:
            raise ServiceError("InvalidInstanceId", f"The instance {node_id} is not a managed node.")
        if not _means_all(wanted):
            try:
                targets.check(wanted)
            except ServiceError as error:
                raise error if error.code == "ValidationException" else ServiceError("InvalidTarget", error.message) from error

    def _check_output(self, request: dict) -> None:
        location = (request.get("OutputLocation") or {}).get("S3Location") or {}
        bucket = location.get("OutputS3BucketName")
        if bucket and not files.bucket_exists(self._account, bucket):
            raise ServiceError("InvalidOutputLocation", "The output location isn't valid or doesn't exist.")

    def _begin(self, association: Association) -> None:
        """Runs a new version at once, unless it is to wait for its schedule, and from then on as that says."""
        if not association.request.get("ApplyOnlyAtCronInterval"):
            self._run(association)
        self._plan(association, association.latest)

    def _plan(self, association: Association, version: Version) -> None:
        instant = version.schedule.next(self._system.scheduler.now()) if version.schedule else None
        if instant is None:
            return

        def due() -> None:
            if self._associations.get(association.id) is association and association.latest is version:
                self._run(association)
                self._plan(association, version)

        self._system.scheduler.at(instant, due)

    def _run(self, association: Association, only: list[str] | None = None) -> None:
        """Begins a run, on all nodes that the targets mean or on some of them; a closed change calendar lets none begin."""
        names = association.request.get("CalendarNames") or []
        held = [self._account.documents.get(name).version().content for name in names]
        if held and not calendars.state(held, self._system.scheduler.now())[0]:
            return
        command = self._command(association)
        association.executions.append(Execution(str(uuid.uuid4()), association.latest.number, self._system.scheduler.now(), command))
        self._account.commands.remember(command)
        ids = self.nodes(association.request) if only is None else only
        Run(self._account, command).to_ids([node_id for node_id in ids if self._account.node(node_id)])

    def nodes(self, request: dict) -> list[str]:
        """Ids of the nodes that an association means now."""
        if request.get("InstanceId"):
            return [request["InstanceId"]]
        wanted = request.get("Targets") or []
        if _means_all(wanted):
            return [node.id for node in self._account.nodes()]
        return targets.resolve(wanted, self._account.nodes()) if wanted else []

    def _node_changed(self, node: Node) -> None:
        """A node that meets an association's targets for the first time is given it."""
        if (node.account, node.region) != (self._account.account, self._account.region):
            return
        for association in self.all():
            waits = association.request.get("ApplyOnlyAtCronInterval")
            if not waits and node.id not in association.last_by_node and node.id in self.nodes(association.request):
                self._run(association, [node.id])

    def _command(self, association: Association) -> Command:
        """The command by which a run reaches its nodes."""
        request = association.request
        document = self._account.documents.get(request["Name"])
        content = document.version(request.get("DocumentVersion")).content
        location = (request.get("OutputLocation") or {}).get("S3Location") or {}
        now = self._system.scheduler.now()
        sent = {name: request[name] for name in ("Parameters", "MaxConcurrency", "MaxErrors", "DocumentVersion") if request.get(name)}
        sent |= {name: location[name] for name in ("OutputS3BucketName", "OutputS3KeyPrefix", "OutputS3Region") if location.get(name)}
        return Command(
            id=str(uuid.uuid4()),
            # Every node at once and whatever fails, unless the association says otherwise.
            request={"MaxConcurrency": "100%", "MaxErrors": "100%", "InstanceIds": [], **sent, "DocumentName": request["Name"]},
            content=content,
            arguments=arguments.bind(content, request.get("Parameters") or {}),
            document_name=request["Name"],
            requested=now,
            start_by=math.inf,
            expires=math.inf,
            association=association.id,
        )


def _means_all(wanted: list[dict]) -> bool:
    """Targets for every node of the account: InstanceIds with ``*``."""
    return len(wanted) == 1 and wanted[0].get("Key") == "InstanceIds" and wanted[0].get("Values") == ["*"]


def does_not_exist() -> ServiceError:
    """``AssociationDoesNotExist``."""
    return ServiceError("AssociationDoesNotExist", "The specified association does not exist.")
