"""Map runs: what a Distributed Map does before and after its children, and the operations that look into it
(docs.aws.amazon.com/step-functions/latest/dg/concepts-examine-map-run.html, …/latest/apireference/API_DescribeMapRun.html,
…/API_ListMapRuns.html, …/API_ListExecutions.html).
"""

from testbed.aws.iam import execution_roles
from testbed.aws.patches import children, roles

MOST_WORKERS = 1000
"""Children of one map run that run at once here; AWS's own bound is 10,000."""


def apply() -> None:
    """Mends map runs and the operations on them."""
    _arns()
    _runs()
    _describing()
    _listing()


def _arns() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor.map_run_record import (
        MapRunRecord,
    )
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    original = MapRunRecord._generate_map_run_arns

    def _generate_map_run_arns(state_machine_arn, label):
        # An execution of a version has the version in its state machine's ARN; a map run has not.
        return original(state_machine_arn=":".join(state_machine_arn.split(":")[:7]), label=label)

    MapRunRecord._generate_map_run_arns = staticmethod(_generate_map_run_arns)
    StepFunctionsProvider._STATE_MACHINE_EXECUTION_ARN_REGEX = children.EXECUTION_ARN


def _runs() -> None:
    """Counts start with all items pending, no more workers than children, a run that was stopped is ABORTED, and a run that has failed
    leaves its results where the state wants them."""
    from localstack.aws.api.stepfunctions import MapRunStatus
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration import (
        distributed_iteration_component as module,
    )
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.itemprocessor.map_run_record import (
        MapRunRecord,
    )
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_map.iteration.job import JobPool

    def _map_run(self, env, eval_input) -> None:
        record = eval_input.map_run_record
        items = env.stack.pop()
        record.env = env
        env.map_run_record = record
        env.map_run_children = lambda: children.of_run(record, env)
        refused = execution_roles.may_start_children(
            env.aws_execution_details.role_arn, roles.state_machine_arn(env), env.aws_execution_details.region
        )
        if refused is not None:
            raise children.not_permitted(env, refused)
        record.batcher = getattr(self, "batcher", None)
        inputs = record.batcher.cut(env, items) if record.batcher else items
        for name in ("total", "pending"):
            getattr(record.item_counter, name).offset(len(items))
            getattr(record.execution_counter, name).offset(len(inputs))
        try:
            env.stack.append(_work(self, env, eval_input, JobPool(self._get_iteration_program(), inputs)))
        except Exception:
            writer = getattr(self, "writer", None)
            if writer is not None and env.is_running():
                writer.write(env, env.map_run_children())
            raise

    def _work(self, env, eval_input, pool) -> list:
        if pool._jobs_number == 0:
            return []  # no worker would ever say that it is done
        for _ in range(min(eval_input.map_run_record.max_concurrency or MOST_WORKERS, pool._jobs_number, MOST_WORKERS)):
            self._launch_worker(env=env, eval_input=eval_input, job_pool=pool)
        pool.await_jobs()
        if pool.get_worker_exception() is not None:
            raise pool.get_worker_exception()
        return [job.job_output for job in pool.get_closed_jobs()]

    set_stop = MapRunRecord.set_stop

    def set_stop_or_abort(self, status) -> None:
        env = getattr(self, "env", None)
        if env is not None and not env.is_running():
            status = MapRunStatus.ABORTED
        set_stop(self, status)

    module.DistributedIterationComponent._map_run = _map_run
    MapRunRecord.set_stop = set_stop_or_abort


def _records(store) -> dict:
    """Every map run of an account and Region, by its ARN."""
    found = {}
    for execution in list(store.executions.values()):
        env = execution.exec_worker.env if execution.exec_worker else None
        if env is not None:
            found |= {record.map_run_arn: record for record in env.map_run_record_pool_manager.get_all()}
    return found


def _describing() -> None:
    from localstack.aws.api.stepfunctions import ListMapRunsOutput, ResourceNotFound
    from localstack.services.stepfunctions.provider import StepFunctionsProvider
    from localstack.services.stepfunctions.stepfunctions_utils import normalise_max_results
    from localstack.utils.collections import PaginatedList

    def describe_map_run(self, context, map_run_arn, **kwargs):
        record = _records(self.get_store(context)).get(map_run_arn)
        if record is None:
            raise ResourceNotFound(f"Resource not found: '{map_run_arn}'", resourceName=map_run_arn)
        return record.describe() | {"redriveCount": 0}

    def list_map_runs(self, context, execution_arn, max_results=None, next_token=None, **kwargs):
        execution = self._get_execution(context=context, execution_arn=execution_arn)
        env = execution.exec_worker.env if execution.exec_worker else None
        records = env.map_run_record_pool_manager.get_all() if env is not None else []
        page, token = PaginatedList([record.list_item() for record in records]).get_page(
            token_generator=lambda item: item["mapRunArn"], page_size=normalise_max_results(max_results), next_token=next_token
        )
        return ListMapRunsOutput(mapRuns=page, nextToken=token)

    StepFunctionsProvider.describe_map_run = describe_map_run
    StepFunctionsProvider.list_map_runs = list_map_runs


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
        if map_run_arn not in _records(self.get_store(context)):
            raise ResourceNotFound(f"Resource not found: '{map_run_arn}'", resourceName=map_run_arn)
        items = []
        for child in children.children_of(context.account_id, context.region, map_run_arn):
            if status_filter in (None, child.exec_status):
                items.append({**child.to_execution_list_item(), "mapRunArn": map_run_arn, "itemCount": child.item_count})
        items.sort(key=lambda item: item["startDate"], reverse=True)
        page, token = PaginatedList(items).get_page(
            token_generator=lambda item: get_next_page_token_from_arn(item["executionArn"]),
            page_size=normalise_max_results(max_results),
            next_token=next_token,
        )
        return ListExecutionsOutput(executions=page, nextToken=token)

    StepFunctionsProvider.list_executions = list_executions
