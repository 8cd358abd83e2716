"""Checks each call against IAM before it reaches its service."""

from localstack.aws.api import CommonServiceException, RequestContext

from testbed.aws.iam import documents, needs, refusals, trust
from testbed.aws.iam.evaluate import Need, Refusal, refusal
from testbed.aws.iam.needs.where import Where, tag_context, tags_of
from testbed.aws.iam.principals import Principal

NEVER_REFUSED = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken"), ("sts", "GetAccessKeyInfo")}

STATES = "states.amazonaws.com"


def where(context: RequestContext) -> Where:
    """Where the call is made."""
    return Where(context.account_id, context.region, context.partition)


def needs_of(context: RequestContext) -> list[Need]:
    """What the call must be allowed."""
    return needs.of(context.service.service_name, context.operation.name, dict(context.service_request or {}), where(context))


def enforce(context: RequestContext, principal: Principal) -> None:
    """Returns when the call is allowed. Raises the service's own refusal when it is not."""
    service, operation = context.service.service_name, context.operation.name
    request = dict(context.service_request or {})
    if service == "sts":
        if operation == "AssumeRole":
            return _assume_role(context, principal, request)
        if operation in ("AssumeRoleWithWebIdentity", "AssumeRoleWithSAML"):
            # Nothing in this bed can vouch for a token yet.
            raise CommonServiceException("IDPCommunicationError", "Couldn't reach the identity provider.", 400, True)
    if principal.kind == "Anonymous":
        raise CommonServiceException("MissingAuthenticationToken", "Request is missing Authentication Token", 403, True)
    if (service, operation) not in NEVER_REFUSED and not principal.exempt:
        for need in needs_of(context):
            found = refusal(principal, need, context.region)
            if found is not None:
                raise refusals.refuse(service, principal, found)
    if service == "stepfunctions" and operation in ("CreateStateMachine", "UpdateStateMachine") and request.get("roleArn"):
        _states_can_assume(context, request)


def _states_can_assume(context: RequestContext, request: dict) -> None:
    machine = request.get("stateMachineArn") or where(context).arn("states", f"stateMachine:{request['name']}")
    if not trust.service_may_assume(STATES, request["roleArn"], machine, context.account_id, context.region):
        raise refusals.states_may_not_assume()


def _assume_role(context: RequestContext, principal: Principal, request: dict) -> None:
    """AssumeRole needs the role's trust, and an identity-based policy unless the trust policy names the caller itself."""
    role_arn = request["RoleArn"]
    if principal.kind == "Service":
        source = (context.internal_request_params or {}).get("source_arn")
        account = role_arn.split(":")[4]
        if not trust.service_may_assume(principal.arn, role_arn, source, account, context.region):
            raise CommonServiceException(
                "AccessDenied", f"The principal {principal.arn} is not authorized to assume the provided role.", 403, True
            )
        return
    session_tags = tags_of(request.get("Tags"))
    keys: dict[str, object] = {**tag_context("aws:RequestTag", session_tags), "sts:RoleSessionName": request.get("RoleSessionName")}
    if request.get("ExternalId"):
        keys["sts:ExternalId"] = request["ExternalId"]
    if request.get("SourceIdentity"):
        keys["sts:SourceIdentity"] = request["SourceIdentity"]
    actions = ["sts:AssumeRole"] + (["sts:TagSession"] if session_tags else [])
    for action in actions:
        need = Need(action, role_arn, keys)
        trusted, direct = trust.decision(role_arn, principal, need, context.region)
        found = refusal(principal, need, context.region)
        if found is not None and (found.explicit or not (direct and _only_identity_lacks(found))):
            raise refusals.refuse("sts", principal, found)
        if trusted != "Allow":
            raise refusals.may_not_assume(principal, action, role_arn)


def _only_identity_lacks(found: Refusal) -> bool:
    return found.layer == "identity-based policy"


def note_session(context: RequestContext) -> None:
    """Remembers the session policies that a successful AssumeRole was asked with."""
    request, response = dict(context.service_request or {}), context.service_response or {}
    texts = [documents.read(request["Policy"])] if request.get("Policy") else []
    account = request["RoleArn"].split(":")[4]
    for descriptor in request.get("PolicyArns") or []:
        texts += documents.managed(account, descriptor["arn"])
    if texts:
        documents.SESSION_POLICIES.note(response["Credentials"]["AccessKeyId"], texts)
