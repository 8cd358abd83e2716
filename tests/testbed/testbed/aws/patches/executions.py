"""Executions as AWS answers about them: names, paged histories, aborted ones' error and cause, status events.

docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html, …/API_GetExecutionHistory.html,
docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html.
"""

import base64
import json
import logging

LOG = logging.getLogger(__name__)

LARGEST_INPUT_BYTES = 256 * 1024
LARGEST_IN_EVENT_BYTES = 248 * 1024
"""Of input and output together as they stand in a status event, escaped; the input is left out first, then the output."""

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000


def apply() -> None:
    """Mends the provider's operations on executions."""
    _starts()
    _histories()
    _aborted()
    _redrives()
    _status_events()


def _starts() -> None:
    from localstack.aws.api import CommonServiceException
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    original = StepFunctionsProvider.start_execution

    def start_execution(self, context, state_machine_arn, name=None, input=None, trace_header=None, **kwargs):
        if name is not None:
            self._validate_activity_name(name)  # the same rule as for activities
        if input is not None and len(input.encode()) > LARGEST_INPUT_BYTES:
            message = (
                "1 validation error detected: Value at 'input' failed to satisfy constraint: "
                f"Member must have length less than or equal to {LARGEST_INPUT_BYTES}"
            )
            raise CommonServiceException("ValidationException", message, 400, True)
        return original(self, context, state_machine_arn, name, input, trace_header, **kwargs)

    StepFunctionsProvider.start_execution = start_execution


def _histories() -> None:
    from localstack.aws.api.stepfunctions import InvalidToken
    from localstack.services.stepfunctions.provider import StepFunctionsProvider

    original = StepFunctionsProvider.get_execution_history

    def get_execution_history(
        self, context, execution_arn, max_results=None, reverse_order=None, next_token=None, include_execution_data=None, **kwargs
    ):
        answer = original(self, context, execution_arn, reverse_order=reverse_order)
        events = answer["events"]
        start = 0
        if next_token:
            try:
                start = int(json.loads(base64.b64decode(next_token))["start"])
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidToken("Invalid Token: 'Invalid token'") from error
        size = min(max_results or DEFAULT_PAGE, LARGEST_PAGE)
        answer["events"] = events[start : start + size]
        if start + size < len(events):
            answer["nextToken"] = base64.b64encode(json.dumps({"start": start + size}).encode()).decode()
        if include_execution_data is False:
            for event in answer["events"]:
                for details in event.values():
                    if isinstance(details, dict):
                        for field in ("input", "output", "parameters", "inputDetails", "outputDetails"):
                            details.pop(field, None)
        return answer

    StepFunctionsProvider.get_execution_history = get_execution_history


def _aborted() -> None:
    """DescribeExecution shows the error and cause that StopExecution was given."""
    from localstack.services.stepfunctions.asl.eval.program_state import ProgramStopped
    from localstack.services.stepfunctions.backend.execution import BaseExecutionWorkerCommunication

    original = BaseExecutionWorkerCommunication._reflect_execution_status

    def _reflect_execution_status(self) -> None:
        state = self.execution.exec_worker.env.program_state()
        if isinstance(state, ProgramStopped):
            self.execution.error = state.error
            self.execution.cause = state.cause
        original(self)

    BaseExecutionWorkerCommunication._reflect_execution_status = _reflect_execution_status


def _redrives() -> None:
    """DescribeExecution tells whether an execution could be redriven."""
    from localstack.services.stepfunctions.backend.execution import Execution

    describe = Execution.to_describe_output

    def to_describe_output(self):
        told = {name: value for name, value in redrive(self.exec_status).items() if value is not None}
        return {**describe(self), "redriveCount": 0, **told}

    Execution.to_describe_output = to_describe_output


def _status_events() -> None:
    """The event's dates are milliseconds, and it names the version that was started."""
    from localstack.services.stepfunctions.backend.execution import Execution

    def publish_execution_status_change_event(self) -> None:
        given = json.dumps(self.input_data if self.input_data is not None else {}, separators=(",", ":"))
        output = None if self.output is None else json.dumps(self.output, separators=(",", ":"))
        with_input, with_output = _escaped(given, output) <= LARGEST_IN_EVENT_BYTES, _escaped(output) <= LARGEST_IN_EVENT_BYTES
        detail = {
            "executionArn": self.exec_arn,
            "stateMachineArn": self.state_machine_arn,
            "stateMachineVersionArn": self.state_machine_version_arn,
            "stateMachineAliasArn": self.state_machine_alias_arn,
            "name": self.name,
            "status": self.exec_status,
            "startDate": _milliseconds(self.start_date),
            "stopDate": _milliseconds(self.stop_date),
            "input": given if with_input else None,
            "inputDetails": {"included": with_input},
            "output": output if with_output else None,
            "outputDetails": None if output is None else {"included": with_output},
            "error": self.error,
            "cause": self.cause,
            "redriveCount": 0,
            "redriveDate": None,
            **redrive(self.exec_status),
        }
        entry = {
            "Source": "aws.states",
            "Resources": [self.exec_arn],
            "DetailType": "Step Functions Execution Status Change",
            "Detail": json.dumps(detail),
        }
        try:
            self._get_events_client().put_events(Entries=[entry])
        except Exception:
            # On AWS too these events are best effort.
            LOG.warning("no status event for %s", self.exec_arn, exc_info=True)

    Execution.publish_execution_status_change_event = publish_execution_status_change_event


def redrive(status: str) -> dict:
    """What AWS says of redriving an execution (API_DescribeExecution.html): those that failed, timed out or were aborted can be."""
    if status in ("RUNNING", "SUCCEEDED"):
        return {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": f"Execution is {status} and cannot be redriven"}
    return {"redriveStatus": "REDRIVABLE", "redriveStatusReason": None}


def _escaped(*texts: str | None) -> int:
    """Bytes that texts take as JSON strings."""
    return sum(len(json.dumps(text).encode()) for text in texts if text is not None)


def _milliseconds(instant) -> int | None:
    return None if instant is None else round(instant.timestamp() * 1000)
