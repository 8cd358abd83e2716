"""Executions at scale: one of a runbook for each target, so many at once, until too many have failed.

Source: user guide, "Run automated operations at scale" (Targets, TargetParameterName, MaxConcurrency 10 and MaxErrors 0 unless said);
API reference, StartAutomationExecution (Targets: tags, ParameterValues or instance ids). How the parent ends when errors are tolerated
is not published: here it is a Success, and Failed once they are more than MaxErrors. Nor is what becomes of targets that mean nothing:
they are an InvalidTarget here.
"""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import targets
from ..errors import ServiceError
from .records import Execution

if TYPE_CHECKING:
    from ..model import Account


def values(account: "Account", request: dict) -> list[str]:
    """What the parameter named is to be, for each execution; ``InvalidTarget``."""
    wanted = request["Targets"]
    if len(wanted) == 1 and wanted[0].get("Key") == "ParameterValues":
        return list(dict.fromkeys(wanted[0].get("Values") or []))
    try:
        targets.check(wanted)
    except ServiceError as error:
        raise error if error.code == "ValidationException" else ServiceError("InvalidTarget", error.message) from error
    return targets.resolve(wanted, account.nodes())


class Rate:
    """The children of one parent, and how many of them may run."""

    def __init__(self, parent: Execution, children: list[Execution], request: dict, begin: Callable[[Execution], None]):
        self.parent, self.children = parent, children
        self._waiting, self._begin = deque(children), begin
        self._concurrency = max(1, _share(request.get("MaxConcurrency", "10"), len(children)))
        self._max_errors = _share(request.get("MaxErrors", "0"), len(children))

    def go_on(self, now: float) -> None:
        """Begins as many as may, and ends the parent when nothing is left to do."""
        failed = [child for child in self.children if child.status in ("Failed", "TimedOut")]
        if self.parent.stopped or len(failed) > self._max_errors:
            self._waiting.clear()
        running = [child for child in self.children if child.requested_to_run and not child.done]
        for _ in range(self._concurrency - len(running)):
            if not self._waiting:
                break
            child = self._waiting.popleft()
            child.requested_to_run = True
            running.append(child)
            self._begin(child)
        if not running and not self._waiting and not self.parent.done:
            self.parent.ended = now
            self.parent.status = "Cancelled" if self.parent.stopped else "Failed" if len(failed) > self._max_errors else "Success"
            if self.parent.status == "Failed":
                self.parent.failure = f"{len(failed)} of {len(self.children)} executions failed."


def _share(limit: str, count: int) -> int:
    """``"10"`` or ``"10%"`` of the targets, rounded down."""
    return count * int(limit[:-1]) // 100 if limit.endswith("%") else int(limit)
