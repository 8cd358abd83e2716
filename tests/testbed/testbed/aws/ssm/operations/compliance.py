"""ListComplianceItems, ListComplianceSummaries, ListResourceComplianceSummaries, PutComplianceItems."""

from collections import Counter
from collections.abc import Callable

from ..command_views import instant
from ..compliance import SEVERITIES, Item
from ..errors import ServiceError
from ..model import Account
from ..paging import page

_COUNTS = {
    "CRITICAL": "CriticalCount", "HIGH": "HighCount", "MEDIUM": "MediumCount", "LOW": "LowCount", "INFORMATIONAL": "InformationalCount",
    "UNSPECIFIED": "UnspecifiedCount",
}  # fmt: skip
_KEYS: dict[str, Callable[[Item], str]] = {
    "ComplianceType": lambda i: i.type,
    "ResourceId": lambda i: i.node_id,
    "ResourceType": lambda i: "ManagedInstance",
    "Id": lambda i: i.id,
    "Title": lambda i: i.title,
    "Status": lambda i: i.status,
    "Severity": lambda i: i.severity,
    "ExecutionType": lambda i: i.execution_type,
}
_TYPES: dict[str, Callable[[str, list[str]], bool]] = {
    "EQUAL": lambda value, wanted: value in wanted,
    "NOT_EQUAL": lambda value, wanted: value not in wanted,
    "BEGIN_WITH": lambda value, wanted: any(value.startswith(each) for each in wanted),
    "LESS_THAN": lambda value, wanted: all(value < each for each in wanted),
    "GREATER_THAN": lambda value, wanted: all(value > each for each in wanted),
}


def put_compliance_items(account: Account, request: dict) -> dict:
    when = request["ExecutionSummary"]["ExecutionTime"]
    account.compliance.put(request, when.timestamp() if hasattr(when, "timestamp") else float(when))
    return {}


def list_compliance_items(account: Account, request: dict) -> dict:
    """By node, type and id; ``ResourceIds`` of managed nodes only."""
    if any(kind != "ManagedInstance" for kind in request.get("ResourceTypes") or []):
        raise ServiceError("InvalidResourceType", "The resource type must be ManagedInstance.")
    ids = request.get("ResourceIds") or []
    if unknown := [node_id for node_id in ids if account.node(node_id) is None]:
        raise ServiceError("InvalidResourceId", f"The resource ID {unknown[0]} is not valid. Verify that you entered the correct ID.")
    found = [item for item in _filtered(account, request) if not ids or item.node_id in ids]
    chosen, token = page(found, request, lambda i: f"{i.node_id}/{i.type}/{i.id}")
    return {"ComplianceItems": [_item(item) for item in chosen]} | ({"NextToken": token} if token else {})


def list_compliance_summaries(account: Account, request: dict) -> dict:
    """By type: how many resources are compliant, and how bad the others are."""
    by_type: dict[str, dict[str, list[Item]]] = {}
    for item in _filtered(account, request):
        by_type.setdefault(item.type, {}).setdefault(item.node_id, []).append(item)
    chosen, token = page(sorted(by_type), request, lambda t: t)
    shown = []
    for kind in chosen:
        worst = [_worst(items) for items in by_type[kind].values()]
        good = [severity for status, severity in worst if status == "COMPLIANT"]
        bad = [severity for status, severity in worst if status == "NON_COMPLIANT"]
        shown.append({"ComplianceType": kind} | _summaries(good, bad))
    return {"ComplianceSummaryItems": shown} | ({"NextToken": token} if token else {})


def list_resource_compliance_summaries(account: Account, request: dict) -> dict:
    """By node and type: how many items are compliant."""
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in _filtered(account, request):
        groups.setdefault((item.node_id, item.type), []).append(item)
    chosen, token = page(sorted(groups), request, "/".join)
    shown = []
    for node_id, kind in chosen:
        items = groups[node_id, kind]
        status, severity = _worst(items)
        good = [item.severity for item in items if item.status == "COMPLIANT"]
        bad = [item.severity for item in items if item.status == "NON_COMPLIANT"]
        shown.append(
            {
                "ComplianceType": kind,
                "ResourceType": "ManagedInstance",
                "ResourceId": node_id,
                "Status": status,
                "OverallSeverity": severity,
                "ExecutionSummary": _execution(max(items, key=lambda i: i.when)),
            }
            | _summaries(good, bad)
        )
    return {"ResourceComplianceSummaryItems": shown} | ({"NextToken": token} if token else {})


def _filtered(account: Account, request: dict) -> list[Item]:
    found = account.compliance.items()
    for each in request.get("Filters") or []:
        key, kind = each.get("Key", ""), each.get("Type", "EQUAL")
        if key not in _KEYS:
            raise ServiceError("InvalidFilter", f"The filter key {key} is not valid.")
        found = [item for item in found if _TYPES[kind](_KEYS[key](item), each.get("Values") or [])]
    return found


def _worst(items: list[Item]) -> tuple[str, str]:
    """(status, severity) of a group: NON_COMPLIANT as soon as one item is, with the worst severity of those."""
    bad = [item for item in items if item.status == "NON_COMPLIANT"]
    severity = min((item.severity for item in bad), key=SEVERITIES.index, default="UNSPECIFIED")
    return ("NON_COMPLIANT" if bad else "COMPLIANT"), severity


def _summaries(good: list[str], bad: list[str]) -> dict:
    return {
        "CompliantSummary": {"CompliantCount": len(good), "SeveritySummary": _severities(good)},
        "NonCompliantSummary": {"NonCompliantCount": len(bad), "SeveritySummary": _severities(bad)},
    }


def _severities(severities: list[str]) -> dict:
    counted = Counter(severities)
    return {name: counted[severity] for severity, name in _COUNTS.items()}


def _execution(item: Item) -> dict:
    shown = {"ExecutionTime": instant(item.when)}
    optional = {"ExecutionId": item.execution_id, "ExecutionType": item.execution_type}
    return shown | {name: value for name, value in optional.items() if value}


def _item(item: Item) -> dict:
    return {
        "ComplianceType": item.type,
        "ResourceType": "ManagedInstance",
        "ResourceId": item.node_id,
        "Id": item.id,
        "Title": item.title,
        "Status": item.status,
        "Severity": item.severity,
        "ExecutionSummary": _execution(item),
        "Details": item.details,
    }


OPERATIONS = {
    "PutComplianceItems": put_compliance_items,
    "ListComplianceItems": list_compliance_items,
    "ListComplianceSummaries": list_compliance_summaries,
    "ListResourceComplianceSummaries": list_resource_compliance_summaries,
}
