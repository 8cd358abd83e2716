"""Who calls: an access key's principal, read from the IAM and STS stores."""

import re
from dataclasses import dataclass, field

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.services.iam.models import RoleEntity, UserEntity, iam_stores
from localstack.services.sts.models import sts_stores
from localstack.utils.aws.request_context import extract_access_key_id_from_auth_header

UNSIGNED_ACCESS_KEY_ID = "injectedaccesskey"
"""The access key that LocalStack gives to requests without any."""

IAM_STORE_REGION = "us-east-1"
"""IAM's stores are shared by all Regions; LocalStack still wants one named."""


@dataclass(frozen=True)
class Principal:
    """The caller of a request.

    `kind` is Root, User, AssumedRole, FederatedUser, Service or Anonymous. `arn` is the IAM identity that policies name (for a session
    the role's ARN), `session_arn` what AWS writes in messages. `tags` are the session's or the user's.
    """

    kind: str
    arn: str
    session_arn: str
    account: str
    name: str = ""
    access_key_id: str = ""
    user_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def exempt(self) -> bool:
        """The account's root user arranges the world, and AWS's services call each other: neither is refused."""
        return self.kind in ("Root", "Service")


def store(account: str):
    """The account's IAM store."""
    return iam_stores[account][IAM_STORE_REGION]


def role(account: str, name: str) -> RoleEntity | None:
    """A role by its name."""
    return store(account).ROLES.get(name)


def role_by_arn(arn: str) -> RoleEntity | None:
    """A role by its ARN; None also when the path in the ARN is not the role's."""
    parts = arn.split(":", 5)
    if len(parts) < 6 or not parts[5].startswith("role/"):
        return None
    entity = role(parts[4], parts[5].rsplit("/", 1)[-1])
    return entity if entity is not None and entity.role["Arn"] == arn else None


def user(account: str, name: str) -> UserEntity | None:
    """A user by name."""
    return store(account).USERS.get(name)


def identify(context: RequestContext) -> Principal:
    """The principal of a request. Raises what AWS answers for credentials that it does not know, or that have expired."""
    key = extract_access_key_id_from_auth_header(context.request.headers) or UNSIGNED_ACCESS_KEY_ID
    session = sts_stores[context.account_id][IAM_STORE_REGION].credentials.get(key)
    if session is not None:
        return _of_session(context, key, session)
    found = _of_user_key(key)
    if found is not None:
        return found
    if context.is_internal_call:
        service = (context.internal_request_params or {}).get("service_principal") or "localstack"
        name = f"{service}.amazonaws.com"
        return Principal("Service", name, name, context.account_id, name)
    if key == UNSIGNED_ACCESS_KEY_ID:
        return Principal("Anonymous", "anonymous", "anonymous", context.account_id)
    if re.fullmatch(r"\d{12}", key):
        arn = f"arn:{context.partition}:iam::{key}:root"
        return Principal("Root", arn, arn, key, "root", key, key)
    raise _unknown_credentials(context)


def _of_session(context: RequestContext, key: str, session) -> Principal:
    token = context.request.headers.get("X-Amz-Security-Token")
    if token != session.session_token:
        raise _unknown_credentials(context)
    if session.is_expired():
        raise CommonServiceException(_expired_code(context), "The security token included in the request is expired", 403, True)
    tags = {tag["Key"]: tag["Value"] for tag in session.tags.values()}
    kind, name = "Root", ""
    arn = session.arn
    resource = session.arn.split(":", 5)[5]
    if resource.startswith("assumed-role/"):
        kind, name = "AssumedRole", resource.split("/")[1]
        entity = role(session.account_id, name)
        if entity is None or not session.user_id.startswith(f"{entity.role['RoleId']}:"):
            raise _unknown_credentials(context)  # the role that this session was of is gone
        arn = entity.role["Arn"]
    elif resource.startswith("federated-user/"):
        kind, name = "FederatedUser", resource.split("/")[1]
    elif resource.startswith("user/"):
        kind, name = "User", resource.rsplit("/", 1)[-1]
    return Principal(kind, arn, session.arn, session.account_id, name, key, session.user_id, tags)


def _of_user_key(key: str) -> Principal | None:
    for account, regions in list(iam_stores.items()):
        del regions
        name = store(account).ACCESS_KEY_INDEX.get(key)
        entity = user(account, name) if name else None
        if entity is None:
            continue
        active = entity.access_keys[key].access_key["Status"] == "Active" if key in entity.access_keys else True
        if not active:
            return None
        record = entity.user
        tags = {tag["Key"]: tag["Value"] for tag in record.get("Tags") or []}
        return Principal("User", record["Arn"], record["Arn"], account, name, key, record["UserId"], tags)
    return None


def _expired_code(context: RequestContext) -> str:
    return "ExpiredTokenException" if _speaks_json(context) else "ExpiredToken"


def _speaks_json(context: RequestContext) -> bool:
    if context.service.service_name == "sqs":
        return False  # SQS speaks JSON, but kept its errors of the query protocol
    return (context.protocol or context.service.protocol) in ("json", "rest-json", "smithy-rpc-v2-cbor")


def _unknown_credentials(context: RequestContext) -> CommonServiceException:
    if _speaks_json(context):
        return CommonServiceException("UnrecognizedClientException", "The security token included in the request is invalid.", 400, True)
    return CommonServiceException("InvalidClientTokenId", "The security token included in the request is invalid.", 403, True)
