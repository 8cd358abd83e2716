"""The children of a Distributed Map as executions of their own: with an ARN, a status, a history and status events, found by the map run's
ARN; and the tolerated failures of the map (docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html,
…/dg/maprun-fail-threshold.html).

LocalStack runs the children inside the parent's environment, keeps nothing of them, and lets every failure pass.
"""

import copy
import datetime
import re
import uuid

from testbed.aws.iam import execution_roles
from testbed.aws.patches import resultfiles
from testbed.aws.patches.batches import Batch
from testbed.aws.patches.virtualtime import VirtualDatetime

EXECUTION_ARN = re.compile(
    r"^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:(stateMachine|execution|express):[a-zA-Z0-9-_.]+(/[a-zA-Z0-9-_.]+)?(:\d+)?(:[a-zA-Z0-9-_.]+)*$"
)


def apply() -> None:
    """Makes executions of the children."""
    _jobs()
    _descriptions()


def _now() -> datetime.datetime:
    return VirtualDatetime.now(datetime.UTC)


class ChildWorker:
    """What an execution asks of its worker: an environment, and to stop."""

    def __init__(self, env):
        self.env = env

    def stop(self, stop_date, error, cause) -> None:
        """Stops this child alone."""
        self.env.set_stop(stop_date=stop_date, error=error, cause=cause)


def _open_child(env, record, job, items: int):
    """Registers the execution of one item, and gives its environment a history, variables and an Execution of its own."""
    from localstack.aws.api.stepfunctions import ExecutionStatus, StateMachineType
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor.map_run_record import (
        MapRunRecordPoolManager,
    )
    from localstack.services.stepfunctions.asl.eval.callback.callback import CallbackPoolManager
    from localstack.services.stepfunctions.asl.eval.event.event_manager import EventHistoryContext, EventManager
    from localstack.services.stepfunctions.asl.eval.variable_store import VariableStore
    from localstack.services.stepfunctions.backend.execution import Execution
    from localstack.services.stepfunctions.backend.models import sfn_stores

    details = env.aws_execution_details
    store = sfn_stores[details.account][details.region]
    parent = store.executions[record.execution_arn]
    machine = copy.copy(parent.state_machine)
    setattr(machine, "source_arn" if hasattr(machine, "source_arn") else "arn", record.map_state_machine_arn)
    name = str(uuid.uuid4())
    child = Execution(
        name=name,
        sm_type=StateMachineType.STANDARD,
        role_arn=parent.role_arn,
        exec_arn=f"{record.map_state_machine_arn.replace(':stateMachine:', ':execution:')}:{name}",
        account_id=parent.account_id,
        region_name=parent.region_name,
        state_machine=machine,
        start_date=_now(),
        cloud_watch_logging_session=None,
        activity_store=parent._activity_store,
        input_data=env.states.get_input(),
    )
    child.map_run_arn = record.map_run_arn
    child.item_index, child.item_count = job.job_index, items
    child.exec_worker = ChildWorker(env)
    child.exec_status = ExecutionStatus.RUNNING
    context = env.states.context_object.context_object_data
    context["Execution"] = child.get_start_execution_details_for_context()
    context["StateMachine"] = {**context["StateMachine"], "Id": record.map_state_machine_arn}
    # "…but not within the states included in the ItemProcessor section" (…/dg/input-output-contextobject.html#contextobject-map).
    context.pop("Map", None)
    env.callback_pool_manager, env.map_run_record_pool_manager = CallbackPoolManager(parent._activity_store), MapRunRecordPoolManager()
    env.event_manager = EventManager()
    env.event_manager.root = env
    env.event_history_context = EventHistoryContext.of_program_start()
    env.variable_store = VariableStore()
    # Not a frame of its parent any more: the program writes how it ended into the child's own history.
    env._is_frame = False
    _write_start(env, child)
    store.executions[child.exec_arn] = child
    child.publish_execution_status_change_event()
    return child


def _write_start(env, child) -> None:
    from localstack.aws.api.stepfunctions import ExecutionStartedEventDetails, HistoryEventExecutionDataDetails, HistoryEventType
    from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails
    from localstack.services.stepfunctions.asl.utils.encoding import to_json_str

    details = ExecutionStartedEventDetails(
        input=to_json_str(child.input_data, separators=(",", ":")),
        inputDetails=HistoryEventExecutionDataDetails(truncated=False),
        roleArn=child.role_arn,
    )
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.ExecutionStarted,
        event_details=EventDetails(executionStartedEventDetails=details),
        update_source_event_id=False,
    )


def _close_child(env, child) -> str:
    """Takes the child's end from its program; answers the name of the counter that it falls under."""
    from localstack.aws.api.stepfunctions import ExecutionStatus
    from localstack.services.stepfunctions.asl.eval.program_state import ProgramError, ProgramStopped, ProgramTimedOut

    state = env.program_state()
    child.stop_date = _now()
    if isinstance(state, ProgramError):
        child.error, child.cause = (state.error or {}).get("error"), (state.error or {}).get("cause")
        child.exec_status, outcome = ExecutionStatus.FAILED, "failed"
    elif isinstance(state, (ProgramStopped, ProgramTimedOut)):
        # Timed out is the parent: a child has no timeout of its own.
        child.error, child.cause = getattr(state, "error", None), getattr(state, "cause", None)
        child.exec_status, outcome = ExecutionStatus.ABORTED, "aborted"
    else:
        child.output = env.states.get_input()
        child.exec_status, outcome = ExecutionStatus.SUCCEEDED, "succeeded"
    child.publish_execution_status_change_event()
    return outcome


def _count(record, name: str, items: int, sign: int = 1) -> None:
    """Counts one execution, and the items that it has."""
    getattr(record.execution_counter, name).offset(sign)
    getattr(record.item_counter, name).offset(sign * items)


def _jobs() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor import (
        distributed_item_processor_worker as module,
    )
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.iteration_worker import IterationWorker

    def _eval_job(self, env, job) -> None:
        record = self._map_run_record
        job.job_output = None
        items = len(job.job_input) if isinstance(job.job_input, Batch) else 1
        _count(record, "pending", items, -1)
        if not self._env.is_running() or not env.is_running():
            _count(record, "aborted", items)
            return
        try:
            _select(self, env, job)
        except Exception as exception:
            # The items themselves could not be made: the map fails, not a child of it.
            job.job_output = exception
            return
        child = _open_child(env, record, job, items)
        _count(record, "running", items)
        if getattr(record, "is_aborting", False) or not self._env.is_running():
            # The map was ended while this child began, by a thread that could not see it yet.
            child.exec_worker.stop(stop_date=_now(), error=None, cause=None)
        job.job_program.eval(env)
        outcome = _close_child(env, child)
        _count(record, "running", items, -1)
        _count(record, outcome, items)
        if outcome == "succeeded":
            _count(record, "results_written", items)
            job.job_output = child.output
            return
        job.job_output = resultfiles.described(child)
        if outcome == "failed" and exceeds(record):
            job.job_output = _threshold_exceeded(self._env)
            _abort_siblings(record, self._env)

    def _select(self, env, job) -> None:
        """The child's input: the item as ItemSelector makes it, or the batch of them."""
        context = env.states.context_object.context_object_data

        def selected(index: int, item: object) -> object:
            context["Map"] = {"Item": {"Index": index, "Value": item}}
            env.states.reset(item)
            env.stack.append(env.states.get_input())
            self._eval_input(env_frame=env)
            return env.states.get_input()

        if isinstance(job.job_input, Batch):
            chosen = [selected(job.job_input.first + place, item) for place, item in enumerate(job.job_input)]
            env.states.reset(self._map_run_record.batcher.wrap(chosen))
        else:
            env.states.reset(selected(job.job_index, job.job_input))

    def eval(self) -> None:
        """LocalStack's worker calls itself for each further job, which ends at Python's recursion limit."""
        while (job := self._job_pool.next_job()) is not None:
            frame = self._env.open_inner_frame()
            self._eval_job(env=frame, job=job)
            self._env.delete_frame(frame)
            self._job_pool.close_job(job)
            if isinstance(job.job_output, Exception) or self.stopped():
                return

    def eval_inline(self) -> None:
        frame = self._env.open_frame()
        while (job := self._job_pool.next_job()) is not None:
            inner = frame.open_inner_frame()
            self._eval_job(env=inner, job=job)
            frame.close_frame(inner)
            if not isinstance(job.job_output, Exception):
                # What comes after the map follows the last event of an iteration.
                frame.event_history_context.source_event_id = inner.event_history_context.last_published_event_id
            last = isinstance(job.job_output, Exception) or self.stopped() or not self._job_pool._open_jobs
            if last:
                # Before the job: the map goes on when its jobs are closed, not when its workers are.
                self._env.close_frame(frame)
            self._job_pool.close_job(job)
            if last:
                return
        self._env.close_frame(frame)

    module.DistributedItemProcessorWorker._eval_job = _eval_job
    module.DistributedItemProcessorWorker.eval = eval
    IterationWorker.eval = eval_inline


def _descriptions() -> None:
    """What a child tells of itself: to its own expressions, and to DescribeExecution."""
    from localstack.services.stepfunctions.backend.execution import Execution

    def get_start_execution_details_for_context(self) -> dict:
        return {
            "Id": self.exec_arn,
            "Input": self.input_data,
            "Name": self.name,
            "RoleArn": self.role_arn,
            "StartTime": self._to_serialized_date(self.start_date),
        }

    describe = Execution.to_describe_output

    def to_describe_output(self):
        answer = describe(self)
        if getattr(self, "map_run_arn", None):
            answer["mapRunArn"] = self.map_run_arn
        return answer

    Execution.get_start_execution_details_for_context = get_start_execution_details_for_context
    Execution.to_describe_output = to_describe_output


def exceeds(record) -> bool:
    """Whether a map run has more failures than it tolerates. A threshold that the state does not give counts as zero only when the
    other one is not given either."""
    counts = record.item_counter
    failed = counts.failed.get()
    count, percentage = record.tolerated_failure_count, record.tolerated_failure_percentage
    limits = []
    if count or not percentage:
        limits.append(failed > count)
    if percentage:
        limits.append(failed * 100 > percentage * counts.total.get())
    return any(limits)


def not_permitted(env, refused):
    """The role may not start children. AWS's error name for this is not published; States.Permissions is the language's own."""
    role = execution_roles.principal_of(env.aws_execution_details.role_arn)
    who = role.session_arn if role else env.aws_execution_details.role_arn
    cause = (
        f"User: {who} is not authorized to perform: {refused.need.action} on resource: {refused.need.resource} "
        f"because no {refused.layer} allows the {refused.need.action} action"
    )
    return map_failure(env, "StatesPermissions", cause)


def _threshold_exceeded(env):
    return map_failure(env, "StatesExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded")


def map_failure(env, error: str, cause: str):
    from localstack.aws.api.stepfunctions import HistoryEventType, MapRunFailedEventDetails
    from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import StatesErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails

    name = StatesErrorName(typ=StatesErrorNameType[error])
    details = MapRunFailedEventDetails(error=name.error_name, cause=cause)
    failure = FailureEvent(
        env=env,
        error_name=name,
        event_type=HistoryEventType.MapRunFailed,
        event_details=EventDetails(mapRunFailedEventDetails=details),
    )
    return FailureEventException(failure_event=failure)


def children_of(account: str, region: str, map_run_arn: str) -> list:
    """The executions that a map run started, in the order of their items."""
    from localstack.services.stepfunctions.backend.models import sfn_stores

    found = [
        execution
        for execution in list(sfn_stores[account][region].executions.values())
        if getattr(execution, "map_run_arn", None) == map_run_arn
    ]
    return sorted(found, key=lambda execution: execution.item_index)


def of_run(record, env) -> list:
    """The executions of a map run, in the order of their items."""
    details = env.aws_execution_details
    return children_of(details.account, details.region, record.map_run_arn)


def _abort_siblings(record, env) -> None:
    # First the mark, then the look: a child that begins meanwhile sees the one or is seen by the other.
    record.is_aborting = True
    for child in of_run(record, env):
        if child.exec_status == "RUNNING":
            child.exec_worker.stop(stop_date=_now(), error=None, cause=None)
