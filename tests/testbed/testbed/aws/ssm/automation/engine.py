"""Runs one execution of a runbook, in a thread of its own: its actions call AWS's APIs under the role that it assumes.

Source: user guide, "Understanding automation statuses", "Handling timeouts in runbooks", "Using conditional statements in runbooks".
"""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import actions
from .expressions import Unresolved, resolve, text
from .records import Execution, StepExecution

if TYPE_CHECKING:
    from ..model import Account

LOG = logging.getLogger(__name__)
#: Real seconds between two looks, at the least.
_SHORTEST_WAIT = 0.02
_GUIDE = "Please refer to Automation Service Troubleshooting Guide for more diagnosis details."


class Stopped(Exception):
    """The execution is to stop."""


class TimedOut(Exception):
    """The step took longer than its timeoutSeconds."""


class Engine:
    """One execution under way."""

    def __init__(self, account: "Account", execution: Execution, client: Callable[[str], object], ended: Callable[[], None]):
        self._account, self._system, self._execution, self._ended = account, account.system, execution, ended
        self._deadline: float | None = None
        #: A boto3 client of a service, under the execution's role.
        self.client = client

    def start(self) -> None:
        """Begins; call it with the model's lock held."""
        self._execution.status, self._execution.started = "InProgress", self._system.scheduler.now()
        threading.Thread(target=self._run, name=f"automation-{self._execution.id}", daemon=True).start()

    def wait(self, seconds: float) -> None:
        """Waits virtual seconds; ``Stopped`` or ``TimedOut`` end it."""
        self.wait_until(self._system.clock.now() + seconds)

    def wait_until(self, instant: float, unless: Callable[[], bool] = lambda: False) -> None:
        """Waits until a virtual instant, or until ``unless`` holds after somebody's signal."""
        while not unless():
            self._check()
            now = self._system.clock.now()
            if now >= instant:
                return
            end = instant if self._deadline is None else min(instant, self._deadline)
            self._execution.woken.wait(max(_SHORTEST_WAIT, min(self._system.clock.real(end - now), threading.TIMEOUT_MAX)))
            self._execution.woken.clear()

    def wait_for_people(self, step: StepExecution, decided: Callable[[], bool]) -> None:
        """The step and its execution are Waiting until somebody has decided."""
        with self._system.lock:
            step.status = self._execution.status = "Waiting"
        self.wait_until(float("inf"), decided)
        with self._system.lock:
            step.status = self._execution.status = "InProgress"

    def note(self, step: StepExecution, outputs: dict[str, list[str]], response_code: str | None = None) -> None:
        """Writes down outputs of the step."""
        with self._system.lock:
            step.outputs |= outputs
            step.response_code = response_code or step.response_code

    def _check(self) -> None:
        if self._execution.stopped or self._execution.forgotten:
            raise Stopped
        if self._deadline is not None and self._system.clock.now() >= self._deadline:
            raise TimedOut

    def _run(self) -> None:
        try:
            status = self._steps()
        except Stopped:
            status = "Cancelled"
        except Exception as error:  # a fault of the bed must not leave an execution that never ends
            LOG.exception("automation %s", self._execution.id)
            status, self._execution.failure = "Failed", f"Internal failure of the test bed: {error}"
        if not self._execution.forgotten:
            with self._system.lock:
                self._finish(status)

    def _finish(self, status: str) -> None:
        execution = self._execution
        execution.status, execution.ended = status, self._system.scheduler.now()
        for name in execution.runbook.outputs:
            step, _, output = name.partition(".")
            values = next((ran.outputs[output] for ran in execution.steps if ran.step.name == step and output in ran.outputs), None)
            execution.outputs[name] = values or ["No output available yet because the step is not successfully executed"]
        self._ended()

    def _steps(self) -> str:
        """Goes from step to step; the status of the whole."""
        index: int | None = 0
        status = "Success"
        while index is not None and index < len(self._execution.steps):
            step = self._execution.steps[index]
            jump = self._step(step)
            if step.status == "Success":
                index = self._next(index, jump)
                continue
            if step.step.is_critical:
                status = step.status
                self._execution.failure = self._execution.failure or step.failure
            if step.step.on_failure == "Abort":
                return status if step.step.is_critical else "Success"
            if step.step.on_failure == "Continue":
                index = self._next(index, None)
            else:
                index = self._execution.runbook.index(step.step.on_failure.removeprefix("step:"))
        return status

    def _next(self, index: int, jump: str | None) -> int | None:
        step = self._execution.steps[index].step
        if step.is_end:
            return None
        named = jump or step.next_step
        return self._execution.runbook.index(named) if named else index + 1

    def _step(self, step: StepExecution) -> str | None:
        """Runs one step to its end; the step that a branch chose."""
        with self._system.lock:
            step.status, step.started = "InProgress", step.started or self._system.scheduler.now()
            step.ended = None
        self._deadline = None if step.step.timeout is None else self._system.clock.now() + step.step.timeout
        jump = None
        for attempt in range(1, step.step.max_attempts + 1):
            try:
                self._check()
                self._attempt(step)
                status = "Success"
            except actions.Jump as chosen:
                status, jump = "Success", chosen.step
            except Stopped:
                self._end(step, "Cancelled")
                raise
            except TimedOut:
                status, step.failure, step.failure_type = "TimedOut", f"Step timed out after {step.step.timeout} seconds. {_GUIDE}", "Action"
            except (actions.Failed, Unresolved) as error:
                step.failure = f"Step fails when it is Execute/Cancelling action. {error} {_GUIDE}"
                step.failure_type = getattr(error, "kind", "Action")
                status = "Failed"
                if attempt < step.step.max_attempts:
                    continue
            break
        self._end(step, status)
        return jump

    def _attempt(self, step: StepExecution) -> None:
        inputs = resolve(step.step.inputs, self._execution, self._account.account, self._account.region)
        with self._system.lock:
            step.inputs = {name: text(value) for name, value in inputs.items()}
        actions.run(self, step, inputs)

    def _end(self, step: StepExecution, status: str) -> None:
        with self._system.lock:
            if status == "Success":
                step.failure = step.failure_type = ""
            step.status, step.ended = status, self._system.scheduler.now()
