"""Whether a role's trust policy lets someone assume it: an IAM principal, or one of AWS's services."""

from dataclasses import replace

from testbed.aws import eventual
from testbed.aws.iam import documents
from testbed.aws.iam.evaluate import Need, condition_context, decide
from testbed.aws.iam.principals import Principal, role_by_arn
from testbed.aws.settings import CLOCK


def _listed(value: object) -> list:
    return value if isinstance(value, list) else [] if value is None else [value]


def _names_directly(element: object, principal: Principal) -> bool:
    """Whether a Principal element names this very principal, not its whole account."""
    if not isinstance(element, dict):
        return False
    return any(name in (principal.arn, principal.session_arn) for name in _listed(element.get("AWS")))


def _names(element: object, principal: Principal, region: str) -> bool:
    if element == "*":
        return True
    if not isinstance(element, dict):
        return False
    if principal.kind == "Service":
        service = principal.arn
        regional = service.replace(".amazonaws.com", f".{region}.amazonaws.com")
        return any(name in (service, regional) for name in _listed(element.get("Service")))
    account = {"*", principal.account, f"arn:aws:iam::{principal.account}:root"}
    return _names_directly(element, principal) or any(name in account for name in _listed(element.get("AWS")))


def _decide(document: dict, principal: Principal, need: Need, region: str, matches) -> str:
    statements = [statement for statement in _listed(document.get("Statement")) if matches(statement.get("Principal"))]
    return decide(condition_context(principal, need, region), [{**document, "Statement": statements}])


def policy_decision(document: dict, principal: Principal, need: Need, region: str) -> str:
    """What a policy with principals in it says of one: Allow, Deny or ImplicitDeny."""
    return _decide(document, principal, need, region, lambda element: _names(element, principal, region))


def usable(role_arn: str) -> bool:
    """Whether the role exists and is old enough to be assumed: AWS needs some seconds to know a new role everywhere."""
    entity = role_by_arn(role_arn)
    if entity is None:
        return False
    return CLOCK.now() - entity.role["CreateDate"].timestamp() >= eventual.SETTINGS.new_role


def decision(role_arn: str, principal: Principal, need: Need, region: str) -> tuple[str, bool]:
    """What the trust policy says (Allow, Deny, ImplicitDeny), and whether it names the principal itself: then no identity-based policy
    is needed in the same account."""
    entity = role_by_arn(role_arn)
    if entity is None or not usable(role_arn):
        return "ImplicitDeny", False
    document = documents.read(entity.role["AssumeRolePolicyDocument"])
    need = replace(need, resource=role_arn)
    found = policy_decision(document, principal, need, region)
    direct = found == "Allow" and (
        _decide(document, principal, need, region, lambda element: _names_directly(element, principal)) == "Allow"
    )
    return found, direct


def web_identity_may(role_arn: str, principal: Principal, need: Need, region: str) -> bool:
    """Whether a trust policy lets the tokens of an OpenID Connect provider in; `principal.arn` is the provider's."""
    entity = role_by_arn(role_arn)
    if entity is None or not usable(role_arn):
        return False
    document = documents.read(entity.role["AssumeRolePolicyDocument"])
    need = replace(need, context={**need.context, "aws:FederatedProvider": principal.arn})

    def names(element: object) -> bool:
        return isinstance(element, dict) and principal.arn in _listed(element.get("Federated"))

    return _decide(document, principal, need, region, names) == "Allow"


def service_may_assume(service: str, role_arn: str, source_arn: str | None, source_account: str, region: str) -> bool:
    """Whether one of AWS's services (`states.amazonaws.com`) may assume the role on behalf of a resource (the confused deputy keys)."""
    principal = Principal("Service", service, service, source_account, service)
    context = {"aws:SourceAccount": source_account, **({"aws:SourceArn": source_arn} if source_arn else {})}
    return decision(role_arn, principal, Need("sts:AssumeRole", role_arn, context), region)[0] == "Allow"
