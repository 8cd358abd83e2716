"""Compliance items: of associations and patches as they are now, and those that somebody put.

Source: user guide, "About Compliance" and "Working with custom inventory/compliance"; API reference, PutComplianceItems (errors
``InvalidResourceType``, ``InvalidResourceId``, ``InvalidItemContentException``, ``ComplianceTypeCountLimitExceededException``).
What was put for an association or for patches stands until the service itself has something newer to say.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import ServiceError

if TYPE_CHECKING:
    from .model import Account

_PATCH_COMPLIANT = ("INSTALLED", "INSTALLED_OTHER", "NOT_APPLICABLE", "AVAILABLE_SECURITY_UPDATE")
#: Severities from the worst on, as OverallSeverity knows them.
SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNSPECIFIED")


@dataclass(frozen=True)
class Item:
    """One compliance item of one node; ``when`` in virtual seconds."""

    type: str
    node_id: str
    id: str
    title: str
    status: str
    severity: str
    when: float
    execution_id: str = ""
    execution_type: str = ""
    details: dict[str, str] = field(default_factory=dict)


class Compliance:
    """The items of one account and Region."""

    def __init__(self, account: "Account"):
        self._account = account
        self._put: dict[tuple[str, str], list[Item]] = {}

    def put(self, request: dict, when: float) -> None:
        """PutComplianceItems: COMPLETE replaces what there was of the type on the node, PARTIAL only items of the same ids."""
        node_id, kind = request["ResourceId"], request["ComplianceType"]
        if request["ResourceType"] != "ManagedInstance":
            raise ServiceError("InvalidResourceType", "The resource type must be ManagedInstance.")
        if self._account.node(node_id) is None:
            raise ServiceError("InvalidResourceId", f"The resource ID {node_id} is not valid. Verify that you entered the correct ID.")
        if kind not in ("Association", "Patch") and not kind.startswith("Custom:"):
            raise ServiceError("InvalidItemContentException", f"The compliance type {kind} must be Association, Patch or Custom:….")
        self._check_count(kind)
        summary = request["ExecutionSummary"]
        made = [self._item(node_id, kind, entry, summary, when) for entry in request["Items"]]
        ids = [item.id for item in made]
        if len(set(ids)) < len(ids):
            raise ServiceError("InvalidItemContentException", "An item's Id may stand only once.")
        kept = self._put.get((node_id, kind), []) if request.get("UploadType") == "PARTIAL" else []
        self._put[node_id, kind] = [item for item in kept if item.id not in ids] + made

    def items(self) -> list[Item]:
        """All of them, by node, type and id; of nodes that are still there."""
        found = {(item.node_id, item.type, item.id): item for item in (*self._associations(), *self._patches())}
        for items in self._put.values():
            for item in items:
                own = found.get((item.node_id, item.type, item.id))
                if own is None or item.when >= own.when:
                    found[item.node_id, item.type, item.id] = item
        return [found[key] for key in sorted(found) if self._account.node(key[0])]

    def _check_count(self, kind: str) -> None:
        kinds = {known for _, known in self._put if known.startswith("Custom:")}
        if kind.startswith("Custom:") and kind not in kinds and len(kinds) >= self._account.system.quotas.compliance_types:
            raise ServiceError("ComplianceTypeCountLimitExceededException", "You specified too many custom compliance types.")

    def _item(self, node_id: str, kind: str, entry: dict, summary: dict, when: float) -> Item:
        if not entry.get("Id") and kind.startswith("Custom:"):
            raise ServiceError("InvalidItemContentException", "Each item needs an Id.")
        return Item(
            type=kind,
            node_id=node_id,
            id=entry.get("Id", ""),
            title=entry.get("Title", ""),
            status=entry["Status"],
            severity=entry["Severity"],
            when=when,
            execution_id=summary.get("ExecutionId", ""),
            execution_type=summary.get("ExecutionType", ""),
            details=entry.get("Details") or {},
        )

    def _associations(self) -> Iterator[Item]:
        """Of each association on each node that it has run on; pending ones keep what they were."""
        for association in self._account.associations.all():
            if association.request.get("SyncCompliance") == "MANUAL":
                continue
            ended: dict[str, tuple] = {}
            for execution in association.executions:
                for node_id, status in execution.statuses().items():
                    if status != "Pending":
                        ended[node_id] = (execution, status)
            for node_id, (execution, status) in ended.items():
                times = [plugin.ended for plugin in execution.command.invocations[node_id].plugins if plugin.ended]
                yield Item(
                    type="Association",
                    node_id=node_id,
                    id=association.id,
                    title=association.request.get("AssociationName", ""),
                    status="COMPLIANT" if status == "Success" else "NON_COMPLIANT",
                    severity=association.request.get("ComplianceSeverity", "UNSPECIFIED"),
                    when=max(times, default=execution.created),
                    details={
                        "DocumentName": association.request["Name"],
                        "DocumentVersion": association.request.get("DocumentVersion", "$DEFAULT"),
                    },
                )

    def _patches(self) -> Iterator[Item]:
        for report in self._account.patching.reports.values():
            for update, state in report.patches:
                yield Item(
                    type="Patch",
                    node_id=report.node_id,
                    id=update["kb"],
                    title=update["title"],
                    status="COMPLIANT" if state in _PATCH_COMPLIANT else "NON_COMPLIANT",
                    severity="UNSPECIFIED",
                    when=report.ended,
                    execution_type="Command",
                    details={
                        "Classification": update["classification"],
                        "DocumentName": "",
                        "DocumentVersion": "",
                        "PatchBaselineId": report.baseline_id,
                        "PatchGroup": report.patch_group,
                        "PatchSeverity": update["severity"],
                        "PatchState": state,
                    },
                )
