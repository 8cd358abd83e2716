"""LocalStack's side: the provider of ``ssm``, a thin shell over ``operations``.

Each operation of the service model is a method. Those that the model has go there; every other is refused as an unknown action (the base
provider would let moto answer it, which stores what it is told and does nothing).
"""

from collections.abc import Callable

from botocore import xform_name
from localstack.aws.api import CommonServiceException, RequestContext, handler
from localstack.aws.spec import load_service
from localstack.services.ssm.provider import SsmProvider

from . import errors, model, operations
from .callers import CALLER, Caller


class BedSsmProvider(SsmProvider):
    """The bed's Systems Manager; its methods are made from the service model, below."""


def register() -> None:
    """Makes this the provider of ``ssm``: LocalStack looks the class up when it loads the service."""
    from localstack.services.ssm import provider

    provider.SsmProvider = BedSsmProvider
    model.system()  # ties the node table to the bed's clock before the first node is put


def reset() -> None:
    """Forgets everything."""
    model.system().reset()


def _own(name: str) -> Callable:
    """An operation that the model answers."""

    def method(self, context: RequestContext, request: dict) -> dict:
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


def _refused(name: str) -> Callable:
    """An operation that the bed does not have."""

    def method(self, context: RequestContext, request: dict) -> dict:
        raise _raised(errors.unknown_operation())

    return method


def _raised(error: errors.ServiceError) -> CommonServiceException:
    return CommonServiceException(error.code, error.message, status_code=error.status, sender_fault=error.status < 500)


def _kind(name: str) -> Callable[[str], Callable]:
    return _own if name in operations.OPERATIONS else _refused


for _name in load_service("ssm").operation_names:
    _method = _kind(_name)(_name)
    _method.__name__ = _method.__qualname__ = xform_name(_name)
    setattr(BedSsmProvider, xform_name(_name), handler(_name, expand=False)(_method))
