"""Parameter Store."""

from ..callers import CALLER
from ..command_views import instant
from ..errors import ServiceError, validation
from ..model import Account
from ..paging import page
from ..parameters import ParameterVersion, StoredParameter

#: Keys of ParameterFilters and the options that each takes (API reference, ParameterStringFilter); the first is what no option means.
_DESCRIBE_KEYS = {
    "Name": ("Equals", "BeginsWith", "Contains"), "Type": ("Equals", "BeginsWith"), "KeyId": ("Equals", "BeginsWith"),
    "Path": ("OneLevel", "Recursive"), "Label": ("Equals",), "Tier": ("Equals", "BeginsWith"), "DataType": ("Equals", "BeginsWith"),
}  # fmt: skip
_BY_PATH_KEYS = {"Type": ("Equals", "BeginsWith"), "KeyId": ("Equals", "BeginsWith"), "Label": ("Equals",)}


def put_parameter(account: Account, request: dict) -> dict:
    version = account.parameters.put(request, CALLER.get().arn)
    return {"Version": version.number, "Tier": version.tier}


def get_parameter(account: Account, request: dict) -> dict:
    parameter, version, selector = account.parameters.select(request["Name"])
    return {"Parameter": _parameter(account, parameter, version, selector, request)}


def get_parameters(account: Account, request: dict) -> dict:
    """Those that are there; the names of the others."""
    found, invalid = [], []
    for name in dict.fromkeys(request["Names"]):
        try:
            parameter, version, selector = account.parameters.select(name)
            found.append(_parameter(account, parameter, version, selector, request))
        except ServiceError as error:
            if error.code == "ValidationException":
                raise
            invalid.append(name)
    return {"Parameters": found, "InvalidParameters": invalid}


def get_parameters_by_path(account: Account, request: dict) -> dict:
    """By name, ten a page at the most."""
    path = request["Path"]
    if not path.startswith("/"):
        raise validation(f"The parameter path {path} is not valid: it must begin with a slash.")
    found = [p for p in account.parameters.all() if _below(p.name, path, bool(request.get("Recursive")))]
    found = _filtered(found, request.get("ParameterFilters") or [], _BY_PATH_KEYS)
    chosen, token = page(found, request, lambda p: p.name, default=10)
    shown = [_parameter(account, parameter, parameter.latest, "", request) for parameter in chosen]
    return {"Parameters": shown} | ({"NextToken": token} if token else {})


def describe_parameters(account: Account, request: dict) -> dict:
    """By name; never values. ``ParameterFilters`` or the older ``Filters``."""
    if request.get("Filters") and request.get("ParameterFilters"):
        raise validation("You can use either Filters or ParameterFilters in a single request.")
    older = [{**each, "Option": "BeginsWith"} for each in request.get("Filters") or []]
    found = _filtered(account.parameters.all(), older or request.get("ParameterFilters") or [], _DESCRIBE_KEYS)
    chosen, token = page(found, request, lambda p: p.name)
    shown = [
        {"Name": parameter.name, "ARN": account.parameters.arn(parameter.name), "Policies": []} | _metadata(parameter.latest)
        for parameter in chosen
    ]
    return {"Parameters": shown} | ({"NextToken": token} if token else {})


def get_parameter_history(account: Account, request: dict) -> dict:
    """Oldest first."""
    parameter = account.parameters.get(request["Name"])
    chosen, token = page(parameter.versions, request, lambda v: str(v.number))
    decrypted = bool(request.get("WithDecryption"))
    shown = [
        {"Name": parameter.name, "Value": version.shown(decrypted), "Labels": version.labels, "Policies": []} | _metadata(version)
        for version in chosen
    ]
    return {"Parameters": shown} | ({"NextToken": token} if token else {})


def label_parameter_version(account: Account, request: dict) -> dict:
    number, invalid = account.parameters.label(request["Name"], request.get("ParameterVersion"), request["Labels"])
    return {"InvalidLabels": invalid, "ParameterVersion": number}


def unlabel_parameter_version(account: Account, request: dict) -> dict:
    removed, invalid = account.parameters.unlabel(request["Name"], request["ParameterVersion"], request["Labels"])
    return {"RemovedLabels": removed, "InvalidLabels": invalid}


def delete_parameter(account: Account, request: dict) -> dict:
    account.parameters.delete(request["Name"])
    return {}


def delete_parameters(account: Account, request: dict) -> dict:
    """Those that are there; the names of the others."""
    deleted, invalid = [], []
    for name in request["Names"]:
        try:
            account.parameters.delete(name)
            deleted.append(name)
        except ServiceError:
            invalid.append(name)
    return {"DeletedParameters": deleted, "InvalidParameters": invalid}


def _parameter(account: Account, parameter: StoredParameter, version: ParameterVersion, selector: str, request: dict) -> dict:
    """``Parameter``."""
    shown = {
        "Name": parameter.name,
        "Type": version.type,
        "Value": version.shown(bool(request.get("WithDecryption"))),
        "Version": version.number,
        "LastModifiedDate": instant(version.modified),
        "ARN": account.parameters.arn(parameter.name),
        "DataType": version.data_type,
    }
    return shown | ({"Selector": selector} if selector else {})


def _metadata(version: ParameterVersion) -> dict:
    """What ParameterMetadata and ParameterHistory have in common."""
    shown = {
        "Type": version.type,
        "LastModifiedDate": instant(version.modified),
        "LastModifiedUser": version.user,
        "Version": version.number,
        "Tier": version.tier,
        "DataType": version.data_type,
    }
    optional = {"KeyId": version.key_id, "Description": version.description, "AllowedPattern": version.pattern}
    return shown | {name: value for name, value in optional.items() if value}


def _below(name: str, path: str, recursive: bool) -> bool:
    prefix = path.rstrip("/") + "/"
    return name.startswith(prefix) and (recursive or "/" not in name.removeprefix(prefix))


def _filtered(found: list[StoredParameter], filters: list[dict], keys: dict[str, tuple[str, ...]]) -> list[StoredParameter]:
    for each in filters:
        key, values, tagged = each["Key"], each.get("Values") or [], each["Key"].startswith("tag:")
        if key not in keys and not (tagged and keys is _DESCRIBE_KEYS):
            raise ServiceError("InvalidFilterKey", f"The filter key {key} is not valid.")
        options = ("Equals", "BeginsWith") if tagged else keys[key]
        option = each.get("Option") or options[0]
        if option not in options:
            raise ServiceError("InvalidFilterOption", f"The option {option} is not valid for the filter key {key}.")
        if not values and not tagged:
            raise ServiceError("InvalidFilterValue", f"The filter key {key} needs values.")
        found = [parameter for parameter in found if _meets(parameter, key, option, values)]
    return found


def _meets(parameter: StoredParameter, key: str, option: str, values: list[str]) -> bool:
    latest = parameter.latest
    if key == "Path":
        return any(_below(parameter.name, value, option == "Recursive") for value in values)
    if key == "Label":
        return any(label in values for version in parameter.versions for label in version.labels)
    if key.startswith("tag:"):
        if not values:
            return key.removeprefix("tag:") in parameter.tags
        facts = [parameter.tags.get(key.removeprefix("tag:"))]
    else:
        facts = [{"Name": parameter.name, "Type": latest.type, "KeyId": latest.key_id, "Tier": latest.tier, "DataType": latest.data_type}[key]]
    compare = {"Equals": lambda a, b: a == b, "BeginsWith": lambda a, b: a.startswith(b), "Contains": lambda a, b: b in a}[option]
    return any(fact is not None and compare(fact, value) for fact in facts for value in values)


OPERATIONS = {
    "PutParameter": put_parameter,
    "GetParameter": get_parameter,
    "GetParameters": get_parameters,
    "GetParametersByPath": get_parameters_by_path,
    "DescribeParameters": describe_parameters,
    "GetParameterHistory": get_parameter_history,
    "LabelParameterVersion": label_parameter_version,
    "UnlabelParameterVersion": unlabel_parameter_version,
    "DeleteParameter": delete_parameter,
    "DeleteParameters": delete_parameters,
}
