"""Which resources a request touches, for the one who evaluates IAM policies.

Source: service authorization reference, "Actions, resources, and condition keys for AWS Systems Manager", and the user
guide's examples of SendCommand restricted by ``ssm:resourceTag``. An action that supports no resource is evaluated
on ``*``.
"""

from . import arguments, files, model, targets
from .automation.executions import assume_role
from .errors import ServiceError
from .model import Account
from .parameters import DEFAULT_KEY
from .patching import baselines

#: (IAM action, resource ARN, condition keys beside the global ones)
Touched = tuple[str, str, dict[str, object]]

_BY_NAME = (
    "CreateDocument", "UpdateDocument", "UpdateDocumentDefaultVersion", "DescribeDocument", "GetDocument",
    "DeleteDocument", "ListDocumentVersions", "ModifyDocumentPermission", "DescribeDocumentPermission",
)  # fmt: skip
_PARAMETERS_BY_NAME = ("PutParameter", "GetParameter", "GetParameterHistory", "DeleteParameter", "LabelParameterVersion",
                       "UnlabelParameterVersion")  # fmt: skip
_PARAMETERS_BY_NAMES = ("GetParameters", "DeleteParameters")
_AUTOMATION = ("StartAutomationExecution", "GetAutomationExecution", "StopAutomationExecution", "SendAutomationSignal",
               "DescribeAutomationStepExecutions")  # fmt: skip
_ASSOCIATIONS = ("CreateAssociation", "UpdateAssociation", "DeleteAssociation", "DescribeAssociation", "ListAssociationVersions",
                 "StartAssociationsOnce", "DescribeAssociationExecutions", "DescribeAssociationExecutionTargets")  # fmt: skip
_OF_NODES = ("DescribeInstanceAssociationsStatus", "DescribeInstancePatches", "DescribeInstancePatchStates", "PutComplianceItems")
_TAGGING = ("AddTagsToResource", "RemoveTagsFromResource", "ListTagsForResource")


def resources_for(operation: str, request: dict, account: str, region: str) -> list[Touched]:
    """Each (action, ARN, condition keys) that the caller must be allowed, all of them."""
    system = model.system()
    with system.lock:
        return _resources(operation, request or {}, system.account(account, region))


def _resources(operation: str, request: dict, account: Account) -> list[Touched]:
    action = f"ssm:{operation}"
    if operation == "SendCommand":
        return _send_command(action, request, account)
    if operation in _BY_NAME:
        name = request.get("Name", "")
        return _with_tags(action, account.documents.arn(name), _document_context(name, request, account), request)
    if operation == "GetCalendarState":
        names = request.get("CalendarNames") or [""]
        return [(action, account.documents.arn(name), _document_context(name, {}, account)) for name in names]
    if operation == "GetPatchBaseline":
        named = request.get("BaselineId", "")
        prefix = f"arn:{account.partition}:ssm:{account.region}:{account.account}:patchbaseline/"
        return [(action, named if named.startswith("arn:") else prefix + named, {})]
    if operation in _OF_NODES:
        ids = request.get("InstanceIds") or [request.get("InstanceId") or request.get("ResourceId") or ""]
        return [_node(action, node_id, account) for node_id in ids]
    if operation == "GetDefaultPatchBaseline":
        return [(action, _default_baseline(request, account), {})]
    if operation in _ASSOCIATIONS:
        return _associations(action, operation, request, account)
    if operation in _AUTOMATION:
        return _automation(action, operation, request, account)
    if operation in _PARAMETERS_BY_NAME:
        return _parameter(action, request, account)
    if operation in _PARAMETERS_BY_NAMES:
        names = request.get("Names") or [""]
        return [touched for name in names for touched in _parameter(action, {**request, "Name": name}, account)]
    if operation == "GetParametersByPath":
        recursive = {"ssm:Recursive": str(bool(request.get("Recursive"))).lower()}
        return [(action, _parameter_arn(request.get("Path", ""), account), recursive)]
    if operation in _TAGGING:
        return [(action, _tagged_arn(request, account), _tagged_context(request, account))]
    return [(action, "*", {})]


def _with_tags(action: str, arn: str, context: dict[str, object], request: dict) -> list[Touched]:
    """A create that brings tags is also allowed to tag, on its own ARN."""
    touched: list[Touched] = [(action, arn, context)]
    return touched + ([("ssm:AddTagsToResource", arn, _requested_tags(request))] if request.get("Tags") else [])


def _send_command(action: str, request: dict, account: Account) -> list[Touched]:
    """The document, and every node that the command means: one that is not allowed refuses the whole call."""
    name = request.get("DocumentName", "")
    touched: list[Touched] = [(action, account.documents.arn(name), _document_context(name, {}, account))]
    ids = request.get("InstanceIds") or _targeted(request, account)
    touched += [_node(action, node_id, account) for node_id in ids]
    if bucket := request.get("OutputS3BucketName"):
        touched.append((action, f"arn:{account.partition}:s3:::{bucket}", {}))
    return touched


def _node(action: str, node_id: str, account: Account) -> Touched:
    """A node, with its tags."""
    node = account.node(node_id)
    return action, account.node_arn(node_id), _resource_tags(node.tags if node else {})


def _default_baseline(request: dict, account: Account) -> str:
    """The ARN of the baseline that is asked for; none for a system that the service will refuse anyway."""
    try:
        return baselines.arn(baselines.default(request.get("OperatingSystem", "WINDOWS")), account.partition, account.region)
    except ServiceError:
        return "*"


def _associations(action: str, operation: str, request: dict, account: Account) -> list[Touched]:
    """The association; where one is made or changed also its document and the nodes that it names (tags name none).

    An update needs DescribeAssociation besides (API reference, UpdateAssociation).
    """
    prefix = f"arn:{account.partition}:ssm:{account.region}:{account.account}:association"
    touched: list[Touched] = []
    ids = [request["AssociationId"]] if request.get("AssociationId") else request.get("AssociationIds") or []
    known = {association.id: association for association in account.associations.all()}
    for each in ids:
        tags = known[each].tags if each in known else {}
        touched.append((action, f"{prefix}/{each}", _resource_tags(tags)))
        if operation == "UpdateAssociation":
            touched.append(("ssm:DescribeAssociation", f"{prefix}/{each}", _resource_tags(tags)))
    if request.get("Name"):
        name = request["Name"]
        touched.append((action, account.documents.arn(name), _document_context(name, {}, account) | _requested_tags(request)))
    named = [request["InstanceId"]] if request.get("InstanceId") else []
    for target in request.get("Targets") or []:
        if target.get("Key", "").lower() == "instanceids":
            named += [value for value in target.get("Values") or [] if value != "*"]
    touched += [_node(action, node_id, account) for node_id in named]
    if operation == "CreateAssociation":
        touched += _with_tags(action, f"{prefix}/*", _requested_tags(request), request)
    return touched or [(action, "*", {})]


def _automation(action: str, operation: str, request: dict, account: Account) -> list[Touched]:
    """The execution; to start one also the runbook, and to pass the role that it is to assume."""
    prefix = f"arn:{account.partition}:ssm:{account.region}:{account.account}:automation-execution"
    if operation != "StartAutomationExecution":
        found = account.automations.find(request.get("AutomationExecutionId", ""))
        return [(action, f"{prefix}/{request.get('AutomationExecutionId', '')}", _resource_tags(found.tags if found else {}))]
    name = request.get("DocumentName", "")
    version = {"ssm:DocumentVersion": request.get("DocumentVersion", "$DEFAULT")}
    touched: list[Touched] = [(action, account.documents.arn(name), _document_context(name, {}, account) | version)]
    touched += _with_tags(action, f"{prefix}/*", _requested_tags(request), request)
    if role := _passed_role(name, request, account):
        touched.append(("iam:PassRole", role, {"iam:PassedToService": "ssm.amazonaws.com"}))
    return touched


def _passed_role(name: str, request: dict, account: Account) -> str:
    """The role that the runbook will assume; none for a request that the service will refuse anyway."""
    try:
        document = account.documents.get(name)
        runbook = document.version(request.get("DocumentVersion")).content
        if document.type != "Automation":
            return ""
        return assume_role(runbook, arguments.bind(runbook, request.get("Parameters") or {}))
    except ServiceError:
        return ""


def _targeted(request: dict, account: Account) -> list[str]:
    """The nodes that Targets mean now; none for Targets that the service will refuse anyway."""
    wanted = request.get("Targets") or []
    try:
        targets.check(wanted)
    except ServiceError:
        return []
    return targets.resolve(wanted, account.nodes())


def _document_context(name: str, request: dict, account: Account) -> dict[str, object]:
    """A document's tags and type (that of the request, when it makes one)."""
    try:
        document = account.documents.get(name)
        tags, kind = document.tags, document.type
    except ServiceError:
        tags, kind = {}, request.get("DocumentType", "Command") if "Content" in request else None
    return _resource_tags(tags) | _requested_tags(request) | ({"ssm:DocumentType": kind} if kind else {})


def _tagged_arn(request: dict, account: Account) -> str:
    """ARN of the resource that a tagging call names by type and id."""
    kind, resource = request.get("ResourceType"), request.get("ResourceId", "")
    if kind == "Document":
        return account.documents.arn(resource)
    if kind == "Parameter":
        return _parameter_arn(resource, account)
    path = {
        "ManagedInstance": "managed-instance",
        "MaintenanceWindow": "maintenancewindow",
        "PatchBaseline": "patchbaseline",
        "OpsItem": "opsitem",
        "OpsMetadata": "opsmetadata",
        "Automation": "automation-execution",
        "Association": "association",
    }.get(str(kind))
    return f"arn:{account.partition}:ssm:{account.region}:{account.account}:{path}/{resource}" if path else "*"


def _tagged_context(request: dict, account: Account) -> dict[str, object]:
    kind, resource = request.get("ResourceType"), request.get("ResourceId", "")
    if kind == "Document":
        return _document_context(resource, request, account) | _tag_keys(request)
    node = account.node(resource) if kind == "ManagedInstance" else None
    return _resource_tags(node.tags if node else {}) | _requested_tags(request) | _tag_keys(request)


def _parameter(action: str, request: dict, account: Account) -> list[Touched]:
    """The parameter, and the customer's own key of a secret that is put or read in clear (Amazon's key is everybody's)."""
    name = request.get("Name", "")
    try:
        found = account.parameters.get(name.split(":", 1)[0] if not name.startswith("arn:") else name)
    except ServiceError:
        found = None
    context = _resource_tags(found.tags if found else {}) | _requested_tags(request)
    if action == "ssm:PutParameter":
        context["ssm:Overwrite"] = str(bool(request.get("Overwrite"))).lower()
    touched = _with_tags(action, _parameter_arn(name, account), context, request)
    stored = found.latest.key_id if found else ""
    use, key_id = ("kms:Encrypt", request.get("KeyId") or stored) if action == "ssm:PutParameter" else ("kms:Decrypt", stored)
    if key_id and key_id != DEFAULT_KEY and (use == "kms:Encrypt" or request.get("WithDecryption")):
        touched.append((use, files.key_arn(account, key_id) or "*", {}))
    return touched


def _parameter_arn(name: str, account: Account) -> str:
    """A parameter's ARN; its name may carry a version or label, or be an ARN itself."""
    if name.startswith("arn:"):
        return name
    bare = name.split(":", 1)[0].lstrip("/")
    return f"arn:{account.partition}:ssm:{account.region}:{account.account}:parameter/{bare}"


def _resource_tags(tags: dict[str, str]) -> dict[str, object]:
    """Tags of the resource under both keys that policies use."""
    return {f"{prefix}/{key}": value for key, value in tags.items() for prefix in ("ssm:resourceTag", "aws:ResourceTag")}


def _requested_tags(request: dict) -> dict[str, object]:
    """Tags that the request sets."""
    tags = request.get("Tags") or []
    context: dict[str, object] = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    return context | ({"aws:TagKeys": [tag["Key"] for tag in tags]} if tags else {})


def _tag_keys(request: dict) -> dict[str, object]:
    """Keys that a request removes."""
    keys = request.get("TagKeys")
    return {"aws:TagKeys": list(keys)} if keys else {}
