"""IAM itself (docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html)."""

from urllib.parse import urlsplit

from testbed.aws.iam.evaluate import Need
from testbed.aws.iam.needs.where import Where, tag_context, tags_of
from testbed.aws.iam.principals import role, store, user

_LISTS = {"ListRoles": "role/", "ListUsers": "user/", "ListGroups": "group/", "ListPolicies": "policy/"}
"""AWS writes the kind of resource, without a name, in refusals of these; they match the resource `*` alone."""

_TAGS_ON_CREATE = {
    "CreateRole": "iam:TagRole",
    "CreateUser": "iam:TagUser",
    "CreatePolicy": "iam:TagPolicy",
    "CreateOpenIDConnectProvider": "iam:TagOpenIDConnectProvider",
    "CreateInstanceProfile": "iam:TagInstanceProfile",
}


def needs(operation: str, request: dict, where: Where) -> list[Need]:
    """The needs of a call to IAM."""
    arn, tags, limit = _target(operation, request, where)
    context: dict[str, object] = {**tag_context("aws:ResourceTag", tags), **tag_context("iam:ResourceTag", tags)}
    asked = tags_of(request.get("Tags"))
    context |= tag_context("aws:RequestTag", asked)
    if request.get("TagKeys"):
        context["aws:TagKeys"] = list(request["TagKeys"])
    # On a create the boundary is the request's; on every later call it is the role's own, but for the call that sets it.
    limit = request.get("PermissionsBoundary") or limit
    if limit:
        context["iam:PermissionsBoundary"] = limit
    if request.get("PolicyArn") and operation.startswith(("Attach", "Detach")):
        context["iam:PolicyARN"] = request["PolicyArn"]
    shown = where.arn("iam", _LISTS[operation], regional=False) if operation in _LISTS else None
    found = [Need(f"iam:{operation}", arn, context, shown)]
    if asked and operation in _TAGS_ON_CREATE:
        found.append(Need(_TAGS_ON_CREATE[operation], arn, context))
    return found


def _target(operation: str, request: dict, where: Where) -> tuple[str, dict[str, str], str | None]:
    """The resource's ARN, its tags, and its permissions boundary."""
    if operation in _LISTS:
        return "*", {}, None
    if operation == "CreatePolicy":
        return _global(where, "policy", request.get("Path"), request["PolicyName"]), {}, None
    if operation == "CreateOpenIDConnectProvider":
        url = urlsplit(request["Url"])
        return where.arn("iam", f"oidc-provider/{url.netloc}{url.path}".rstrip("/"), regional=False), {}, None
    if "RoleName" in request and not operation.endswith("InstanceProfile"):
        entity = role(where.account, request["RoleName"])
        if entity is None or operation == "CreateRole":
            return _global(where, "role", request.get("Path"), request["RoleName"]), {}, None
        return _known(entity.role, where)
    if "UserName" in request:
        entity = user(where.account, request["UserName"])
        if entity is None or operation == "CreateUser":
            return _global(where, "user", request.get("Path"), request["UserName"]), {}, None
        return _known(entity.user, where)
    if "GroupName" in request:
        return _global(where, "group", request.get("Path"), request["GroupName"]), {}, None
    if "InstanceProfileName" in request:
        return _global(where, "instance-profile", request.get("Path"), request["InstanceProfileName"]), {}, None
    for field in ("PolicyArn", "OpenIDConnectProviderArn", "SAMLProviderArn"):
        if request.get(field):
            return request[field], _tags(request[field], where), None
    return "*", {}, None


def _known(record: dict, where: Where) -> tuple[str, dict[str, str], str | None]:
    limit = record.get("PermissionsBoundary") or {}
    return record["Arn"], _tags(record["Arn"], where), limit.get("PermissionsBoundaryArn")


def _tags(arn: str, where: Where) -> dict[str, str]:
    return dict(store(where.account).TAGS.get_tags(arn))


def _global(where: Where, kind: str, path: str | None, name: str) -> str:
    return where.arn("iam", f"{kind}{path or '/'}{name}", regional=False)
