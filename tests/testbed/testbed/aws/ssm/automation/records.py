"""What the service keeps about an execution of a runbook and its steps. Times in virtual seconds."""

import threading
from dataclasses import dataclass, field

from ..callers import Caller
from .content import Runbook, Step

OPEN = ("Pending", "InProgress", "Waiting", "Cancelling")


@dataclass
class StepExecution:
    """One step; ``signals`` are the decisions of people for it."""

    id: str
    step: Step
    status: str = "Pending"
    started: float | None = None
    ended: float | None = None
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    response_code: str | None = None
    failure: str = ""
    failure_type: str = ""
    signals: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Execution:
    """An execution of a runbook; ``role`` is the role that it runs as, or empty: as who started it."""

    id: str
    document: str
    version: str
    runbook: Runbook
    given: dict[str, list[str]]
    parameters: dict[str, object]
    role: str
    caller: Caller
    requested: float
    tags: dict[str, str]
    steps: list[StepExecution]
    status: str = "Pending"
    started: float | None = None
    ended: float | None = None
    failure: str = ""
    outputs: dict[str, list[str]] = field(default_factory=dict)
    #: What was asked of rate control, of a parent: Targets, TargetParameterName and limits.
    rate: dict = field(default_factory=dict)
    #: Of a child: its parent's id, the value of the target parameter, and whether its turn has come.
    parent: str = ""
    target: str = ""
    requested_to_run: bool = True
    #: The values that a parent's targets meant.
    resolved: list[str] = field(default_factory=list)
    #: Set when it is to stop, or a person has decided something.
    woken: threading.Event = field(default_factory=threading.Event)
    stopped: bool = False
    #: The bed was reset: its thread ends without a word.
    forgotten: bool = False

    @property
    def done(self) -> bool:
        return self.status not in OPEN

    @property
    def current(self) -> StepExecution | None:
        """The step under way."""
        return next((step for step in self.steps if step.status in OPEN and step.started is not None), None)
