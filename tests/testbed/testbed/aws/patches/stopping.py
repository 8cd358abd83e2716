"""Executions that end when they are told to: StopExecution, a state machine's timeout and a deletion interrupt whatever is waited for.

In LocalStack a stopped execution runs on until its current task, callback, retry interval or map is over.
"""

import copy
import math
import threading
from collections.abc import Callable
from typing import Any

from testbed import waiting

SETTLE_SECONDS = 2.0
"""Real seconds that StopExecution waits for the interpreter to see it, at the most."""

POLL_SECONDS = 0.005


def apply() -> None:
    """Makes the interpreter's waits interruptible."""
    _histories()
    _environments()
    _timeouts()
    _retries()
    _programs()
    _stop_execution()


class Interrupts:
    """The events that a stop sets, so that what waits for them looks again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[threading.Event] = []
        self._fired = False

    def add(self, event: threading.Event) -> None:
        """Sets the event at the stop, or now when that has been."""
        with self._lock:
            self._events.append(event)
            fired = self._fired
        if fired:
            event.set()

    def remove(self, event: threading.Event) -> None:
        """Forgets an event that is no longer waited for."""
        with self._lock:
            if event in self._events:
                self._events.remove(event)

    def fire(self) -> None:
        """Sets all."""
        with self._lock:
            self._fired = True
            events = list(self._events)
        for event in events:
            event.set()


def _histories() -> None:
    """A history ends with the execution: what branches and iterations notice later is not written any more."""
    from localstack.aws.api.stepfunctions import HistoryEventType
    from localstack.services.stepfunctions.asl.eval.event.event_manager import EventManager

    last = {
        HistoryEventType.ExecutionAborted,
        HistoryEventType.ExecutionFailed,
        HistoryEventType.ExecutionSucceeded,
        HistoryEventType.ExecutionTimedOut,
    }
    publish, add = EventManager._publish_history_event, EventManager.add_event

    def _publish_history_event(self, *arguments, **named) -> None:
        if getattr(self, "ended", False):
            return
        publish(self, *arguments, **named)
        self.ended = named["event_type"] in last

    def add_event(self, context, *arguments, **named) -> int:
        if getattr(self, "ended", False):
            return context.last_published_event_id
        return add(self, context, *arguments, **named)

    EventManager._publish_history_event = _publish_history_event
    EventManager.add_event = add_event


def _environments() -> None:
    from localstack.services.stepfunctions.asl.eval.environment import Environment

    original_init = Environment.__init__

    def __init__(self, *arguments, **named) -> None:
        original_init(self, *arguments, **named)
        self.interrupts = Interrupts()

    def interrupting(original):
        def method(self, *arguments, **named) -> None:
            original(self, *arguments, **named)
            self.interrupts.fire()

        return method

    Environment.__init__ = __init__
    Environment.set_stop = interrupting(Environment.set_stop)
    Environment.set_timed_out = interrupting(Environment.set_timed_out)


def _timeouts() -> None:
    """A state's evaluation ends with its result, its timeout, or the execution."""
    from localstack.services.stepfunctions.asl.component.common.catch.catch_outcome import CatchOutcome
    from localstack.services.stepfunctions.asl.component.common.retry.retry_outcome import RetryOutcome
    from localstack.services.stepfunctions.asl.component.common.timeouts.timeout import EvalTimeoutError
    from localstack.services.stepfunctions.asl.component.state.state_execution import execute_state
    from localstack.utils.common import TMP_THREADS

    def _evaluate_with_timeout(self, env) -> None:
        self.timeout.eval(env=env)
        timeout_seconds = env.stack.pop()
        frame = env.open_frame()
        frame.states.reset(input_value=env.states.get_input())
        frame.stack = copy.deepcopy(env.stack)
        outputs: list[Any] = []
        exceptions: list[Exception] = []
        terminated = execute_state.threading.Event()

        def run() -> None:
            try:
                self._eval_execution(frame)
                outputs.extend(frame.stack)
            except Exception as exception:
                exceptions.append(exception)
            terminated.set()

        thread = threading.Thread(target=run, daemon=True)
        TMP_THREADS.append(thread)
        env.interrupts.add(terminated)
        thread.start()
        in_time = terminated.wait(timeout_seconds)
        env.interrupts.remove(terminated)
        if not env.is_running():
            # Stopped: nobody waits for this state any more, and its threads find their frame stopped too.
            env.close_frame(frame)
            return
        frame.timed_out = not in_time
        frame.set_ended()
        env.close_frame(frame)
        if exceptions:
            raise exceptions.pop()
        if not in_time:
            raise EvalTimeoutError()
        output = outputs.pop()
        env.stack.append(output)
        if not self.is_jsonpath_query_language():
            env.states.set_result(output)
        if self.assign_decl:
            self.assign_decl.eval(env=env)
        if self.result_selector:
            self.result_selector.eval(env=env)
        if self.result_path:
            self.result_path.eval(env)
        else:
            env.states.reset(input_value=env.stack.pop())

    def _eval_state(self, env) -> None:
        env.states.context_object.context_object_data["State"]["RetryCount"] = 0
        while env.is_running():
            try:
                self._evaluate_with_timeout(env)
                break
            except Exception as ex:
                failure_event = self._from_error(env=env, ex=ex)
                if not getattr(failure_event, "recorded", False):
                    env.event_manager.add_event(
                        context=env.event_history_context,
                        event_type=failure_event.event_type,
                        event_details=failure_event.event_details,
                    )
                env.states.set_error_output(self._construct_error_output_value(failure_event=failure_event))
                if self.retry and self._handle_retry(env=env, failure_event=failure_event) == RetryOutcome.CanRetry:
                    continue
                if not env.is_running():
                    break
                if self.catch:
                    self._handle_catch(env=env, failure_event=failure_event)
                    if env.stack[-1] == CatchOutcome.Caught:
                        break
                self._handle_uncaught(env=env, failure_event=failure_event)

    execute_state.ExecutionState._evaluate_with_timeout = _evaluate_with_timeout
    execute_state.ExecutionState._eval_state = _eval_state


def _retries() -> None:
    """A Retry's interval ends with the execution."""
    from localstack.services.stepfunctions.asl.component.common.retry import retrier_decl
    from localstack.services.stepfunctions.asl.component.common.retry.max_attempts_decl import MaxAttemptsOutcome
    from localstack.services.stepfunctions.asl.component.common.retry.retrier_outcome import RetrierOutcome

    from testbed.aws.patches.virtualtime import VirtualEvent

    def _eval_body(self, env) -> None:
        self.error_equals.eval(env)
        if not env.stack.pop():
            env.stack.append(RetrierOutcome.Skipped)
            return
        self.max_attempts.eval(env=env)
        if env.stack.pop() == MaxAttemptsOutcome.EXHAUSTED:
            env.stack.append(RetrierOutcome.Failed)
            return
        self.interval_seconds.eval(env=env)
        self.backoff_rate.eval(env=env)
        self.max_delay_seconds.eval(env=env)
        self.jitter_strategy.eval(env=env)
        interval_seconds = env.stack.pop()
        stopped = VirtualEvent()
        env.interrupts.add(stopped)
        stopped.wait(interval_seconds)
        env.interrupts.remove(stopped)
        env.stack.append(RetrierOutcome.Executed)

    retrier_decl.RetrierDecl._eval_body = _eval_body


def _programs() -> None:
    """A state machine that timed out has written so into its history before its status says so."""
    from localstack.services.stepfunctions.asl.component.program import program as module
    from localstack.utils.threads import TMP_THREADS

    from testbed.aws.patches.virtualtime import VirtualThread

    def eval(self, env) -> None:
        timeout = self.timeout_seconds.timeout_seconds if self.timeout_seconds else None
        env.next_state_name = self.start_at.start_at_name
        worker = VirtualThread(target=super(module.Program, self).eval, args=(env,), daemon=True)
        TMP_THREADS.append(worker)
        worker.start()
        worker.join(timeout=timeout)
        if worker.is_alive():
            env.set_timed_out()
            threading.Thread.join(worker, SETTLE_SECONDS)

    module.Program.eval = eval


def _stop_execution() -> None:
    """StopExecution of an execution that has only just begun waits for it to be there; its answer comes when it has ended."""
    from localstack.services.stepfunctions.backend.execution import Execution

    original = Execution.stop

    def stop(self, stop_date, error, cause) -> None:
        _until(lambda: _has_begun(self))
        if self.exec_worker is not None and self.exec_worker.env is not None:
            original(self, stop_date=stop_date, error=error, cause=cause)
            _until(lambda: self.exec_status != "RUNNING")

    Execution.stop = stop


def _has_begun(execution) -> bool:
    worker = execution.exec_worker
    return execution.exec_status != "RUNNING" or (worker is not None and worker.env is not None and worker.env._program_state is not None)


def _until(condition: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> bool:
    """Whether something of the interpreter's, which tells nobody of it, comes true in time."""
    try:
        return waiting.until(condition, seconds, "the interpreter", interval=POLL_SECONDS)
    except waiting.TimedOut:
        return False


def stop_all(executions: list) -> None:
    """Stops executions that run, and returns when they have ended."""
    import datetime

    for execution in executions:
        if execution.exec_status == "RUNNING" and _until(lambda execution=execution: _has_begun(execution)):
            execution.exec_worker.stop(stop_date=datetime.datetime.now(datetime.UTC), error=None, cause=None)
    for execution in executions:
        _until(lambda execution=execution: execution.exec_status != "RUNNING")


def stop_at_next_transition(execution, ended: Callable[[object], None]) -> None:
    """Aborts an execution when its current state is over, and calls `ended` with it then."""
    import datetime

    def watch() -> None:
        _until(lambda: _has_begun(execution))
        env = execution.exec_worker.env
        current = env.next_state_name
        _until(lambda: execution.exec_status != "RUNNING" or not env.is_running() or env.next_state_name != current, math.inf)
        if execution.exec_status == "RUNNING":
            execution.exec_worker.stop(stop_date=datetime.datetime.now(datetime.UTC), error=None, cause=None)
            _until(lambda: execution.exec_status != "RUNNING")
        ended(execution)

    threading.Thread(target=watch, name=f"deleting-{execution.name}", daemon=True).start()
