"""Task tokens that are used up: an answer to a task that is closed is TaskTimedOut, whether it was answered, timed out or stopped; and an
answer that is no JSON, or too long, is InvalidOutput
(docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html)."""


import json

LARGEST_OUTPUT_BYTES = 256 * 1024


def apply() -> None:
    """Mends SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat, and ends a stopped execution's callbacks."""
    from localstack.aws.api.stepfunctions import InvalidOutput, TaskTimedOut
    from localstack.services.stepfunctions.asl.eval.callback.callback import CallbackPoolManager
    from localstack.services.stepfunctions.asl.eval.environment import Environment
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    def closed() -> TaskTimedOut:
        return TaskTimedOut("Task Timed Out: 'Provided task does not exist anymore'")

    def checking(original):
        def method(self, context, task_token, *arguments, **named):
            for execution in list(self.get_store(context).executions.values()):
                env = execution.exec_worker.env if execution.exec_worker else None
                endpoint = env.callback_pool_manager.get(task_token) if env else None
                if endpoint is not None and (execution.exec_status != "RUNNING" or _is_closed(endpoint)):
                    raise closed()
            check(*arguments, **named)
            return original(self, context, task_token, *arguments, **named)

        return method

    def check(output: str | None = None, **_named) -> None:
        if output is None:
            return
        if len(output.encode()) > LARGEST_OUTPUT_BYTES:
            raise InvalidOutput(f"Invalid Output: 'Output is longer than {LARGEST_OUTPUT_BYTES} bytes'")
        try:
            json.loads(output)
        except ValueError as error:
            raise InvalidOutput(f"Invalid Output: '{error}'") from error

    for name in ("send_task_success", "send_task_failure", "send_task_heartbeat"):
        setattr(StepFunctionsProvider, name, checking(getattr(StepFunctionsProvider, name)))

    set_stop = Environment.set_stop

    def set_stop_and_interrupt(self, *arguments, **named) -> None:
        set_stop(self, *arguments, **named)
        if not self.is_frame() and not self.is_running():
            pool: CallbackPoolManager = self.callback_pool_manager
            for endpoint in list(pool._pool.values()):
                endpoint.interrupt_all()

    Environment.set_stop = set_stop_and_interrupt


def _is_closed(endpoint) -> bool:
    """Answered, or given up by the task that waited: both leave the endpoint's event set."""
    return endpoint._outcome is not None or endpoint._notify_event.is_set()
