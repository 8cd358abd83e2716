"""What the service keeps about an association: its versions, and each run of it. Times in virtual seconds."""

from collections import Counter
from dataclasses import dataclass, field

from ..records import Command
from .schedule import Schedule

#: StatusDetails of a command on a node -> status of the association there.
_STATUS = {"Success": "Success", "Pending": "Pending", "Delayed": "Pending", "InProgress": "Pending", "Cancelling": "Pending"}


@dataclass(frozen=True)
class Version:
    """One version: what a create or an update said, all of it."""

    number: int
    created: float
    request: dict
    schedule: Schedule | None


@dataclass
class Execution:
    """One run of the association, on the nodes that its targets meant then."""

    id: str
    version: int
    created: float
    command: Command

    def statuses(self) -> dict[str, str]:
        """The status on each node."""
        return {node: _STATUS.get(invocation.details, "Failed") for node, invocation in self.command.invocations.items()}

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(self.statuses().values()))

    @property
    def status(self) -> str:
        """Pending until all have ended, then Failed as soon as one has; a run that met no node is a Success."""
        counts = self.counts
        if not self.command.resolved or counts.get("Pending"):
            return "Pending"
        return "Failed" if counts.get("Failed") else "Success"

    @property
    def detailed(self) -> str:
        running = any(invocation.details == "InProgress" for invocation in self.command.invocations.values())
        return "InProgress" if running else self.status


@dataclass
class Association:
    """An association: ``versions`` from 1 on, ``executions`` oldest first."""

    id: str
    created: float
    tags: dict[str, str]
    versions: list[Version]
    executions: list[Execution] = field(default_factory=list)

    @property
    def latest(self) -> Version:
        return self.versions[-1]

    @property
    def request(self) -> dict:
        """What its latest version says."""
        return self.latest.request

    @property
    def last_by_node(self) -> dict[str, Execution]:
        """The last run on each node."""
        return {node: execution for execution in self.executions for node in execution.command.invocations}

    @property
    def counts(self) -> dict[str, int]:
        return dict(Counter(execution.statuses()[node] for node, execution in self.last_by_node.items()))

    @property
    def status(self) -> str:
        counts = self.counts
        if not self.executions or counts.get("Pending") or not self.executions[-1].command.resolved:
            return "Pending"
        return "Failed" if counts.get("Failed") else "Success"
