"""Which errors a Retry or Catch matches (docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html).

A branch's or iteration's error keeps its name, also when that is one of the language's own. States.ALL matches neither States.Runtime nor States.DataLimitExceeded; States.TaskFailed matches every error but States.Timeout; a missed
heartbeat is States.Timeout in the history and is matched by States.HeartbeatTimeout too. A heartbeat brings no timeout with it
(…/dg/sfn-stuck-execution.html has one without TimeoutSeconds): LocalStack gives such a task 60 seconds.
"""

TERMINAL = ("States.Runtime", "States.DataLimitExceeded")
"""What no wildcard matches."""


def matches(error: object, listed: list[str]) -> bool:
    """Whether an error name of the interpreter is one of those that ErrorEquals lists."""
    name = error.error_name if error is not None else None
    if name in listed:
        return True
    if getattr(error, "heartbeat", False) and "States.HeartbeatTimeout" in listed:
        return True
    if name in TERMINAL:
        return False
    return "States.ALL" in listed or ("States.TaskFailed" in listed and name != "States.Timeout")


def apply() -> None:
    """Mends the matching and the timeout."""
    from localstack.services.stepfunctions.asl.component.common.error_name.custom_error_name import CustomErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
    from localstack.services.stepfunctions.asl.component.common.error_name.error_name import ErrorName
    from localstack.services.stepfunctions.asl.component.common.timeouts.heartbeat import Heartbeat
    from localstack.services.stepfunctions.asl.component.common.timeouts.timeout import Timeout, TimeoutSeconds
    from localstack.services.stepfunctions.asl.component.state.state_execution.execute_state import ExecutionState
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.state_task import StateTask
    from localstack.services.stepfunctions.asl.eval.callback.callback import HeartbeatTimeoutError

    def _eval_body(self, env) -> None:
        error = env.stack.pop()
        env.stack.append(matches(error, [name.error_name for name in self.error_names]))

    from_error, from_state_props = StateTask._from_error, ExecutionState.from_state_props

    def _from_error(self, env, ex):
        failure = from_error(self, env=env, ex=ex)
        if isinstance(ex, HeartbeatTimeoutError):
            failure.error_name.heartbeat = True
        return failure

    def without_default(self, state_props) -> None:
        from_state_props(self, state_props=state_props)
        if state_props.get(Heartbeat) is not None and state_props.get(Timeout) is None:
            self.timeout = TimeoutSeconds(timeout_seconds=TimeoutSeconds.DEFAULT_TIMEOUT_SECONDS, is_default=True)

    CustomErrorName.__init__ = ErrorName.__init__
    ErrorEqualsDecl._eval_body = _eval_body
    StateTask._from_error = _from_error
    ExecutionState.from_state_props = without_default
