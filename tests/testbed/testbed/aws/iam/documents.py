"""The policy documents that apply to a principal, read from LocalStack's IAM store (where they stand URL-quoted)."""

import json
import threading
from collections.abc import Iterable
from urllib.parse import unquote

from testbed.aws.iam.principals import Principal, role, store, user

Documents = list[dict]


class SessionPolicies:
    """The session policies that came with AssumeRole, by the access key that it answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._documents: dict[str, Documents] = {}

    def note(self, access_key_id: str, documents: Documents) -> None:
        """Remembers the session policies of a new session."""
        with self._lock:
            self._documents[access_key_id] = documents

    def of(self, access_key_id: str) -> Documents | None:
        """The session's policies, None when it has none and is not limited by any."""
        with self._lock:
            return self._documents.get(access_key_id)

    def clear(self) -> None:
        """Forgets all sessions."""
        with self._lock:
            self._documents.clear()


SESSION_POLICIES = SessionPolicies()


def read(document: str | dict) -> dict:
    """A policy document as it stands in a store or in a request: quoted or plain text, or parsed."""
    if isinstance(document, dict):
        return document
    text = document.strip()
    return json.loads(text if text.startswith("{") else unquote(text))


def managed(account: str, arn: str) -> Documents:
    """The default version of a managed policy; nothing when there is no such policy."""
    entity = store(account).MANAGED_POLICIES.get(arn)
    if entity is not None:
        version = entity.versions[entity.policy["DefaultVersionId"]]
        return [read(version["Document"])]
    return _aws_managed(arn)


def _aws_managed(arn: str) -> Documents:
    if ":iam::aws:policy/" not in arn:
        return []
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    entry = json.loads(aws_managed_policies_data).get(arn.rsplit("/", 1)[-1])
    return [entry["Document"]] if entry else []


def _all_managed(account: str, arns: Iterable[str]) -> Documents:
    return [document for arn in arns for document in managed(account, arn)]


def identity(principal: Principal) -> Documents:
    """The identity-based policies: inline, attached, and a user's groups'."""
    if principal.kind == "AssumedRole":
        entity = role(principal.account, principal.name)
        return _of_entity(principal.account, entity) if entity else []
    if principal.kind == "User":
        entity = user(principal.account, principal.name)
        if entity is None:
            return []
        documents = _of_entity(principal.account, entity)
        for group in store(principal.account).GROUPS.values():
            if principal.name in group.member_user_names:
                documents += _of_entity(principal.account, group)
        return documents
    return []


def _of_entity(account: str, entity) -> Documents:
    inline = [read(document) for document in entity.inline_policies.values()]
    return inline + _all_managed(account, entity.attached_policy_arns)


def boundary(principal: Principal) -> Documents | None:
    """The permissions boundary, None when the principal has none. A boundary whose policy is gone allows nothing."""
    if principal.kind == "AssumedRole":
        entity = role(principal.account, principal.name)
        record = entity.role if entity else {}
    elif principal.kind == "User":
        entity = user(principal.account, principal.name)
        record = entity.user if entity else {}
    else:
        return None
    limit = record.get("PermissionsBoundary")
    return managed(principal.account, limit["PermissionsBoundaryArn"]) if limit else None


def session(principal: Principal) -> Documents | None:
    """The session policies, None when there are none."""
    return SESSION_POLICIES.of(principal.access_key_id)
