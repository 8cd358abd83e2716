"""State Manager: associations, their versions and executions."""

from datetime import datetime

from ..associations.associations import does_not_exist
from ..associations.records import Association, Execution, Version
from ..command_views import instant
from ..errors import ServiceError, validation
from ..model import Account
from ..paging import page

_SHOWN = (
    "Name", "InstanceId", "DocumentVersion", "Parameters", "Targets", "ScheduleExpression", "OutputLocation", "AssociationName", "MaxErrors",
    "MaxConcurrency", "ComplianceSeverity", "SyncCompliance", "ApplyOnlyAtCronInterval", "CalendarNames", "ScheduleOffset",
)  # fmt: skip
_LISTED = ("Name", "InstanceId", "DocumentVersion", "Targets", "ScheduleExpression", "AssociationName", "ScheduleOffset")


def create_association(account: Account, request: dict) -> dict:
    return {"AssociationDescription": _description(account.associations.create(request))}


def update_association(account: Account, request: dict) -> dict:
    return {"AssociationDescription": _description(account.associations.update(request))}


def delete_association(account: Account, request: dict) -> dict:
    account.associations.delete(_wanted(account, request))
    return {}


def describe_association(account: Account, request: dict) -> dict:
    """The latest version, or the one named."""
    association = _wanted(account, request)
    version = account.associations.version(association, request.get("AssociationVersion", "$LATEST"))
    return {"AssociationDescription": _description(association, version)}


def list_associations(account: Account, request: dict) -> dict:
    """Latest versions, oldest association first."""
    filters = request.get("AssociationFilterList") or []
    found = [a for a in account.associations.all() if all(_meets(account, a, f["key"], f["value"]) for f in filters)]
    chosen, token = page(found, request, lambda a: a.id)
    return {"Associations": [_listed(a) for a in chosen]} | ({"NextToken": token} if token else {})


def list_association_versions(account: Account, request: dict) -> dict:
    """Newest first."""
    association = account.associations.get(request["AssociationId"])
    chosen, token = page(list(reversed(association.versions)), request, lambda v: str(v.number))
    shown = [
        {
            "AssociationId": association.id,
            "AssociationVersion": str(version.number),
            "CreatedDate": instant(version.created),
            **{name: version.request[name] for name in _SHOWN if name in version.request and name != "InstanceId"},
        }
        for version in chosen
    ]
    return {"AssociationVersions": shown} | ({"NextToken": token} if token else {})


def start_associations_once(account: Account, request: dict) -> dict:
    account.associations.run_once(request["AssociationIds"])
    return {}


def describe_association_executions(account: Account, request: dict) -> dict:
    """Newest first."""
    association = account.associations.get(request["AssociationId"])
    found = list(reversed(association.executions))
    for each in request.get("Filters") or []:
        found = [e for e in found if _execution_meets(e, each["Key"], each["Value"], each["Type"])]
    chosen, token = page(found, request, lambda e: e.id)
    shown = [
        {
            "AssociationId": association.id,
            "AssociationVersion": str(execution.version),
            "ExecutionId": execution.id,
            "Status": execution.status,
            "DetailedStatus": execution.detailed,
            "CreatedTime": instant(execution.created),
            "LastExecutionDate": instant(execution.created),
            "ResourceCountByStatus": "{" + ", ".join(f"{k}={v}" for k, v in sorted(execution.counts.items())) + "}",
        }
        for execution in chosen
    ]
    return {"AssociationExecutions": shown} | ({"NextToken": token} if token else {})


def describe_association_execution_targets(account: Account, request: dict) -> dict:
    """By node; the output is that of the command that OutputSource names."""
    association = account.associations.get(request["AssociationId"])
    execution = next((e for e in association.executions if e.id == request["ExecutionId"]), None)
    if execution is None:
        raise ServiceError("AssociationExecutionDoesNotExist", "The specified execution ID does not exist.")
    found = sorted(execution.statuses().items())
    for each in request.get("Filters") or []:
        found = [target for target in found if _target_meets(target, each["Key"], each["Value"])]
    chosen, token = page(found, request, lambda t: t[0])
    shown = [
        {
            "AssociationId": association.id,
            "AssociationVersion": str(execution.version),
            "ExecutionId": execution.id,
            "ResourceId": node,
            "ResourceType": "ManagedInstance",
            "Status": status,
            "DetailedStatus": _detailed(execution, node),
            "LastExecutionDate": instant(execution.created),
            "OutputSource": {"OutputSourceId": execution.command.id, "OutputSourceType": "RunCommand"},
        }
        for node, status in chosen
    ]
    return {"AssociationExecutionTargets": shown} | ({"NextToken": token} if token else {})


def describe_instance_associations_status(account: Account, request: dict) -> dict:
    """What each association has done on one node."""
    node = account.node(request["InstanceId"])
    if node is None:
        raise ServiceError("InvalidInstanceId", f"The instance {request['InstanceId']} is not a managed node.")
    found = [(a, a.last_by_node[node.id]) for a in account.associations.all() if node.id in a.last_by_node]
    chosen, token = page(found, request, lambda pair: pair[0].id)
    shown = [
        {
            "AssociationId": association.id,
            "Name": association.request["Name"],
            "DocumentVersion": association.request.get("DocumentVersion", "$DEFAULT"),
            "AssociationVersion": str(execution.version),
            "InstanceId": node.id,
            "ExecutionDate": instant(execution.created),
            "Status": execution.statuses()[node.id],
            "DetailedStatus": _detailed(execution, node.id),
            "AssociationName": association.request.get("AssociationName", ""),
        }
        for association, execution in chosen
    ]
    return {"InstanceAssociationStatusInfos": shown} | ({"NextToken": token} if token else {})


def _detailed(execution: Execution, node: str) -> str:
    details = execution.command.invocations[node].details
    return "Pending" if details == "Delayed" else details


def _wanted(account: Account, request: dict) -> Association:
    """By id, or by the document and the one node of the older form."""
    if request.get("AssociationId"):
        return account.associations.get(request["AssociationId"])
    if not request.get("Name") or not request.get("InstanceId"):
        raise validation("Specify either AssociationId, or Name and InstanceId.")
    account.documents.get(request["Name"])
    if account.node(request["InstanceId"]) is None:
        raise ServiceError("InvalidInstanceId", f"The instance {request['InstanceId']} is not a managed node.")
    found = account.associations.find(request["Name"], request["InstanceId"])
    if found is None:
        raise does_not_exist()
    return found


def _description(association: Association, version: Version | None = None) -> dict:
    """``AssociationDescription``."""
    version = version or association.latest
    shown = {"DocumentVersion": "$DEFAULT", "ApplyOnlyAtCronInterval": False}
    shown |= {name: version.request[name] for name in _SHOWN if version.request.get(name) is not None}
    shown |= {
        "AssociationId": association.id,
        "AssociationVersion": str(version.number),
        "Date": instant(association.created),
        "LastUpdateAssociationDate": instant(version.created),
        "Overview": _overview(association),
    }
    if association.executions:
        shown["LastExecutionDate"] = instant(association.executions[-1].created)
    good = [execution for execution in association.executions if execution.status == "Success"]
    return shown | ({"LastSuccessfulExecutionDate": instant(good[-1].created)} if good else {})


def _overview(association: Association) -> dict:
    detailed = association.executions[-1].detailed if association.executions else "Pending"
    shown = {"Status": association.status, "DetailedStatus": detailed if association.status == "Pending" else association.status}
    return shown | ({"AssociationStatusAggregatedCount": association.counts} if association.counts else {})


def _listed(association: Association) -> dict:
    """``Association``."""
    shown = {"DocumentVersion": "$DEFAULT"} | {name: association.request[name] for name in _LISTED if name in association.request}
    shown |= {
        "AssociationId": association.id,
        "AssociationVersion": str(association.latest.number),
        "Overview": _overview(association),
    }
    return shown | ({"LastExecutionDate": instant(association.executions[-1].created)} if association.executions else {})


def _meets(account: Account, association: Association, key: str, value: str) -> bool:
    last = association.executions[-1].created if association.executions else None
    match key:
        case "InstanceId":
            return value in account.associations.nodes(association.request)
        case "Name" | "AssociationName":
            return association.request.get(key) == value
        case "AssociationId":
            return association.id == value
        case "AssociationStatusName":
            return association.status == value
        case "LastExecutedBefore":
            return last is not None and last <= _instant(value)
        case "LastExecutedAfter":
            return last is not None and last >= _instant(value)
    return False  # no association of the bed targets a resource group


def _execution_meets(execution: Execution, key: str, value: str, kind: str) -> bool:
    if key == "CreatedTime":
        limit = _instant(value)
        return {"EQUAL": execution.created == limit, "LESS_THAN": execution.created < limit}.get(kind, execution.created > limit)
    return value == (execution.id if key == "ExecutionId" else execution.status)


def _target_meets(target: tuple[str, str], key: str, value: str) -> bool:
    return value == {"ResourceId": target[0], "Status": target[1], "ResourceType": "ManagedInstance"}[key]


def _instant(text: str) -> float:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError as error:
        raise validation(f"The filter value {text} is not a timestamp, such as 2026-07-07T00:00:00Z.") from error


OPERATIONS = {
    "CreateAssociation": create_association,
    "UpdateAssociation": update_association,
    "DeleteAssociation": delete_association,
    "DescribeAssociation": describe_association,
    "ListAssociations": list_associations,
    "ListAssociationVersions": list_association_versions,
    "StartAssociationsOnce": start_associations_once,
    "DescribeAssociationExecutions": describe_association_executions,
    "DescribeAssociationExecutionTargets": describe_association_execution_targets,
    "DescribeInstanceAssociationsStatus": describe_instance_associations_status,
}
