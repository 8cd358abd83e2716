"""SimulatePrincipalPolicy by the very evaluation that calls are refused by: identity policies and the permissions boundary, for each action on
each resource (docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html)."""

from testbed.aws.iam import documents
from testbed.aws.iam.evaluate import Need, condition_context, decide
from testbed.aws.iam.principals import Principal, role_by_arn, user

WORDS = {"Allow": "allowed", "Deny": "explicitDeny", "ImplicitDeny": "implicitDeny"}


def apply() -> None:
    """Replaces LocalStack's simulator."""
    from localstack.aws.api.iam import NoSuchEntityException
    from localstack.services.iam.provider import IamProvider

    def principal_of(arn: str) -> Principal:
        account, resource = arn.split(":", 5)[4:6]
        kind, _, name = resource.partition("/")
        name = name.rsplit("/", 1)[-1]
        if kind == "role" and role_by_arn(arn) is not None:
            return Principal("AssumedRole", arn, arn, account, name)
        if kind == "user" and user(account, name) is not None:
            return Principal("User", arn, arn, account, name)
        raise NoSuchEntityException(f"The {kind} with name {name} cannot be found.")

    def simulate_principal_policy(self, context, request, **kwargs):
        principal = principal_of(request["PolicySourceArn"])
        given = {
            entry["ContextKeyName"]: entry["ContextKeyValues"] if entry["ContextKeyType"].endswith("List") else entry["ContextKeyValues"][0]
            for entry in request.get("ContextEntries") or []
        }
        identity = documents.identity(principal) + [documents.read(text) for text in request.get("PolicyInputList") or []]
        boundary = [documents.read(text) for text in request.get("PermissionsBoundaryPolicyInputList") or []] or documents.boundary(principal)
        results = []
        for action in request["ActionNames"]:
            for resource in request.get("ResourceArns") or ["*"]:
                keys = condition_context(principal, Need(action, resource, given), context.region)
                decision = decide(keys, identity)
                result = {"EvalActionName": action, "EvalResourceName": resource, "MatchedStatements": [], "MissingContextValues": []}
                if boundary is not None:
                    limit = decide(keys, boundary)
                    result["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": limit == "Allow"}
                    decision = "Deny" if "Deny" in (decision, limit) else decision if limit == "Allow" else "ImplicitDeny"
                results.append({**result, "EvalDecision": WORDS[decision]})
        return {"EvaluationResults": results, "IsTruncated": False}

    simulate_principal_policy.__wrapped_handler__ = True
    original = IamProvider.simulate_principal_policy
    for name in ("operation", "expand_parameters", "marshall", "pass_context"):
        if hasattr(original, name):
            setattr(simulate_principal_policy, name, getattr(original, name))
    IamProvider.simulate_principal_policy = simulate_principal_policy
