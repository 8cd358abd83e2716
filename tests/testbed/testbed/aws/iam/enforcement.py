"""Checks each call against IAM before it reaches its service."""

from dataclasses import replace

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.services.stepfunctions.backend.models import sfn_stores

from testbed.aws.iam import documents, execution_roles, needs, refusals, resource_policies, trust, web_identity
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
        if operation == "AssumeRoleWithWebIdentity":
            context.bed_identity = web_identity.authorize(context, request)
            return None
        if operation == "AssumeRoleWithSAML":
            # Nothing in this bed can vouch for an assertion.
            raise CommonServiceException("IDPCommunicationError", "Couldn't reach the identity provider.", 400, True)
    if principal.kind == "Anonymous":
        raise CommonServiceException("MissingAuthenticationToken", "Request is missing Authentication Token", 403, True)
    if (service, operation) not in NEVER_REFUSED:
        for need in needs_of(context) if _is_checked(service, operation, principal) else []:
            found = _refusal(service, context, principal, need)
            if found is not None:
                raise refusals.refuse(service, principal, found)
    if service == "stepfunctions" and operation in ("CreateStateMachine", "UpdateStateMachine"):
        _check_execution_role(context, request)


def _is_checked(service: str, operation: str, principal: Principal) -> bool:
    if principal.kind == "Service":
        return principal.arn in resource_policies.DELIVERERS and (service, operation) == ("sqs", "SendMessage")
    return not principal.exempt


def _refusal(service: str, context: RequestContext, principal: Principal, need: Need) -> Refusal | None:
    """Identity, boundary and session policies, and the resource's own."""
    if principal.kind == "Service":
        source = (context.internal_request_params or {}).get("source_arn")
        keys = {"aws:SourceArn": source, "aws:SourceAccount": context.account_id} if source else {}
        need = replace(need, context={**need.context, **keys})
    on_resource = resource_policies.decision(service, principal, need, context.region)
    if on_resource == "Deny":
        return Refusal(need, "resource-based policy", explicit=True)
    if principal.kind == "Service":
        return None if on_resource == "Allow" else Refusal(need, "resource-based policy", explicit=False)
    found = refusal(principal, need, context.region)
    if found is not None and not found.explicit and _only_identity_lacks(found) and on_resource == "Allow":
        return None
    return found


def _check_execution_role(context: RequestContext, request: dict) -> None:
    """What Step Functions checks of the role when a state machine is made, or given another role, definition or logging."""
    here = where(context)
    arn = request.get("stateMachineArn") or here.arn("states", f"stateMachine:{request['name']}")
    current = sfn_stores[context.account_id][context.region].state_machines.get(arn)
    role = request.get("roleArn") or (current.role_arn if current else None)
    if role is None:
        return  # an update of what is not there: the service says so
    if request.get("roleArn") and not trust.service_may_assume(STATES, role, arn, context.account_id, context.region):
        raise refusals.states_may_not_assume()
    try:
        awaits = execution_roles.can_await_children(role, request.get("definition") or (current.definition if current else "{}"), here)
    except ValueError:
        return  # no JSON: the service says so
    if not awaits:
        raise refusals.of_execution_role(f"'{role}' is not authorized to create managed-rule.")
    logging = request.get("loggingConfiguration") or (current.logging_config if current else None)
    if not execution_roles.can_deliver_logs(role, logging, here):
        raise refusals.of_execution_role("The state machine IAM Role is not authorized to access the Log Destination")


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
    """Remembers the session policies that a successful AssumeRole or AssumeRoleWithWebIdentity was asked with."""
    request, response = dict(context.service_request or {}), context.service_response or {}
    texts = [documents.read(request["Policy"])] if request.get("Policy") else []
    account = request["RoleArn"].split(":")[4]
    for descriptor in request.get("PolicyArns") or []:
        texts += documents.managed(account, descriptor["arn"])
    if texts:
        documents.SESSION_POLICIES.note(response["Credentials"]["AccessKeyId"], texts)
