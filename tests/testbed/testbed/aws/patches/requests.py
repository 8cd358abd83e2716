"""Requests to Step Functions are checked against its model: lengths, ranges, enums (ValidationException). Names have a rule and an error of
their own, InvalidName (docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html)."""

from testbed.aws.ssm import constraints

_OWN_RULES = {"name", "stateMachineArn", "executionArn", "activityArn", "resourceArn"}
"""Checked by the operations themselves: InvalidName, InvalidArn."""


def apply() -> None:
    """Checks each request before its operation."""
    from localstack.aws.skeleton import Skeleton

    dispatch = Skeleton.dispatch_request

    def dispatch_request(self, serializer, context, instance):
        if context.service.service_name == "stepfunctions" and isinstance(instance, dict):
            constraints.check({name: value for name, value in instance.items() if name not in _OWN_RULES}, _Lenient(context.operation.input_shape))
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
