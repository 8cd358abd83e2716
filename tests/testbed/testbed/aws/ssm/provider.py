"""LocalStack's side: the provider of ``ssm``, a thin shell over ``operations``.

Each operation of the service model is a method. Ours go to the model; those of Parameter Store stay with the base
provider and moto; every other is refused as an unknown action (the base provider would let moto answer it, which stores
what it is told and does nothing).
"""

from collections.abc import Callable

from botocore import xform_name
from localstack.aws.api import CommonServiceException, RequestContext, handler
from localstack.aws.spec import load_service
from localstack.services.moto import call_moto
from localstack.services.ssm.provider import SsmProvider

from testbed.aws.settings import CLOCK

from . import errors, model, operations
from .callers import CALLER, Caller

#: Parameter Store as the base provider and moto have it.
PARAMETER_STORE = (
    "DeleteParameter", "DeleteParameters", "DescribeParameters", "GetParameter", "GetParameterHistory", "GetParameters",
    "GetParametersByPath", "LabelParameterVersion", "PutParameter", "UnlabelParameterVersion",
)  # fmt: skip
#: Operations for which moto keeps the tags of parameters.
_TAGS = ("AddTagsToResource", "ListTagsForResource", "RemoveTagsFromResource")


class BedSsmProvider(SsmProvider):
    """The bed's Systems Manager; its methods are made from the service model, below."""


def register() -> None:
    """Makes this the provider of ``ssm``: LocalStack looks the class up when it loads the service."""
    from localstack.services.ssm import provider

    provider.SsmProvider = BedSsmProvider
    model.system()  # ties the node table to the bed's clock before the first node is put


def reset() -> None:
    """Forgets everything: the model, and the parameters that moto keeps."""
    from moto.ssm.models import ssm_backends

    model.system().reset()
    ssm_backends.reset()


def _own(name: str) -> Callable:
    """An operation that the model answers."""

    def method(self, context: RequestContext, request: dict) -> dict:
        if name in _TAGS and (request or {}).get("ResourceType") == "Parameter":
            return call_moto(context)
        CALLER.set(_caller(context))
        try:
            return operations.call(
                model.system(), context.operation, request or {}, context.account_id, context.region
            )
        except errors.ServiceError as error:
            raise _raised(error) from error

    return method


def _caller(context: RequestContext) -> Caller:
    principal = context.bed_principal
    token = context.request.headers.get("X-Amz-Security-Token")
    return Caller(principal.session_arn, principal.access_key_id or context.account_id, token=token)


def _parameter_store(name: str) -> Callable:
    """An operation of the base provider, or of moto where it has none; times follow the bed's clock."""
    base = SsmProvider.__dict__.get(xform_name(name))

    def method(self, context: RequestContext, request: dict) -> dict:
        if base is None:
            answer = call_moto(context)
        elif name == "PutParameter":
            answer = base(self, context, request)
        else:
            answer = base(self, context, **{xform_name(key): value for key, value in (request or {}).items()})
        return _on_the_beds_clock(answer)

    return method


def _refused(name: str) -> Callable:
    """An operation that the bed does not have."""

    def method(self, context: RequestContext, request: dict) -> dict:
        raise _raised(errors.unknown_operation())

    return method


def _on_the_beds_clock(answer):
    """moto stamps with the machine's time: the bed's is a fixed function of it."""
    if isinstance(answer, list):
        return [_on_the_beds_clock(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    return {
        key: _virtual(value) if key == "LastModifiedDate" else _on_the_beds_clock(value) for key, value in answer.items()
    }


def _virtual(stamp):
    real = stamp.timestamp() if hasattr(stamp, "timestamp") else float(stamp)
    return CLOCK.epoch + (real - CLOCK.epoch) * CLOCK.factor


def _raised(error: errors.ServiceError) -> CommonServiceException:
    return CommonServiceException(error.code, error.message, status_code=error.status, sender_fault=error.status < 500)


def _kind(name: str) -> Callable[[str], Callable]:
    if name in operations.OPERATIONS:
        return _own
    return _parameter_store if name in PARAMETER_STORE else _refused


for _name in load_service("ssm").operation_names:
    _method = _kind(_name)(_name)
    _method.__name__ = _method.__qualname__ = xform_name(_name)
    setattr(BedSsmProvider, xform_name(_name), handler(_name, expand=False)(_method))
