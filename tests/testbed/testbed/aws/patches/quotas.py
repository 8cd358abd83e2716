"""Step Functions' own quotas (docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html): 25,000 events of an execution's history,
256 KiB of input, output or arguments of a state, 256 KiB of variables in one Assign. They are settings of the control endpoint's /quotas.

At 24,999 events an execution goes on only to succeed: any other event is ExecutionFailed in its place (…/dg/bp-history-limit.html). What is
too large is States.DataLimitExceeded, which no wildcard catches.
"""

import json
from dataclasses import asdict, dataclass, fields


@dataclass
class Quotas:
    """The quotas in force."""

    historyEvents: int = 25_000  # noqa: N815  the names of the control endpoint
    payloadBytes: int = 256 * 1024  # noqa: N815


QUOTAS = Quotas()


def change(values: dict[str, int]) -> dict[str, int]:
    """Sets what is named, keeps the rest, and answers all. Raises ValueError for an unknown name or a value below 1."""
    unknown = set(values) - {field.name for field in fields(Quotas)}
    if unknown or any(value < 1 for value in values.values()):
        raise ValueError(f"quotas are {', '.join(field.name for field in fields(Quotas))}, each at least 1")
    for name, value in values.items():
        setattr(QUOTAS, name, int(value))
    return current()


def current() -> dict[str, int]:
    """All quotas."""
    return asdict(QUOTAS)


def reset() -> None:
    """AWS's own figures again."""
    for field in fields(Quotas):
        setattr(QUOTAS, field.name, field.default)


def size(value: object) -> int:
    """Bytes of a value as JSON text."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str).encode())


def apply() -> None:
    """Enforces them."""
    _history()
    _payloads()


def _history() -> None:
    from localstack.aws.api.stepfunctions import ExecutionFailedEventDetails, HistoryEventType
    from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails
    from localstack.services.stepfunctions.asl.eval.event.event_manager import EventManager
    from localstack.services.stepfunctions.backend.execution_worker import ExecutionWorker

    last = (
        HistoryEventType.ExecutionSucceeded, HistoryEventType.ExecutionFailed, HistoryEventType.ExecutionAborted,
        HistoryEventType.ExecutionTimedOut,
    )  # fmt: skip
    environment, publish = ExecutionWorker._get_evaluation_environment, EventManager._publish_history_event

    def _get_evaluation_environment(self):
        env = environment(self)
        env.event_manager.root = env
        return env

    def _publish_history_event(self, *arguments, **named) -> None:
        root = getattr(self, "root", None)
        if root is not None and named["event_id"] >= QUOTAS.historyEvents and named["event_type"] not in last and not getattr(self, "ended", False):
            cause = f"The execution reached the maximum number of history events ({QUOTAS.historyEvents})."
            details = ExecutionFailedEventDetails(error="States.Runtime", cause=cause)
            named |= {"event_type": HistoryEventType.ExecutionFailed, "event_details": EventDetails(executionFailedEventDetails=details)}
            _fail(root, details)
        publish(self, *arguments, **named)

    ExecutionWorker._get_evaluation_environment = _get_evaluation_environment
    EventManager._publish_history_event = _publish_history_event


def _fail(env, details) -> None:
    env.set_error(details)
    pending = [env]
    while pending:
        frame = pending.pop()
        pending.extend(list(frame._frames))
        frame.interrupts.fire()


def _payloads() -> None:
    from localstack.services.stepfunctions.asl.component.common.assign.assign_decl import AssignDecl
    from localstack.services.stepfunctions.asl.component.state import state as state_module
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import state_task_service as task_module

    def is_within_size_quota(value: object) -> bool:
        return size(value) <= QUOTAS.payloadBytes

    state_module.is_within_size_quota = task_module.is_within_size_quota = is_within_size_quota
    before, assign = task_module.StateTaskService._before_eval_execution, AssignDecl._eval_body

    def _before_eval_execution(self, env, resource_runtime_part, raw_parameters, state_credentials) -> None:
        if not is_within_size_quota(raw_parameters):
            raise _too_large(env, f"The state/task '{self.name}' has an input with a size exceeding the maximum number of bytes service limit.")
        before(self, env, resource_runtime_part, raw_parameters, state_credentials)

    def _eval_body(self, env) -> None:
        assign(self, env)
        if not is_within_size_quota(env.assigned):
            # AWS does not publish the name of this error.
            raise _too_large(env, "The size of the variables of an Assign field exceeds the maximum number of bytes service limit.")

    task_module.StateTaskService._before_eval_execution = _before_eval_execution
    AssignDecl._eval_body = _eval_body


def _too_large(env, cause: str) -> Exception:
    from localstack.aws.api.stepfunctions import ExecutionFailedEventDetails, HistoryEventType
    from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import StatesErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails

    name = StatesErrorName(typ=StatesErrorNameType.StatesStatesDataLimitExceeded)
    details = ExecutionFailedEventDetails(error=name.error_name, cause=cause)
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=name,
            event_type=HistoryEventType.ExecutionFailed,
            event_details=EventDetails(executionFailedEventDetails=details),
        )
    )
