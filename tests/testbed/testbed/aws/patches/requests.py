"""Requests to Step Functions are checked against its model: lengths, ranges, enums (ValidationException). Names have a rule and an error of
their own, InvalidName (docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html)."""

import re

from testbed.aws.ssm import constraints
from testbed.aws.ssm.errors import ServiceError

_OWN_RULES = {"name", "stateMachineArn", "executionArn", "activityArn", "resourceArn"}
"""Checked by the operations themselves: InvalidName, InvalidArn."""

_LONG_VALUE = re.compile(r"Value '.{200,}?' at", re.DOTALL)
"""What the model calls sensitive (definitions, inputs, causes) is not repeated in AWS's answers."""


def apply() -> None:
    """Checks each request before its operation."""
    from localstack.aws.api import CommonServiceException
    from localstack.aws.skeleton import Skeleton

    dispatch = Skeleton.dispatch_request

    def dispatch_request(self, serializer, context, instance):
        if context.service.service_name == "stepfunctions" and isinstance(instance, dict):
            given = {name: value for name, value in instance.items() if name not in _OWN_RULES}
            try:
                constraints.check(given, _Lenient(context.operation.input_shape))
            except ServiceError as error:
                raise CommonServiceException(error.code, _LONG_VALUE.sub("Value at", error.message), error.status, True) from error
        return dispatch(self, serializer, context, instance)

    Skeleton.dispatch_request = dispatch_request


class _Lenient:
    """The request's shape without its own required members, which the parser has checked."""

    def __init__(self, shape):
        self._shape, self.required_members, self.type_name = shape, [], "structure"

    @property
    def members(self):
        """The members of the shape."""
        return self._shape.members
