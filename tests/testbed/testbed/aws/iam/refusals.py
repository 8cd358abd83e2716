"""AWS's own words for "no", and the error code and status that each service wraps them in.

The words: docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html.
"""

from localstack.aws.api import CommonServiceException

from testbed.aws.iam.evaluate import Need, Refusal
from testbed.aws.iam.principals import Principal

_CODES = {
    "cloudwatch": ("AccessDenied", 403),
    "ec2": ("UnauthorizedOperation", 403),
    "iam": ("AccessDenied", 403),
    "lambda": ("AccessDeniedException", 403),
    "s3": ("AccessDenied", 403),
    "scheduler": ("AccessDeniedException", 403),
    "sns": ("AuthorizationError", 403),
    "sqs": ("AccessDenied", 403),
    "sts": ("AccessDenied", 403),
}
_CODE_OF_JSON_SERVICES = ("AccessDeniedException", 400)


def refuse(service: str, principal: Principal, refusal: Refusal) -> CommonServiceException:
    """The error that the service answers for a refusal. `service` is botocore's name."""
    message = sentence(service, principal, refusal)
    if service == "ec2":
        message = f"You are not authorized to perform this operation. {message}"
    code, status = _CODES.get(service, _CODE_OF_JSON_SERVICES)
    return CommonServiceException(code, message, status, True)


def sentence(service: str, principal: Principal, refusal: Refusal) -> str:
    """`User: … is not authorized to perform: … on resource: … because …`"""
    need: Need = refusal.need
    action = need.action.lower() if service == "sqs" else need.action
    article = "an" if refusal.layer[0] in "aeiou" else "a"
    reason = (
        f"with an explicit deny in {article} {refusal.layer}"
        if refusal.explicit
        else f"because no {refusal.layer} allows the {action} action"
    )
    resource = need.shown or need.resource
    return f"User: {principal.session_arn} is not authorized to perform: {action} on resource: {resource} {reason}"


def may_not_assume(principal: Principal, action: str, role_arn: str) -> CommonServiceException:
    """What STS answers when the trust policy, or the lack of the role, is the reason: it does not tell which."""
    return CommonServiceException(
        "AccessDenied",
        f"User: {principal.session_arn} is not authorized to perform: {action} on resource: {role_arn}",
        403,
        True,
    )


def of_execution_role(message: str) -> CommonServiceException:
    """What Step Functions answers when the role of a state machine that is being made or changed does not do."""
    return CommonServiceException("AccessDeniedException", message, 400, True)


def states_may_not_assume() -> CommonServiceException:
    """When it cannot even assume it."""
    return of_execution_role(
        "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume the provided role."
    )
