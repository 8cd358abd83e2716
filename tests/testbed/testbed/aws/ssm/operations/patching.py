"""Patch Manager: DescribeInstancePatchStates, DescribeInstancePatches, and Amazon's patch baselines (read)."""

from ..command_views import instant
from ..errors import ServiceError
from ..model import Account
from ..paging import page
from ..patching import baselines
from ..patching.operation import Report

_NON_COMPLIANT = ("MISSING", "FAILED", "INSTALLED_PENDING_REBOOT", "INSTALLED_REJECTED")
_PATCH_FILTERS = {"KBId": "kb", "Severity": "severity", "Classification": "classification"}


def describe_instance_patch_states(account: Account, request: dict) -> dict:
    """Of the nodes named; one that never reported has no state."""
    found = [account.patching.reports[i] for i in dict.fromkeys(request["InstanceIds"]) if i in account.patching.reports]
    chosen, token = page(found, request, lambda r: r.node_id)
    return {"InstancePatchStates": [_state(report) for report in chosen]} | ({"NextToken": token} if token else {})


def describe_instance_patches(account: Account, request: dict) -> dict:
    """As of the node's last operation, by KB id."""
    node_id = request["InstanceId"]
    if account.node(node_id) is None:
        raise ServiceError("InvalidInstanceId", f"The instance {node_id} is not a managed node.")
    report = account.patching.reports.get(node_id)
    patches = sorted(report.patches, key=lambda p: p[0]["kb"]) if report else []
    for each in request.get("Filters") or []:
        patches = [patch for patch in patches if _meets(patch, each.get("Key", ""), each.get("Values") or [])]
    chosen, token = page(patches, request, lambda p: p[0]["kb"])
    return {"Patches": [_patch(*patch) for patch in chosen]} | ({"NextToken": token} if token else {})


def describe_patch_baselines(account: Account, request: dict) -> dict:
    found = list(baselines.PREDEFINED)
    for each in request.get("Filters") or []:
        key, values = each.get("Key"), each.get("Values") or []
        if key == "NAME_PREFIX":
            found = [b for b in found if any(b["Name"].startswith(value) for value in values)]
        elif key == "OWNER":
            found = found if set(values) & {"AWS", "All"} else []
        elif key == "OPERATING_SYSTEM":
            found = [b for b in found if b["OperatingSystem"] in values]
        else:
            raise ServiceError("ValidationException", f"The filter key {key} is not valid: NAME_PREFIX, OWNER or OPERATING_SYSTEM.")
    chosen, token = page(found, request, lambda b: b["id"])
    identities = [
        {
            "BaselineId": baselines.arn(baseline, account.partition, account.region),
            "BaselineName": baseline["Name"],
            "OperatingSystem": baseline["OperatingSystem"],
            "BaselineDescription": baseline["Description"],
            "DefaultBaseline": baselines.default(baseline["OperatingSystem"]) is baseline,
        }
        for baseline in chosen
    ]
    return {"BaselineIdentities": identities} | ({"NextToken": token} if token else {})


def get_default_patch_baseline(account: Account, request: dict) -> dict:
    """Of Windows unless another operating system is named."""
    system = request.get("OperatingSystem", "WINDOWS")
    return {"BaselineId": baselines.arn(baselines.default(system), account.partition, account.region), "OperatingSystem": system}


def get_patch_baseline(account: Account, request: dict) -> dict:
    baseline = baselines.get(request["BaselineId"])
    shown = {key: value for key, value in baseline.items() if key != "id"}
    return shown | {
        "BaselineId": baselines.arn(baseline, account.partition, account.region),
        "GlobalFilters": {"PatchFilters": []},
        "ApprovedPatchesComplianceLevel": "UNSPECIFIED",
        "ApprovedPatchesEnableNonSecurity": False,
        "PatchGroups": [],
        "Sources": [],
        "CreatedDate": instant(baselines.CREATED),
        "ModifiedDate": instant(baselines.CREATED),
    }


def _state(report: Report) -> dict:
    """``InstancePatchState``."""
    shown = {
        "InstanceId": report.node_id,
        "PatchGroup": report.patch_group,
        "BaselineId": report.baseline_id,
        "SnapshotId": report.snapshot_id,
        "InstallOverrideList": report.override,
        "OwnerInformation": "",
        "InstalledCount": report.count("INSTALLED"),
        "InstalledOtherCount": report.count("INSTALLED_OTHER"),
        "InstalledPendingRebootCount": report.count("INSTALLED_PENDING_REBOOT"),
        "InstalledRejectedCount": report.count("INSTALLED_REJECTED"),
        "MissingCount": report.count("MISSING"),
        "FailedCount": report.count("FAILED"),
        "UnreportedNotApplicableCount": 0,
        "NotApplicableCount": report.count("NOT_APPLICABLE"),
        "AvailableSecurityUpdateCount": report.count("AVAILABLE_SECURITY_UPDATE"),
        "OperationStartTime": instant(report.started),
        "OperationEndTime": instant(report.ended),
        "Operation": report.operation,
        "RebootOption": report.reboot_option,
        "CriticalNonCompliantCount": 0,
        "SecurityNonCompliantCount": _non_compliant(report, security=True),
        "OtherNonCompliantCount": _non_compliant(report, security=False),
    }
    return shown | ({"LastNoRebootInstallOperationTime": instant(report.last_no_reboot)} if report.last_no_reboot else {})


def _non_compliant(report: Report, security: bool) -> int:
    return sum(state in _NON_COMPLIANT and (u["classification"].startswith("Security") == security) for u, state in report.patches)


def _patch(update: dict, state: str) -> dict:
    """``PatchComplianceData``; what is not installed has the service's zero time."""
    return {
        "Title": update["title"],
        "KBId": update["kb"],
        "Classification": update["classification"],
        "Severity": update["severity"],
        "State": state,
        "InstalledTime": instant(update["installedTime"]),
        "CVEIds": ",".join(update["cves"]),
    }


def _meets(patch: tuple[dict, str], key: str, values: list[str]) -> bool:
    if key == "State":
        # The filter takes the words of the console: Installed, InstalledPendingReboot, Missing …
        return patch[1] in values or patch[1].replace("_", "").lower() in [value.lower() for value in values]
    if key not in _PATCH_FILTERS:
        raise ServiceError("InvalidFilter", f"The filter key {key} is not valid.")
    return patch[0][_PATCH_FILTERS[key]] in values


OPERATIONS = {
    "DescribeInstancePatchStates": describe_instance_patch_states,
    "DescribeInstancePatches": describe_instance_patches,
    "DescribePatchBaselines": describe_patch_baselines,
    "GetDefaultPatchBaseline": get_default_patch_baseline,
    "GetPatchBaseline": get_patch_baseline,
}
