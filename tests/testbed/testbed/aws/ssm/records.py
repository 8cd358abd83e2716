"""What the service keeps about a command: the command, its invocations, their plugins. Times in virtual seconds."""

from dataclasses import dataclass, field

from .content import Content

#: StatusDetails -> Status of a command or an invocation (user guide, "Understanding command statuses").
STATUS = {
    "Pending": "Pending",
    "InProgress": "InProgress",
    "Delayed": "Delayed",
    "Cancelling": "Cancelling",
    "Success": "Success",
    "NoInstancesInTag": "Success",
    "DeliveryTimedOut": "TimedOut",
    "ExecutionTimedOut": "TimedOut",
    "Failed": "Failed",
    "Incomplete": "Failed",
    "Undeliverable": "Failed",
    "InvalidPlatform": "Failed",
    "AccessDenied": "Failed",
    "Cancelled": "Cancelled",
    "Terminated": "Cancelled",
}
OPEN = ("Pending", "InProgress", "Delayed", "Cancelling")
#: What counts as an error of the command; nothing else does.
ERRORS = ("Failed", "ExecutionTimedOut")


@dataclass
class Plugin:
    """One step on one node; ``code`` is -1 until the step has ended."""

    name: str
    details: str = "Pending"
    code: int = -1
    started: float | None = None
    ended: float | None = None
    stdout: str = ""
    stderr: str = ""
    #: What the agent says in place of output: why it skipped or failed the step.
    message: str = ""

    @property
    def done(self) -> bool:
        return self.details not in OPEN


@dataclass
class Invocation:
    """The command on one node."""

    node_id: str
    node_name: str
    plugins: list[Plugin]
    details: str = "Pending"

    @property
    def done(self) -> bool:
        return self.details not in OPEN

    def end(self, details: str, now: float) -> None:
        """Ends it as ``details``, whatever was still open with it."""
        self.details = details
        for plugin in self.plugins:
            if not plugin.done:
                plugin.details = details
                plugin.ended = now if plugin.started is not None else None


@dataclass
class Command:
    """A command as it was sent, with what became of it."""

    id: str
    request: dict
    content: Content
    arguments: dict[str, object]
    document_name: str
    requested: float
    start_by: float
    expires: float
    invocations: dict[str, Invocation] = field(default_factory=dict)
    #: False while SendCommand's Targets are not resolved yet.
    resolved: bool = False
    cancelled: bool = False
    #: The association that the command is a run of.
    association: str | None = None

    @property
    def done(self) -> bool:
        return self.resolved and all(i.done for i in self.invocations.values())

    @property
    def max_concurrency(self) -> int:
        """How many nodes at once: a number or a share of the targets, one at least."""
        return max(1, _share(self.request.get("MaxConcurrency", "50"), len(self.invocations)))

    @property
    def max_errors(self) -> int:
        """How many errors are tolerated: a number or a share of the targets."""
        return _share(self.request.get("MaxErrors", "0"), len(self.invocations))

    def count(self, *details: str) -> int:
        return sum(i.details in details for i in self.invocations.values())

    @property
    def error_count(self) -> int:
        return self.count(*ERRORS)

    @property
    def completed_count(self) -> int:
        return sum(i.done for i in self.invocations.values())


def _share(limit: str, targets: int) -> int:
    """``"10"`` or ``"10%"`` of the targets, rounded down (50 nodes and 10% stop at the sixth error)."""
    return targets * int(limit[:-1]) // 100 if limit.endswith("%") else int(limit)
