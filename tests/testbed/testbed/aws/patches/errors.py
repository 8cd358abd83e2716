"""The names of errors as AWS gives them.

`aws-sdk:` integrations run on AWS's SDK for Java 2 and take its exceptions' names: `Ssm.InvalidInstanceIdException`; a code that the
operation's model does not have is the service's own exception (`Ssm.SsmException`), and a call that got no answer is an
SdkClientException. Optimised integrations keep the first SDK's names (`SQS.AmazonSQSException`). A Choice without a match is
States.NoChoiceMatched. Operations that are not built are unknown to the endpoint.
"""

import re

from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationModel
from localstack.aws.api import CommonServiceException

_JSON = ("json", "rest-json", "smithy-rpc-v2-cbor")


def words(name: str) -> list[str]:
    """Splits a name where the SDK for Java's code generator does (its CodegenNamingUtils.splitOnWordBoundaries)."""
    name = re.sub(r"[^A-Za-z0-9]+", " ", name)
    name = re.sub(r"([^a-z]{2,})v([0-9]+)", r"\1 v\2 ", name)
    name = re.sub(r"([^A-Z]{2,})V([0-9]+)", r"\1 V\2 ", name)
    name = re.sub(r"(?<=[a-z])(?=[A-Z][a-zA-Z0-9])", " ", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1 \2", name)
    name = re.sub(r"([0-9])([a-zA-Z])", r"\1 \2", name)
    return name.split()


def pascal_case(name: str) -> str:
    """`SSM` is Ssm, `DynamoDB` DynamoDb, `Secrets Manager` SecretsManager."""
    return "".join(word[0].upper() + word[1:].lower() for word in words(name))


def exception_name(shape_name: str) -> str:
    """The SDK for Java's class for an error shape."""
    for suffix in ("Fault", "Exception"):
        if shape_name.endswith(suffix):
            return pascal_case(shape_name[: -len(suffix)]) + "Exception"
    return pascal_case(shape_name) + "Exception"


def modelled_shape(operation: OperationModel, code: str) -> str | None:
    """The name of the operation's error shape with this code; None when the model has none."""
    for shape in operation.error_shapes:
        if code in (shape.name, shape.error_code):
            return shape.name
    return None


def aws_sdk_error(operation: OperationModel, code: str) -> str:
    """`Ssm.InvalidDocumentException`, or `Ssm.SsmException` for a code outside the operation's model."""
    service = pascal_case(str(operation.service_model.service_id))
    shape = modelled_shape(operation, code)
    return f"{service}.{exception_name(shape)}" if shape else f"{service}.{service}Exception"


def apply() -> None:
    """Gives the names to the interpreter and to the endpoint."""
    _aws_sdk()
    _optimised()
    _choices()
    _unknown_operations()


def _failed(task, env, error: str, cause: str):
    from localstack.aws.api.stepfunctions import HistoryEventType, TaskFailedEventDetails
    from localstack.services.stepfunctions.asl.component.common.error_name.custom_error_name import CustomErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import FailureEvent
    from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails

    details = TaskFailedEventDetails(
        error=error, cause=cause, resource=task._get_sfn_resource(), resourceType=task._get_sfn_resource_type()
    )
    return FailureEvent(
        env=env,
        error_name=CustomErrorName(error_name=error),
        event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=details),
    )


def _aws_sdk() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_aws_sdk import (
        StateTaskServiceAwsSdk,
    )
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_callback import (
        StateTaskServiceCallback,
    )

    def _from_error(self, env, ex):
        if not isinstance(ex, (ClientError, BotoCoreError)):
            return StateTaskServiceCallback._from_error(self, env=env, ex=ex)
        operation = self._get_boto_operation_model(self._get_boto_service_name(), self._get_boto_service_action())
        service = pascal_case(str(operation.service_model.service_id))
        if isinstance(ex, BotoCoreError):
            return _failed(self, env, f"{service}.SdkClientException", f"Unable to execute HTTP request: {ex}")
        answer, metadata = ex.response["Error"], ex.response["ResponseMetadata"]
        cause = (
            f"{answer['Message']} (Service: {service}, Status Code: {metadata['HTTPStatusCode']}, Request ID: {metadata.get('RequestId')})"
        )
        return _failed(self, env, aws_sdk_error(operation, answer["Code"]), cause)

    StateTaskServiceAwsSdk._from_error = _from_error


_FIRST_SDK = {
    "sqs": ("SQS", "AmazonSQSException", "AmazonSQS"),
    "sns": ("SNS", "AmazonSNSException", "AmazonSNS"),
    "stepfunctions": ("StepFunctions", "AWSStepFunctionsException", "AWSStepFunctions"),
    "events": ("EventBridge", "AmazonEventBridgeException", "AmazonEventBridge"),
}
"""Prefix, catch-all exception and service name of the SDK for Java 1, by botocore's service."""


def _optimised() -> None:
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service import (
        state_task_service_events,
        state_task_service_sfn,
        state_task_service_sns,
        state_task_service_sqs,
    )
    from localstack.services.stepfunctions.asl.component.state.state_execution.state_task.service.state_task_service_callback import (
        StateTaskServiceCallback,
    )

    def patched(original):
        def _from_error(self, env, ex):
            names = _FIRST_SDK.get(self._get_boto_service_name())
            if names is None or not isinstance(ex, (ClientError, BotoCoreError)):
                return original(self, env=env, ex=ex)
            prefix, catch_all, service = names
            if isinstance(ex, BotoCoreError):
                return _failed(self, env, f"{prefix}.SdkClientException", f"Unable to execute HTTP request: {ex}")
            answer, metadata = ex.response["Error"], ex.response["ResponseMetadata"]
            operation = self._get_boto_operation_model(self._get_boto_service_name(), self._get_boto_service_action())
            shape = modelled_shape(operation, answer["Code"])
            name = (shape if shape.endswith("Exception") else f"{shape}Exception") if shape else catch_all
            cause = (
                f"{answer['Message']} (Service: {service}; Status Code: {metadata['HTTPStatusCode']}; "
                f"Error Code: {answer['Code']}; Request ID: {metadata.get('RequestId')}; Proxy: null)"
            )
            return _failed(self, env, f"{prefix}.{name}", cause)

        return _from_error

    for cls in (
        state_task_service_events.StateTaskServiceEvents,
        state_task_service_sfn.StateTaskServiceSfn,
        state_task_service_sns.StateTaskServiceSns,
        state_task_service_sqs.StateTaskServiceSqs,
    ):
        cls._from_error = patched(cls.__dict__.get("_from_error", StateTaskServiceCallback._from_error))


def _choices() -> None:
    from localstack.aws.api.stepfunctions import ExecutionFailedEventDetails, HistoryEventType
    from localstack.services.stepfunctions.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name import StatesErrorName
    from localstack.services.stepfunctions.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
    from localstack.services.stepfunctions.asl.component.state.state_choice.state_choice import StateChoice
    from localstack.services.stepfunctions.asl.eval.event.event_detail import EventDetails

    original = StateChoice._eval_state

    def _eval_state(self, env) -> None:
        try:
            original(self, env)
        except RuntimeError as error:
            if not error.args or "No branching option reached" not in str(error.args[0]):
                raise
            name = StatesErrorName(typ=StatesErrorNameType.StatesNoChoiceMatched)
            cause = (
                f"An error occurred while executing the state '{self.name}' (entered at the event id "
                f"#{env.event_history_context.source_event_id}). Failed to transition out of the state. "
                "The state's choices matched nothing and it has no Default."
            )
            details = ExecutionFailedEventDetails(error=name.error_name, cause=cause)
            raise FailureEventException(
                FailureEvent(
                    env=env,
                    error_name=name,
                    event_type=HistoryEventType.ExecutionFailed,
                    event_details=EventDetails(executionFailedEventDetails=details),
                )
            ) from error

    StateChoice._eval_state = _eval_state


def _unknown_operations() -> None:
    from localstack.aws.handlers.service import ServiceRequestRouter
    from localstack.aws.protocol.serializer import create_serializer
    from localstack.aws.skeleton import Skeleton

    def unknown(context) -> CommonServiceException:
        if (context.protocol or context.service.protocol) in _JSON:
            return CommonServiceException("UnknownOperationException", "", 400, True)
        version = context.service.api_version
        return CommonServiceException(
            "InvalidAction", f"Could not find operation {context.operation.name} for version {version}", 400, True
        )

    def answer(context):
        error = unknown(context)
        context.service_exception = error
        serializer = create_serializer(context.service, context.protocol)
        return serializer.serialize_error_to_response(error, context.operation, context.request.headers, context.request_id)

    Skeleton.on_not_implemented_error = lambda self, serializer, context, exception: answer(context)
    ServiceRequestRouter.create_not_implemented_response = lambda self, context: answer(context)
