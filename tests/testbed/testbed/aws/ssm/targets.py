"""Which nodes a command or a listing means: SendCommand's Targets, DescribeInstanceInformation's filters."""

from collections.abc import Callable, Iterable

from .errors import ServiceError, not_built
from .nodes import Node

#: User guide: five values for a tag key in Targets (50 for instance ids).
MAX_TAG_VALUES = 5


def check(targets: list[dict]) -> None:
    """Refuses Targets that AWS refuses; ``InvalidParameters``."""
    keys = [target.get("Key", "") for target in targets]
    if len(set(keys)) < len(keys):
        raise ServiceError("InvalidParameters", "A target key may stand only once.")
    for target in targets:
        key, values = target.get("Key", ""), target.get("Values") or []
        if key.startswith("resource-groups:"):
            raise not_built("resource groups as targets")
        if key.lower() == "instanceids":
            if len(targets) > 1:
                raise ServiceError("InvalidParameters", "InstanceIds can't be combined with other targets.")
        elif key.startswith("tag:"):
            if not values or len(values) > MAX_TAG_VALUES:
                raise ServiceError("InvalidParameters", f"{key} takes one to {MAX_TAG_VALUES} values.")
        elif key != "tag-key":
            raise ServiceError("InvalidParameters", f"The target key {key} is not valid.")
        if not values:
            raise ServiceError("InvalidParameters", f"The target {key} has no values.")


def resolve(targets: list[dict], nodes: Iterable[Node]) -> list[str]:
    """Ids of the nodes that meet every target, or the very ids named, whether there is such a node or not."""
    if targets and targets[0]["Key"].lower() == "instanceids":
        return list(dict.fromkeys(targets[0]["Values"]))
    return [node.id for node in nodes if all(_tagged(node, t["Key"], t["Values"]) for t in targets)]


#: Filter of DescribeInstanceInformation -> what it compares.
_ATTRIBUTES = {
    "InstanceIds": lambda n: n.id,
    "AgentVersion": lambda n: n.agent_version,
    "PlatformTypes": lambda n: n.platform,
    "PlatformType": lambda n: n.platform,
    "ResourceType": lambda n: "ManagedInstance" if n.hybrid else "EC2Instance",
    "SourceIds": lambda n: n.id,
    "SourceTypes": lambda n: "AWS::SSM::ManagedInstance" if n.hybrid else "AWS::EC2::Instance",
    "IamRole": lambda n: "",
    "ActivationIds": lambda n: "",
}


def filtered(filters: list[dict], nodes: Iterable[Node], status: Callable[[Node], str], associated: Callable[[Node], str]) -> list[Node]:
    """The nodes that meet all filters (``{Key, Values}``); ``status`` is the ping status that the service shows, ``associated``
    that of its associations.

    ``InvalidFilterKey`` for a key that AWS does not have.
    """
    found = list(nodes)
    attributes = {**_ATTRIBUTES, "PingStatus": status, "AssociationStatus": associated}
    for each in filters:
        key, values = each["Key"], each["Values"]
        if key == "tag-key" or key.startswith("tag:"):
            found = [node for node in found if _tagged(node, key, values)]
        elif attribute := attributes.get(key):
            found = [node for node in found if attribute(node) in values]
        else:
            raise ServiceError("InvalidFilterKey", f"The filter key {key} is not valid.")
    return found


def _tagged(node: Node, key: str, values: list[str]) -> bool:
    if key == "tag-key":
        return any(value in node.tags for value in values)
    return node.tags.get(key.removeprefix("tag:")) in values
