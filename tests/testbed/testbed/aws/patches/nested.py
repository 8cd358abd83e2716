"""A task that awaits a nested execution stops it when the task is aborted: when the execution is stopped, or a sibling branch or iteration
has failed (docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-sync: a best effort, with the execution role's own
right to states:StopExecution). A task that has timed out is not named there, and leaves the nested execution alone."""

import logging

from botocore.exceptions import BotoCoreError, ClientError

LOG = logging.getLogger(__name__)


def apply() -> None:
    """Adds the stop to `.sync` and `.sync:2`."""
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_sfn import (
        StateTaskServiceSfn,
    )
    from localstack.services.stepfunctions.asl.eval.callback.callback import CallbackOutcomeTimedOut
    from localstack.services.stepfunctions.asl.eval.program_state import ProgramTimedOut

    from testbed.aws.patches.roles import boto_client_for

    def stoppable(original):
        def build(self, env, resource_runtime_part, normalised_parameters, state_credentials):
            execution = env.stack[-1]["ExecutionArn"]
            resolver = original(self, env, resource_runtime_part, normalised_parameters, state_credentials)
            client = boto_client_for("stepfunctions", resource_runtime_part.region, state_credentials)

            def stop() -> None:
                try:
                    client.stop_execution(executionArn=execution)
                except (ClientError, BotoCoreError):
                    LOG.info("%s goes on: it could not be stopped", execution, exc_info=True)

            resolver.stop = stop
            return resolver

        return build

    eval_sync = StateTaskServiceSfn._eval_sync

    def _eval_sync(self, env, sync_resolver, *arguments, **named):
        outcome = eval_sync(self, env, sync_resolver, *arguments, **named)
        # The wait for a token that nobody will send is interrupted by the stop, too.
        unfinished = not outcome or isinstance(outcome, CallbackOutcomeTimedOut)
        timed_out = getattr(env, "timed_out", False) or isinstance(env.program_state(), ProgramTimedOut)
        if unfinished and not env.is_running() and not timed_out:
            sync_resolver.stop()
        return outcome

    for name in ("_build_sync_resolver", "_build_sync2_resolver"):
        setattr(StateTaskServiceSfn, name, stoppable(getattr(StateTaskServiceSfn, name)))
    StateTaskServiceSfn._eval_sync = _eval_sync
