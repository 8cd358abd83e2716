"""State machines as AWS keeps them: names, versions by `publish`, idempotent creates, updates that are seen late, deletion.

docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html, …/API_UpdateStateMachine.html,
…/API_DeleteStateMachine.html.
"""

import copy

from testbed.aws import eventual
from testbed.aws.settings import CLOCK

LONGEST_NAME = 80


def apply() -> None:
    """Mends the provider's operations on state machines."""
    _names_and_versions()
    _revisions()
    _late_updates()
    _deletion()


def _names_and_versions() -> None:
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    original = StepFunctionsProvider.create_state_machine

    def create_state_machine(self, context, request, **kwargs):
        self._validate_activity_name(request["name"])  # the same rule as for activities
        machines = self.get_store(context).state_machines
        answer = original(self, context, request, **kwargs)
        if request.get("publish") and not answer.get("stateMachineVersionArn"):
            # An idempotent create answers the version that there is, or publishes the one that there is not yet.
            machine = machines[answer["stateMachineArn"]]
            version = machine.create_version(description=request.get("versionDescription"))
            if version is not None:
                machines[version.arn] = version
            answer["stateMachineVersionArn"] = machine.versions[machine.revision_id]
        return answer

    StepFunctionsProvider.create_state_machine = create_state_machine


def _revisions() -> None:
    """An update that changes nothing makes no revision: its answer has no revisionId."""
    from localstack.services.stepfunctions.backend.state_machine import StateMachineRevision

    original = StateMachineRevision.create_revision

    def create_revision(self, definition, role_arn, logging_configuration):
        before, snapshot = self.revision_id, _snapshot(self)
        after = original(self, definition, role_arn, logging_configuration)
        if after == before:
            return None
        self.superseded = (CLOCK.now(), snapshot)
        return after

    StateMachineRevision.create_revision = create_revision


def _snapshot(machine):
    twin = copy.copy(machine)
    twin.superseded = None
    return twin


def _late_updates() -> None:
    """StartExecution deep-copies the state machine that it starts: for as long as the account is told to be inconsistent, the copy is of
    what stood before the update. Versions are exact."""
    from localstack.services.stepfunctions.backend.state_machine import StateMachineRevision

    def __deepcopy__(self, memo):
        updated, before = getattr(self, "superseded", None) or (0.0, None)
        seen = before if before is not None and CLOCK.now() - updated < eventual.SETTINGS.state_machine_update else self
        twin = seen.__class__.__new__(seen.__class__)
        twin.__dict__.update({name: copy.deepcopy(value, memo) for name, value in vars(seen).items() if name != "superseded"})
        return twin

    StateMachineRevision.__deepcopy__ = __deepcopy__


def _deletion() -> None:
    """A deleted state machine is DELETING until its executions have ended, which they do at their next transition."""
    from localstack.aws.api.stepfunctions import (
        DeleteStateMachineOutput,
        ExecutionStatus,
        StateMachineDeleting,
        StateMachineStatus,
    )
    from localstack.services.stepfunctions.backend.state_machine import StateMachineRevision
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    from testbed.aws.patches import stopping

    delete, create, start = (
        StepFunctionsProvider.delete_state_machine,
        StepFunctionsProvider.create_state_machine,
        StepFunctionsProvider.start_execution,
    )

    def running(store, arn):
        return [
            execution
            for execution in list(store.executions.values())
            if execution.state_machine_arn == arn and execution.exec_status == ExecutionStatus.RUNNING
        ]

    def delete_state_machine(self, context, state_machine_arn, **kwargs):
        store = self.get_store(context)
        machine = store.state_machines.get(state_machine_arn)
        alive = running(store, state_machine_arn)
        if not isinstance(machine, StateMachineRevision) or not alive:
            _forget(store, state_machine_arn)
            return delete(self, context, state_machine_arn, **kwargs)
        machine.deleting = True
        left = {execution.exec_arn for execution in alive}

        def ended(execution):
            left.discard(execution.exec_arn)
            if not left and store.state_machines.get(state_machine_arn) is machine:
                _forget(store, state_machine_arn)
                delete(self, context, state_machine_arn)

        for execution in alive:
            stopping.stop_at_next_transition(execution, ended)
        return DeleteStateMachineOutput()

    def refuse_deleting(self, context, arn):
        machine = self.get_store(context).state_machines.get(arn)
        if machine is not None and getattr(machine, "deleting", False):
            raise StateMachineDeleting(f"State Machine Deleting: '{arn}'")

    def create_state_machine(self, context, request, **kwargs):
        arn = f"arn:{context.partition}:states:{context.region}:{context.account_id}:stateMachine:{request['name']}"
        refuse_deleting(self, context, arn)
        return create(self, context, request, **kwargs)

    def start_execution(self, context, state_machine_arn, *arguments, **kwargs):
        refuse_deleting(self, context, ":".join(state_machine_arn.split(":")[:7]))
        return start(self, context, state_machine_arn, *arguments, **kwargs)

    describe = StateMachineRevision.describe

    def describe_deleting(self):
        answer = describe(self)
        if getattr(self, "deleting", False):
            answer["status"] = StateMachineStatus.DELETING
        return answer

    StepFunctionsProvider.delete_state_machine = delete_state_machine
    StepFunctionsProvider.create_state_machine = create_state_machine
    StepFunctionsProvider.start_execution = start_execution
    StateMachineRevision.describe = describe_deleting


def _forget(store, state_machine_arn: str) -> None:
    """The executions of a deleted state machine go with it."""
    for arn, execution in list(store.executions.items()):
        owner = execution.state_machine_arn
        if owner == state_machine_arn or owner.startswith(f"{state_machine_arn}/"):
            store.executions.pop(arn, None)
