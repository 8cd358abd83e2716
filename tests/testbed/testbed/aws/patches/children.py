"""The children of a Distributed Map as executions of their own: with an ARN, a status and a history, found by the map run's ARN; and the
tolerated failures of the map (docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html).

LocalStack runs the children inside the parent's environment, keeps nothing of them, and lets every failure pass.
"""

import copy
import datetime
import re
import uuid

from testbed.aws.iam import execution_roles
from testbed.aws.patches import roles
from testbed.aws.patches.virtualtime import VirtualDatetime

EXECUTION_ARN = re.compile(
    r"^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:(stateMachine|execution|express):[a-zA-Z0-9-_.]+(/[a-zA-Z0-9-_.]+)?(:\d+)?(:[a-zA-Z0-9-_.]+)*$"
)


def apply() -> None:
    """Mends Distributed Maps and the operations that look into them."""
    _map_runs()
    _jobs()
    _tolerance()
    _listing()


def _now() -> datetime.datetime:
    return VirtualDatetime.now(datetime.UTC)


def _map_runs() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor.map_run_record import (
        MapRunRecord,
    )
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    original = MapRunRecord._generate_map_run_arns

    def _generate_map_run_arns(state_machine_arn, label):
        # An execution of a version has the version in its state machine's ARN; a map run has not.
        return original(state_machine_arn=":".join(state_machine_arn.split(":")[:7]), label=label)

    MapRunRecord._generate_map_run_arns = staticmethod(_generate_map_run_arns)
    StepFunctionsProvider._STATE_MACHINE_EXECUTION_ARN_REGEX = EXECUTION_ARN


class ChildWorker:
    """What an execution asks of its worker: an environment, and to stop."""

    def __init__(self, env):
        self.env = env

    def stop(self, stop_date, error, cause) -> None:
        """Stops this child alone."""
        self.env.set_stop(stop_date=stop_date, error=error, cause=cause)


def _open_child(env, record, job):
    """Registers the execution of one item, and gives its environment a history, variables and an Execution of its own."""
    from localstack.aws.api.stepfunctions import ExecutionStatus, StateMachineType
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
    child.item_index = job.job_index
    child.exec_worker = ChildWorker(env)
    child.exec_status = ExecutionStatus.RUNNING
    context = env.states.context_object.context_object_data
    context["Execution"] = child.get_start_execution_details_for_context()
    env.event_manager = EventManager()
    env.event_history_context = EventHistoryContext.of_program_start()
    env.variable_store = VariableStore()
    # Not a frame of its parent any more: the program writes how it ended into the child's own history.
    env._is_frame = False
    _write_start(env, child)
    store.executions[child.exec_arn] = child
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
        child.exec_status = ExecutionStatus.FAILED
        return "failed"
    if isinstance(state, ProgramStopped):
        child.error, child.cause = state.error, state.cause
        child.exec_status = ExecutionStatus.ABORTED
        return "aborted"
    if isinstance(state, ProgramTimedOut):
        child.exec_status = ExecutionStatus.TIMED_OUT
        return "timed_out"
    child.output = env.states.get_input()
    child.exec_status = ExecutionStatus.SUCCEEDED
    return "succeeded"


def _count(record, name: str, by: int = 1) -> None:
    for counter in (record.item_counter, record.execution_counter):
        getattr(counter, name).offset(by)


def _jobs() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor import (
        distributed_item_processor_worker as module,
    )
    from localstack.services.stepfunctions.asl.eval.states import ItemData, MapData
    from localstack.services.stepfunctions.backend.execution import Execution

    def get_start_execution_details_for_context(self) -> dict:
        return {
            "Id": self.exec_arn,
            "Input": self.input_data,
            "Name": self.name,
            "RoleArn": self.role_arn,
            "StartTime": self._to_serialized_date(self.start_date),
        }

    def _eval_job(self, env, job) -> None:
        record = self._map_run_record
        job.job_output = None
        _count(record, "pending", -1)
        if not self._env.is_running() or not env.is_running():
            _count(record, "aborted")
            return
        try:
            env.states.context_object.context_object_data["Map"] = MapData(Item=ItemData(Index=job.job_index, Value=job.job_input))
            env.states.reset(job.job_input)
            env.stack.append(env.states.get_input())
            self._eval_input(env_frame=env)
        except Exception as exception:
            # The items themselves could not be made: the map fails, not a child of it.
            job.job_output = exception
            return
        child = _open_child(env, record, job)
        _count(record, "running")
        job.job_program.eval(env)
        outcome = _close_child(env, child)
        _count(record, "running", -1)
        _count(record, outcome)
        if outcome == "succeeded":
            _count(record, "results_written")
            job.job_output = child.output
        elif outcome in ("failed", "timed_out") and exceeds(record):
            job.job_output = _threshold_exceeded(self._env)
            _abort_siblings(record, self._env)

    Execution.get_start_execution_details_for_context = get_start_execution_details_for_context
    module.DistributedItemProcessorWorker._eval_job = _eval_job


def exceeds(record) -> bool:
    """Whether a map run has more failures than it tolerates. A threshold that the state does not give counts as zero only when the
    other one is not given either."""
    counts = record.item_counter
    failed = counts.failed.get() + counts.timed_out.get()
    count, percentage = record.tolerated_failure_count, record.tolerated_failure_percentage
    limits = []
    if count or not percentage:
        limits.append(failed > count)
    if percentage:
        limits.append(failed * 100 > percentage * counts.total.get())
    return any(limits)


def _not_permitted(env, refused):
    """The role may not start children. AWS's error name for this is not published; States.Permissions is the language's own."""
    role = execution_roles.principal_of(env.aws_execution_details.role_arn)
    who = role.session_arn if role else env.aws_execution_details.role_arn
    cause = (
        f"User: {who} is not authorized to perform: {refused.need.action} on resource: {refused.need.resource} "
        f"because no {refused.layer} allows the {refused.need.action} action"
    )
    return _map_failure(env, "StatesPermissions", cause)


def _threshold_exceeded(env):
    return _map_failure(env, "StatesExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded")


def _map_failure(env, error: str, cause: str):
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


def _abort_siblings(record, env) -> None:
    details = env.aws_execution_details
    for child in children_of(details.account, details.region, record.map_run_arn):
        if child.exec_status == "RUNNING":
            child.exec_worker.stop(stop_date=_now(), error=None, cause=None)


def _tolerance() -> None:
    """Counts start with all items pending, and a run that was stopped is ABORTED."""
    from localstack.aws.api.stepfunctions import MapRunStatus
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration import (
        distributed_iteration_component as module,
    )
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor.map_run_record import (
        MapRunRecord,
    )

    map_run = module.DistributedIterationComponent._map_run

    def _map_run(self, env, eval_input) -> None:
        record = eval_input.map_run_record
        items = env.stack[-1]
        record.env = env
        refused = execution_roles.may_start_children(
            env.aws_execution_details.role_arn, roles.state_machine_arn(env), env.aws_execution_details.region
        )
        if refused is not None:
            raise _not_permitted(env, refused)
        _count(record, "total", len(items))
        _count(record, "pending", len(items))
        if not items:
            # No worker would ever say that it is done.
            env.stack.pop()
            env.stack.append([])
            return
        map_run(self, env, eval_input)

    set_stop = MapRunRecord.set_stop

    def set_stop_or_abort(self, status) -> None:
        env = getattr(self, "env", None)
        if env is not None and not env.is_running():
            status = MapRunStatus.ABORTED
        set_stop(self, status)

    module.DistributedIterationComponent._map_run = _map_run
    MapRunRecord.set_stop = set_stop_or_abort


def _listing() -> None:
    """ListExecutions by map run."""
    from localstack.aws.api import CommonServiceException
    from localstack.aws.api.stepfunctions import ListExecutionsOutput, ResourceNotFound
    from localstack.services.stepfunctions.provider import StepFunctionsProvider
    from localstack.services.stepfunctions.stepfunctions_utils import get_next_page_token_from_arn, normalise_max_results
    from localstack.utils.collections import PaginatedList

    by_machine = StepFunctionsProvider.list_executions

    def list_executions(
        self, context, state_machine_arn=None, status_filter=None, max_results=None, next_token=None, map_run_arn=None, **kwargs
    ):
        if not map_run_arn:
            if not state_machine_arn:
                message = "1 validation error detected: Must provide a StateMachine ARN or MapRun ARN"
                raise CommonServiceException("ValidationException", message, 400, True)
            return by_machine(self, context, state_machine_arn, status_filter, max_results, next_token, **kwargs)
        if state_machine_arn:
            message = "1 validation error detected: Must provide either a StateMachine ARN or a MapRun ARN, not both"
            raise CommonServiceException("ValidationException", message, 400, True)
        if not _map_run_exists(self.get_store(context), map_run_arn):
            raise ResourceNotFound(f"Resource not found: '{map_run_arn}'")
        items = []
        for child in children_of(context.account_id, context.region, map_run_arn):
            if status_filter in (None, child.exec_status):
                items.append({**child.to_execution_list_item(), "mapRunArn": map_run_arn, "itemCount": 1})
        items.sort(key=lambda item: item["startDate"], reverse=True)
        page, token = PaginatedList(items).get_page(
            token_generator=lambda item: get_next_page_token_from_arn(item["executionArn"]),
            page_size=normalise_max_results(max_results),
            next_token=next_token,
        )
        return ListExecutionsOutput(executions=page, nextToken=token)

    StepFunctionsProvider.list_executions = list_executions


def _map_run_exists(store, map_run_arn: str) -> bool:
    for execution in list(store.executions.values()):
        env = execution.exec_worker.env if execution.exec_worker else None
        if env is not None and env.map_run_record_pool_manager.get(map_run_arn) is not None:
            return True
    return False
