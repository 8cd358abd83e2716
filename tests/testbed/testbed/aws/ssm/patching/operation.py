"""What the script of AWS-RunPatchBaseline does on a node, and the state that it reports.

Source: user guide, "SSM Command document for patching: AWS-RunPatchBaseline" (parameters; RebootIfNeeded restarts a node on which
something was installed or is pending; NoReboot leaves it INSTALLED_PENDING_REBOOT) and "Patch compliance state values". On Windows
the script asks the agent for the restart (exit code 3010), which runs it again: the second run reports what is there then.
"""

import json
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import yaml

from ..command_views import instant
from ..nodes import Node
from ..records import Command
from . import baselines
from .updates import Update

DOCUMENT = "AWS-RunPatchBaseline"
#: Virtual seconds that the script takes besides installing.
SCAN_SECONDS = 30.0
_RESTART = {"Windows": 3010, "Linux": 194}
#: Reads a file that a parameter names by its URL, for an account.
Reader = Callable[[str], str]


@dataclass
class Report:
    """The patch state of a node as of its last operation; times in virtual seconds."""

    node_id: str
    baseline_id: str
    patch_group: str
    snapshot_id: str
    operation: str
    reboot_option: str
    override: str
    started: float
    ended: float
    #: (update, state in the words of DescribeInstancePatches)
    patches: list[tuple[dict, str]] = field(default_factory=list)
    last_no_reboot: float | None = None

    def count(self, *states: str) -> int:
        counted = Counter(state for _, state in self.patches)
        return sum(counted[state] for state in states)


class Patching:
    """Patch Manager in one account and Region: the reports by node."""

    def __init__(self, partition: str, region: str, now: Callable[[], float], reader: Reader):
        self._partition, self._region, self._now, self._reader = partition, region, now, reader
        self.reports: dict[str, Report] = {}

    def operation(self, node: Node, command: Command, begun: float) -> "Operation | None":
        """What the command does on the node, when it is one of patching."""
        if command.document_name.rsplit("/", 1)[-1] != DOCUMENT:
            return None
        return Operation(self, node, command, begun)

    def baseline_for(self, node: Node, override: str) -> dict:
        """The baseline that counts for a node: the override's for its operating system, or the default."""
        system = baselines.system_of(node.platform)
        if not override:
            return baselines.default(system)
        for baseline in json.loads(self._reader(override)):
            if baseline.get("OperatingSystem") == system:
                return baseline
        raise ValueError(f"The baseline override {override} has no baseline for {system}.")

    def id_of(self, baseline: dict) -> str:
        """BaselineId as reports show it: the id alone, also of Amazon's."""
        return baseline.get("id") or str(baseline.get("BaselineId") or baseline.get("Name") or "baseline-override")

    def listed(self, override: str) -> set[str]:
        """KB ids of an InstallOverrideList."""
        listed = yaml.safe_load(self._reader(override)) or {}
        return {str(patch["id"]) for patch in listed.get("patches") or []}

    def now(self) -> float:
        return self._now()


class Operation:
    """One run of the script on one node."""

    def __init__(self, patching: Patching, node: Node, command: Command, begun: float):
        self._patching, self._node, self._command, self._begun = patching, node, command, begun
        arguments = command.arguments
        self._operation, self._reboot = str(arguments["Operation"]), str(arguments["RebootOption"])
        self._override, self._list = str(arguments["BaselineOverride"]), str(arguments["InstallOverrideList"])
        self._snapshot = str(arguments["SnapshotId"]) or str(uuid.uuid4())
        self._fault = ""
        try:
            self._baseline = patching.baseline_for(node, self._override)
            self._wanted = patching.listed(self._list) if self._list else None
        except Exception as error:  # whatever is wrong with the file is what the script says
            self._fault = str(error)

    @property
    def seconds(self) -> float:
        """How long the script takes."""
        return SCAN_SECONDS + sum(update.seconds for update in self._to_install())

    def finish(self) -> tuple[int, str, str]:
        """Does what the script does by its end: (exit code, stdout, stderr)."""
        if self._fault:
            return 1, "", f"Unable to read the patch baseline: {self._fault}\n"
        before = {update.kb for update in self._node.updates if update.there}
        for update in self._to_install():
            update.state = "Failed" if update.fails else "InstalledPendingReboot" if update.reboot else "Installed"
            update.installed = 0.0 if update.fails else self._patching.now()
        installed = any(update.there and update.kb not in before for update in self._node.updates)
        pending = any(update.state == "InstalledPendingReboot" for update in self._node.updates)
        report = self._report()
        if self._operation == "Install" and self._reboot == "RebootIfNeeded" and (pending or (installed and self._anything_restarts())):
            return _RESTART[self._node.platform], "", ""
        failed = report.count("FAILED")
        return (1 if failed else 0), self._summary(report), f"{failed} updates failed to install.\n" if failed else ""

    def _anything_restarts(self) -> bool:
        """RebootIfNeeded restarts a Windows node after updates that ask for it only, a Linux node after any."""
        return self._node.platform == "Linux"

    def _to_install(self) -> list[Update]:
        if self._fault or self._operation != "Install":
            return []
        return [update for update in self._node.updates if update.state in ("Missing", "Failed") and self._is_wanted(update)]

    def _is_wanted(self, update: Update) -> bool:
        return update.kb in self._wanted if self._wanted is not None else baselines.approves(self._baseline, update)

    def _report(self) -> Report:
        node, patching = self._node, self._patching
        before = patching.reports.get(node.id)
        quiet = self._operation == "Install" and self._reboot == "NoReboot"
        report = Report(
            node_id=node.id,
            baseline_id=patching.id_of(self._baseline),
            patch_group=node.tags.get("Patch Group") or node.tags.get("PatchGroup") or "",
            snapshot_id=self._snapshot,
            operation=self._operation,
            reboot_option=self._reboot if self._operation == "Install" else "NoReboot",
            override=self._list,
            started=self._begun,
            ended=patching.now(),
            patches=[(update.to_json(), state) for update in node.updates if (state := self._state(update))],
            last_no_reboot=patching.now() if quiet else (before.last_no_reboot if before else None),
        )
        patching.reports[node.id] = report
        return report

    def _state(self, update: Update) -> str | None:
        """The update's state in the report; None for one that the report does not mention."""
        rejected = update.kb in self._baseline.get("RejectedPatches", ())
        approved = baselines.approves(self._baseline, update)
        if update.there:
            if rejected:
                return "INSTALLED_REJECTED"
            if update.state == "InstalledPendingReboot":
                return "INSTALLED_PENDING_REBOOT"
            return "INSTALLED" if approved else "INSTALLED_OTHER"
        if update.state == "Failed":
            return "FAILED"
        if approved:
            return "MISSING"
        return "AVAILABLE_SECURITY_UPDATE" if update.classification == "SecurityUpdates" and not rejected else None

    def _summary(self, report: Report) -> str:
        """The script's output."""
        facts = {
            "PatchGroup": report.patch_group,
            "BaselineId": report.baseline_id,
            "SnapshotId": report.snapshot_id,
            "RebootOption": report.reboot_option,
            "ExecutionId": self._command.id,
            "OperationStartTime": f"{instant(report.started):%Y-%m-%dT%H:%M:%SZ}",
            "OperationEndTime": f"{instant(report.ended):%Y-%m-%dT%H:%M:%SZ}",
            "InstalledCount": report.count("INSTALLED"),
            "InstalledRejectedCount": report.count("INSTALLED_REJECTED"),
            "InstalledPendingRebootCount": report.count("INSTALLED_PENDING_REBOOT"),
            "InstalledOtherCount": report.count("INSTALLED_OTHER"),
            "FailedCount": report.count("FAILED"),
            "MissingCount": report.count("MISSING"),
            "NotApplicableCount": report.count("NOT_APPLICABLE"),
        }
        lines = [f"Patch Summary for {self._node.computer_name}", "", *(f"{name:<28}: {value}" for name, value in facts.items())]
        return "\n".join(lines) + "\n"
