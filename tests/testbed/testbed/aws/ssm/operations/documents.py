"""Documents: create, update, default version, describe, get, delete, list."""

import json

from ..command_views import instant
from ..documents import PARSERS, Document, Version
from ..errors import ServiceError, not_built
from ..model import Account
from ..paging import page

_NOT_BUILT = {"Requires": "required documents", "Attachments": "attachments of documents"}


def create_document(account: Account, request: dict) -> dict:
    """The description says Creating, and Active some time later."""
    _refuse_not_built(request)
    if request.get("DocumentType", "Command") not in PARSERS:
        raise not_built(f"documents of type {request['DocumentType']}")
    made = account.documents.create(request, account.system.eventual.document_active_seconds)
    return {"DocumentDescription": _description(account, *made)}


def update_document(account: Account, request: dict) -> dict:
    _refuse_not_built(request)
    made = account.documents.update(request, account.system.eventual.document_active_seconds)
    return {"DocumentDescription": _description(account, *made)}


def update_document_default_version(account: Account, request: dict) -> dict:
    document, version = account.documents.set_default(request["Name"], request["DocumentVersion"])
    answer = {"Name": document.name, "DefaultVersion": str(version.number)}
    return {"Description": answer | ({"DefaultVersionName": version.name} if version.name else {})}


def describe_document(account: Account, request: dict) -> dict:
    document, version = _wanted(account, request)
    return {"Document": _description(account, document, version)}


def get_document(account: Account, request: dict) -> dict:
    """The content as it was given; a document in another format than the one asked for is not converted."""
    document, version = _wanted(account, request)
    wanted = request.get("DocumentFormat", version.format)
    if wanted != version.format:
        raise not_built(f"conversion of a document from {version.format} to {wanted}")
    return {
        **_identity(document, version),
        "CreatedDate": instant(version.created),
        "Status": version.status(_now(account)),
        "Content": version.content.text,
        "DocumentType": document.type,
        "DocumentFormat": version.format,
    }


def delete_document(account: Account, request: dict) -> dict:
    if not request.get("DocumentVersion") and not request.get("VersionName") and account.associations.uses(request["Name"]):
        raise ServiceError(
            "AssociatedInstances", "You must disassociate a document from all managed nodes before you can delete it."
        )
    account.documents.delete(request["Name"], request.get("DocumentVersion"), request.get("VersionName"))
    return {}


def list_documents(account: Account, request: dict) -> dict:
    """By name; ``Filters`` or the older ``DocumentFilterList``."""
    filters = [*(request.get("Filters") or []), *_older_filters(request.get("DocumentFilterList") or [])]
    found = [d for d in account.documents.all() if all(_meets(account, d, f["Key"], f["Values"]) for f in filters)]
    chosen, token = page(found, request, lambda d: d.name)
    identifiers = [_identifier(document) for document in chosen]
    return {"DocumentIdentifiers": identifiers} | ({"NextToken": token} if token else {})


def list_document_versions(account: Account, request: dict) -> dict:
    """Newest first."""
    document = account.documents.get(request["Name"])
    versions = sorted(document.versions.values(), key=lambda v: -v.number)
    chosen, token = page(versions, request, lambda v: str(v.number))
    shown = [
        {
            **_identity(document, version),
            "CreatedDate": instant(version.created),
            "IsDefaultVersion": version.number == document.default,
            "DocumentFormat": version.format,
            "Status": version.status(_now(account)),
        }
        for version in chosen
    ]
    return {"DocumentVersions": shown} | ({"NextToken": token} if token else {})


def _description(account: Account, document: Document, version: Version) -> dict:
    """``DocumentDescription``."""
    content = version.content
    described = {
        **_identity(document, version),
        "Hash": content.sha256,
        "HashType": "Sha256",
        "Owner": document.owner,
        "CreatedDate": instant(version.created),
        "Status": version.status(_now(account)),
        "Description": content.description,
        "Parameters": [_parameter(parameter) for parameter in content.parameters.values()],
        "PlatformTypes": content.platforms,
        "DocumentType": document.type,
        "LatestVersion": str(document.latest),
        "DefaultVersion": str(document.default),
        "DocumentFormat": version.format,
        "Tags": _tags(document),
    }
    return described | _optional(version)


def _parameter(parameter) -> dict:
    shown = {"Name": parameter.name, "Type": parameter.type, "Description": parameter.description}
    if parameter.required:
        return shown
    default = parameter.default
    return shown | {"DefaultValue": default if isinstance(default, str) else json.dumps(default)}


def _identifier(document: Document) -> dict:
    """``DocumentIdentifier``, of the default version."""
    version = document.version()
    shown = {
        **_identity(document, version),
        "CreatedDate": instant(version.created),
        "Owner": document.owner,
        "PlatformTypes": version.content.platforms,
        "DocumentType": document.type,
        "DocumentFormat": version.format,
        "Tags": _tags(document),
    }
    return shown | _optional(version)


def _optional(version: Version) -> dict:
    """What only some documents have."""
    schema = {"SchemaVersion": version.content.schema} if version.content.schema else {}
    return schema | ({"TargetType": version.target_type} if version.target_type else {})


def _identity(document: Document, version: Version) -> dict:
    shown = {"Name": document.name, "DocumentVersion": str(version.number)}
    if version.name:
        shown["VersionName"] = version.name
    if version.display_name:
        shown["DisplayName"] = version.display_name
    return shown


def _wanted(account: Account, request: dict) -> tuple[Document, Version]:
    document = account.documents.get(request["Name"])
    return document, document.version(request.get("DocumentVersion"), request.get("VersionName"))


def _meets(account: Account, document: Document, key: str, values: list[str]) -> bool:
    version = document.version()
    match key:
        case "Name" | "SearchKeyword":
            return any(document.name.startswith(v) if key == "Name" else v in document.name for v in values)
        case "Owner":
            return any(_is_owner(account, document, v) for v in values)
        case "DocumentType":
            return document.type in values
        case "PlatformTypes":
            return any(v in version.content.platforms for v in values)
        case "TargetType":
            return version.target_type in values
    if key.startswith("tag:"):
        return document.tags.get(key.removeprefix("tag:")) in values
    raise ServiceError("InvalidFilterKey", f"The filter key {key} is not valid.")


def _is_owner(account: Account, document: Document, wanted: str) -> bool:
    own = document.owner == account.account
    return {"Self": own, "Private": own, "Amazon": not own, "All": True}.get(wanted, document.owner == wanted)


def _older_filters(filters: list[dict]) -> list[dict]:
    return [{"Key": each["key"], "Values": [each["value"]]} for each in filters]


def _tags(document: Document) -> list[dict]:
    return [{"Key": key, "Value": value} for key, value in sorted(document.tags.items())]


def _refuse_not_built(request: dict) -> None:
    for name, feature in _NOT_BUILT.items():
        if request.get(name):
            raise not_built(f"{feature} ({name})")


def _now(account: Account) -> float:
    return account.system.scheduler.now()


def modify_document_permission(account: Account, request: dict) -> dict:
    """Shares a document with accounts, or with ``all``, or ends that."""
    document = account.documents.own(request["Name"])
    if request["PermissionType"] != "Share":
        raise ServiceError("InvalidPermissionType", "The permission type is not supported. Share is the only supported permission type.")
    shared = (document.shared | set(request.get("AccountIdsToAdd") or [])) - set(request.get("AccountIdsToRemove") or [])
    if len(shared) > account.system.quotas.document_shares:
        most = account.system.quotas.document_shares
        raise ServiceError("DocumentPermissionLimit", f"The document can't be shared with more than {most} accounts.")
    document.shared = shared
    return {}


def describe_document_permission(account: Account, request: dict) -> dict:
    document = account.documents.own(request["Name"])
    if request["PermissionType"] != "Share":
        raise ServiceError("InvalidPermissionType", "The permission type is not supported. Share is the only supported permission type.")
    chosen, token = page(sorted(document.shared), request, str)
    shown = {
        "AccountIds": chosen,
        "AccountSharingInfoList": [{"AccountId": each, "SharedDocumentVersion": "$DEFAULT"} for each in chosen],
    }
    return shown | ({"NextToken": token} if token else {})


OPERATIONS = {
    "DescribeDocumentPermission": describe_document_permission,
    "ModifyDocumentPermission": modify_document_permission,
    "CreateDocument": create_document,
    "UpdateDocument": update_document,
    "UpdateDocumentDefaultVersion": update_document_default_version,
    "DescribeDocument": describe_document,
    "GetDocument": get_document,
    "DeleteDocument": delete_document,
    "ListDocuments": list_documents,
    "ListDocumentVersions": list_document_versions,
}
