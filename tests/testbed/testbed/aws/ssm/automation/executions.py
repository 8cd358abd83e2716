"""The executions of one account and Region: starting, stopping, signalling; the quota of those that run at once.

Errors: ``AutomationDefinitionNotFoundException``, ``AutomationDefinitionVersionNotFoundException``,
``InvalidAutomationExecutionParametersException``, ``AutomationExecutionLimitExceededException``, ``IdempotentParameterMismatch``,
``AutomationExecutionNotFoundException``, ``InvalidAutomationStatusUpdateException``, ``InvalidAutomationSignalException``,
``AutomationStepNotFoundException``.
"""

import json
import uuid
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .. import arguments
from ..callers import CALLER
from ..errors import ServiceError, not_built
from . import rates
from .content import REFERENCE, Runbook
from .engine import Engine
from .rates import Rate
from .records import Execution, StepExecution

if TYPE_CHECKING:
    from ..model import Account

_NOT_BUILT = ("TargetMaps", "TargetLocations", "TargetLocationsURL", "AlarmConfiguration")
_RATE = ("TargetParameterName", "Targets", "MaxConcurrency", "MaxErrors")


class Executions:
    """The executions, newest last."""

    def __init__(self, account: "Account"):
        self._account, self._system = account, account.system
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[str, tuple[str, str]] = {}
        self._clients: dict[str, Callable[[str], object]] = {}
        self._rates: dict[str, Rate] = {}

    def start(self, request: dict) -> Execution:
        """StartAutomationExecution; the same ClientToken with the same request is the same execution."""
        asked = json.dumps({key: value for key, value in request.items() if key != "ClientToken"}, sort_keys=True)
        token = request.get("ClientToken")
        if token in self._tokens:
            known, execution_id = self._tokens[token]
            if known != asked:
                raise ServiceError("IdempotentParameterMismatch", "The client token was used with other parameters before.")
            return self._executions[execution_id]
        for name in _NOT_BUILT:
            if request.get(name):
                raise not_built(f"{name} of StartAutomationExecution")
        if request.get("Mode", "Auto") != "Auto":
            raise not_built("interactive executions of runbooks")
        execution = self._at_scale(request) if request.get("TargetParameterName") else self._one(request)
        if token:
            self._tokens[token] = (asked, execution.id)
        self._admit()
        return execution

    def _one(self, request: dict) -> Execution:
        """An ordinary execution."""
        if request.get("Targets"):
            raise ServiceError("InvalidTarget", "Targets need a TargetParameterName.")
        execution = self._made(request)
        self._check_quota()
        self._clients[execution.id] = self._system.clients(CALLER.get(), execution.role, execution.id, self._account)
        self._executions[execution.id] = execution
        return execution

    def _at_scale(self, request: dict) -> Execution:
        """A parent with a child for each target."""
        if not request.get("Targets"):
            raise ServiceError("InvalidTarget", "TargetParameterName needs Targets.")
        name, given = request["TargetParameterName"], request.get("Parameters") or {}
        if name in given:
            raise ServiceError("InvalidAutomationExecutionParametersException", f"{name} is given as a parameter and by targets.")
        resolved = rates.values(self._account, request)
        if not resolved:
            raise ServiceError("InvalidTarget", "The targets mean no resource.")
        parent = self._made({**request, "Parameters": {**given, name: resolved[:1]}})
        parent.given, parent.steps, parent.resolved = given, [], resolved
        parent.rate = {key: request[key] for key in _RATE if request.get(key)}
        del parent.parameters[name]
        clients = self._system.clients(CALLER.get(), parent.role, parent.id, self._account)
        children = [self._made({**request, "Parameters": {**given, name: [value]}}) for value in resolved]
        self._executions[parent.id] = parent
        for child, value in zip(children, resolved, strict=True):
            child.parent, child.target, child.requested_to_run = parent.id, value, False
            self._executions[child.id], self._clients[child.id] = child, clients
        parent.status, parent.started = "InProgress", parent.requested
        self._rates[parent.id] = Rate(parent, children, request, lambda _: self._admit())
        self._rates[parent.id].go_on(parent.requested)
        return parent

    def _over(self, execution: Execution) -> None:
        """An execution has ended: room for others."""
        if rate := self._rates.get(execution.parent):
            rate.go_on(self._system.scheduler.now())
        self._admit()

    def stop(self, execution_id: str, kind: str) -> None:
        """StopAutomationExecution."""
        execution = self.get(execution_id)
        if kind == "Complete":
            raise not_built("StopAutomationExecution of type Complete")
        if execution.done:
            raise ServiceError(
                "InvalidAutomationStatusUpdateException", f"The execution has the status {execution.status} and cannot be stopped."
            )
        execution.stopped = True
        if rate := self._rates.get(execution.id):
            execution.status = "Cancelling"
            for child in rate.children:
                if child.requested_to_run and not child.done:
                    self.stop(child.id, kind)
            rate.go_on(self._system.scheduler.now())
            return
        if execution.status == "Pending":
            execution.status, execution.ended = "Cancelled", self._system.scheduler.now()
        else:
            execution.status = "Cancelling"
        execution.woken.set()

    def signal(self, execution_id: str, kind: str) -> None:
        """SendAutomationSignal: Approve and Reject for aws:approve, Resume for aws:pause."""
        execution = self.get(execution_id)
        step = next((step for step in execution.steps if step.status == "Waiting"), None)
        wanted = {"Approve": "aws:approve", "Reject": "aws:approve", "Resume": "aws:pause"}.get(kind)
        if wanted is None:
            raise not_built(f"the signal {kind}")
        if step is None or step.step.action != wanted:
            raise ServiceError("InvalidAutomationSignalException", "The signal isn't valid for the current Automation execution.")
        caller = CALLER.get().arn
        if wanted == "aws:approve":
            _check_approver(step, caller)
        step.signals.append((kind, caller))
        execution.woken.set()

    def get(self, execution_id: str) -> Execution:
        """An execution that was started here."""
        if execution_id not in self._executions:
            raise ServiceError(
                "AutomationExecutionNotFoundException", f"There is no automation execution information for the id {execution_id}."
            )
        return self._executions[execution_id]

    def find(self, execution_id: str) -> Execution | None:
        return self._executions.get(execution_id)

    def newest_first(self) -> list[Execution]:
        """A child is there as soon as its turn has come."""
        return [execution for execution in reversed(self._executions.values()) if execution.requested_to_run]

    def forget(self) -> None:
        """Their threads end without a word."""
        for execution in self._executions.values():
            execution.forgotten = True
            execution.woken.set()

    def _made(self, request: dict) -> Execution:
        version, runbook = self._runbook(request)
        given = request.get("Parameters") or {}
        try:
            bound = arguments.bind(runbook, given)
        except ServiceError as error:
            raise ServiceError("InvalidAutomationExecutionParametersException", error.message) from error
        return Execution(
            id=str(uuid.uuid4()),
            document=self._account.documents.get(request["DocumentName"]).name,
            version=str(version),
            runbook=runbook,
            given=given,
            parameters=bound,
            role=assume_role(runbook, bound),
            caller=CALLER.get(),
            requested=self._system.scheduler.now(),
            tags={tag["Key"]: tag["Value"] for tag in request.get("Tags") or []},
            steps=[StepExecution(str(uuid.uuid4()), step) for step in runbook.steps],
        )

    def _runbook(self, request: dict) -> tuple[int, Runbook]:
        name = request["DocumentName"]
        try:
            document = self._account.documents.get(name)
        except ServiceError as error:
            raise ServiceError("AutomationDefinitionNotFoundException", f"An Automation runbook {name} could not be found.") from error
        if document.type != "Automation":
            raise ServiceError("AutomationDefinitionNotFoundException", f"The document {name} is of type {document.type}, not Automation.")
        try:
            version = document.version(request.get("DocumentVersion"))
        except ServiceError as error:
            raise ServiceError("AutomationDefinitionVersionNotFoundException", error.message) from error
        return version.number, version.content

    def _check_quota(self) -> None:
        waiting = sum(execution.status == "Pending" and execution.requested_to_run for execution in self._executions.values())
        if waiting >= self._system.quotas.automation_queue:
            raise ServiceError("AutomationExecutionLimitExceededException", "The number of running and queued executions is at its limit.")

    def _admit(self) -> None:
        """Begins what was queued, as far as the quota goes."""
        running = sum(not e.done and e.status != "Pending" and e.id not in self._rates for e in self._executions.values())
        for execution in list(self._executions.values()):
            if running >= self._system.quotas.automation_concurrent:
                return
            if execution.status == "Pending" and execution.requested_to_run and not execution.stopped:
                ended = partial(self._over, execution)
                Engine(self._account, execution, self._clients[execution.id], ended).start()
                running += 1


def assume_role(runbook: Runbook, bound: dict[str, object]) -> str:
    """The role that an execution is to assume: the runbook's own, or the one given for its parameter; empty for none."""
    reference = REFERENCE.fullmatch(runbook.assume_role.strip())
    return str(bound.get(reference[1]) or "") if reference else runbook.assume_role.strip()


def _check_approver(step: StepExecution, caller: str) -> None:
    """Approvers are named by user name, or by the ARN of a user, a role or a role's session."""
    approvers = json.loads(step.inputs["Approvers"])
    names = {caller, caller.rsplit("/", 1)[-1]}
    if ":assumed-role/" in caller:
        account, role = caller.split(":")[4], caller.split("/")[1]
        names |= {f"arn:{caller.split(':')[1]}:iam::{account}:role/{role}", role}
    if not names & set(approvers):
        raise ServiceError("InvalidAutomationSignalException", f"{caller} is not one of the step's approvers.")
    if any(who == caller for _, who in step.signals):
        raise ServiceError("InvalidAutomationSignalException", f"{caller} has decided already.")

