"""Each call's way through the bed: who calls, injected faults, IAM, the service, faults after the effect, the log.

LocalStack's handler chain offers three places: before the service's handler, after its response, and at the very end.
"""

import logging
import time

from localstack.aws import handlers
from localstack.aws.api import CommonServiceException, RequestContext
from localstack.aws.protocol.serializer import create_serializer
from localstack.http import Response

from testbed.aws import calls, connection, faults
from testbed.aws.buckets import BUCKETS
from testbed.aws.iam import enforcement, refusals
from testbed.aws.iam.evaluate import Refusal
from testbed.aws.iam.principals import Principal, identify
from testbed.aws.lags import LAGS, Kept, Missing
from testbed.aws.settings import CLOCK

LOG = logging.getLogger(__name__)

_THROTTLES = {
    "cloudwatch": ("Throttling", 400),
    "ec2": ("RequestLimitExceeded", 503),
    "iam": ("Throttling", 400),
    "s3": ("SlowDown", 503),
    "sns": ("Throttling", 400),
    "sqs": ("RequestThrottled", 403),
    "sts": ("Throttling", 400),
}
"""What throttling is called by services that do not say ThrottlingException with 400."""


def install() -> None:
    """Adds the bed's handlers to LocalStack's chain. Must come before the gateway is built."""
    handlers.serve_custom_service_request_handlers.append(before)
    handlers.run_custom_response_handlers.append(after)
    handlers.run_custom_finalizers.append(record)
    connection.install()


def before(chain: object, context: RequestContext, response: Response) -> None:
    """Before the service: the caller's identity, faults, IAM. Raises what the caller is to see."""
    if context.operation is None:
        return
    context.bed_principal = None
    context.bed_outcome = None
    principal = identify(context)
    context.bed_principal = principal
    plumbing = _plumbing(context, principal)
    if not plumbing:
        _take_token(context, principal)
        _faults_before(context, principal)
    enforcement.enforce(context, principal)
    if not plumbing:
        _answer_late(chain, context, response)


def after(_chain: object, context: RequestContext, response: Response) -> None:
    """After the service: sessions to remember, faults that hide the effect."""
    principal = getattr(context, "bed_principal", None)
    if principal is None or context.service_exception is not None or response.status_code >= 400:
        return
    if context.service.service_name == "sts" and context.operation.name in ("AssumeRole", "AssumeRoleWithWebIdentity"):
        enforcement.note_session(context)
    if not _plumbing(context, principal):
        _keep_for_lags(context, response)
        _faults_after(context, principal, response)


def record(_chain: object, context: RequestContext, response: Response) -> None:
    """At the end: the log. LocalStack's own plumbing is no caller."""
    if context.operation is None or not hasattr(context, "bed_principal"):
        return
    principal = context.bed_principal
    if principal is not None and _plumbing(context, principal):
        return
    calls.LOG.add(
        service=context.service.service_name,
        operation=context.operation.name,
        caller=principal.arn if principal else "unknown",
        session=principal.session_arn if principal else "unknown",
        outcome=context.bed_outcome or _outcome(context, response),
        time=CLOCK.now(),
        resource=_resource(context),
    )


def _plumbing(context: RequestContext, principal: Principal) -> bool:
    """Calls that LocalStack makes for itself, which on AWS would be no API calls of anybody's."""
    return principal.kind == "Service" and context.is_internal_call


def _outcome(context: RequestContext, response: Response) -> str:
    if context.service_exception is not None:
        return context.service_exception.code
    return "ok" if response.status_code < 400 else str(response.status_code)


def _resource(context: RequestContext) -> str:
    try:
        return next((need.resource for need in enforcement.needs_of(context)), "*")
    except Exception:  # a request too malformed to have a resource is still a call
        LOG.debug("no resource for %s", context.operation.name, exc_info=True)
        return "*"


def _hits(context: RequestContext, principal: Principal, kinds: tuple[str, ...]) -> list[faults.Fault]:
    callers = (principal.arn, principal.session_arn)
    return faults.FAULTS.take(kinds, context.service.service_name, context.operation.name, callers)


def _throttling(context: RequestContext) -> CommonServiceException:
    code, status = _THROTTLES.get(context.service.service_name, ("ThrottlingException", 400))
    return CommonServiceException(code, "Rate exceeded", status, True)


def _take_token(context: RequestContext, principal: Principal) -> None:
    """AWS's own token buckets. The root user arranges the world: its calls take none."""
    if principal.kind == "Root":
        return
    if not BUCKETS.take(context.account_id, context.region, context.service.service_name, context.operation.name):
        raise _throttling(context)


def _answer_late(chain: object, context: RequestContext, response: Response) -> None:
    """Reads that do not see a write yet; see `lags`."""
    found = LAGS.stale(context.account_id, context.region, context.operation, dict(context.service_request or {}))
    if isinstance(found, Missing):
        raise CommonServiceException(found.code, "", found.status, True)
    if found is not None:
        response.status_code = found.status
        response.headers.update(dict(found.headers))
        response.set_response(found.body)
        context.bed_stale = True
        chain.stop()


def _keep_for_lags(context: RequestContext, response: Response) -> None:
    if not getattr(context, "bed_stale", False):
        answer = Kept(CLOCK.now(), response.status_code, list(response.headers.items()), response.data)
        LAGS.saw(context.account_id, context.region, context.operation, dict(context.service_request or {}), answer)


def _faults_before(context: RequestContext, principal: Principal) -> None:
    for fault in sorted(_hits(context, principal, faults.BEFORE), key=lambda fault: fault.kind != "Latency"):
        if fault.kind == "Latency":
            time.sleep(CLOCK.real(fault.seconds))
        elif fault.kind == "ResetBefore":
            context.bed_outcome = "ConnectionReset"
            connection.reset(context)
            raise _error(fault)
        elif fault.kind == "Throttle":
            raise _throttling(context)
        elif fault.kind == "Denied":
            raise _denial(context, principal)
        else:
            raise _error(fault)


def _denial(context: RequestContext, principal: Principal) -> CommonServiceException:
    need = enforcement.needs_of(context)[0]
    return refusals.refuse(context.service.service_name, principal, Refusal(need, "identity-based policy", explicit=False))


def _faults_after(context: RequestContext, principal: Principal, response: Response) -> None:
    for fault in _hits(context, principal, faults.AFTER):
        if fault.kind == "LatencyAfter":
            time.sleep(CLOCK.real(fault.seconds))
            continue
        error = _error(fault)
        if fault.kind == "ResetAfter":
            context.bed_outcome = "ConnectionReset"
            connection.reset(context)
        serializer = create_serializer(context.service, context.protocol)
        answer = serializer.serialize_error_to_response(error, context.operation, context.request.headers, context.request_id)
        context.service_exception = error
        response.update_from(answer)


def _error(fault: faults.Fault) -> CommonServiceException:
    message = fault.message or "We encountered an internal error. Please try again."
    return CommonServiceException(fault.code, message, fault.status, fault.status < 500)
