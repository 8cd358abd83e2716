"""Tags of documents, associations, executions of runbooks and hybrid nodes (an EC2 instance's tags belong to EC2).

What else the API can tag does not exist in this bed, so that a call for it finds no such resource.
"""

from ..errors import ServiceError, validation
from ..model import Account

MAX_TAGS = 50


def add_tags_to_resource(account: Account, request: dict) -> dict:
    tags = _tags_of(account, request)
    added = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    if reserved := [key for key in added if key.lower().startswith("aws:")]:
        raise validation(f"Tag keys that begin with aws: are reserved: {', '.join(reserved)}.")
    if len(tags | added) > MAX_TAGS:
        raise ServiceError("TooManyTagsError", f"A resource has at most {MAX_TAGS} tags.")
    tags |= added
    return {}


def remove_tags_from_resource(account: Account, request: dict) -> dict:
    """A key that is not there is no error."""
    tags = _tags_of(account, request)
    for key in request["TagKeys"]:
        tags.pop(key, None)
    return {}


def list_tags_for_resource(account: Account, request: dict) -> dict:
    tags = _tags_of(account, request)
    return {"TagList": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}


def _tags_of(account: Account, request: dict) -> dict[str, str]:
    """The tags themselves, to be changed in place."""
    kind, resource = request["ResourceType"], request["ResourceId"]
    if kind == "Document":
        try:
            return account.documents.own(resource).tags
        except ServiceError as error:
            raise _no_resource(resource) from error
    if kind == "Parameter":
        try:
            return account.parameters.get(resource).tags
        except ServiceError as error:
            raise _no_resource(resource) from error
    if kind in ("Association", "Automation"):
        return _tags_of_others(account, kind, resource)
    node = account.node(resource) if kind == "ManagedInstance" else None
    if node is None or not node.hybrid:
        raise _no_resource(resource)
    return node.tags


def _tags_of_others(account: Account, kind: str, resource: str) -> dict[str, str]:
    if kind == "Automation":
        if execution := account.automations.find(resource):
            return execution.tags
        raise _no_resource(resource)
    try:
        return account.associations.get(resource).tags
    except ServiceError as error:
        raise _no_resource(resource) from error


def _no_resource(resource: str) -> ServiceError:
    return ServiceError("InvalidResourceId", f"The resource ID {resource} is not valid. Verify that you entered the correct ID.")


OPERATIONS = {
    "AddTagsToResource": add_tags_to_resource,
    "RemoveTagsFromResource": remove_tags_from_resource,
    "ListTagsForResource": list_tags_for_resource,
}
