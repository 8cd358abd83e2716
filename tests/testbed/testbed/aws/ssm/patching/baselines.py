"""Patch baselines: which updates are approved. Amazon's predefined ones for Windows and for Amazon Linux 2023, and overrides in a file.

Source: user guide, "About predefined and custom patch baselines", "Using the BaselineOverride parameter". A baseline has the shape of
GetPatchBaseline's answer.
"""

from ..errors import ServiceError
from .updates import Update

#: The account that Amazon's own baselines are in (their ARNs in us-east-1).
AMAZON_ACCOUNT = "075727635805"
#: When Amazon made them (unix seconds).
CREATED = 1_525_000_000.0


def _rule(days: int, **filters: list[str]) -> dict:
    groups = [{"Key": key, "Values": values} for key, values in filters.items()]
    return {"PatchFilterGroup": {"PatchFilters": groups}, "ComplianceLevel": "UNSPECIFIED", "ApproveAfterDays": days}


def _baseline(number: int, name: str, system: str, description: str, *rules: dict) -> dict:
    return {
        "id": f"pb-{number:017x}",
        "Name": name,
        "OperatingSystem": system,
        "Description": description,
        "ApprovalRules": {"PatchRules": list(rules)},
        "ApprovedPatches": [],
        "RejectedPatches": [],
        "RejectedPatchesAction": "ALLOW_AS_DEPENDENCY",
    }


_WINDOWS = {"CLASSIFICATION": ["CriticalUpdates", "SecurityUpdates"], "MSRC_SEVERITY": ["Critical", "Important"]}
PREDEFINED = (
    _baseline(0x09ca3fb51f0412ec3, "AWS-DefaultPatchBaseline", "WINDOWS", "Default Patch Baseline Provided by AWS.",
              _rule(7, PATCH_SET=["OS"], PRODUCT=["*"], **_WINDOWS)),
    _baseline(0x02f1a9c6e5d4b3a21, "AWS-WindowsPredefinedPatchBaseline-OS", "WINDOWS",
              "Default Patch Baseline for Windows OS Provided by AWS.", _rule(7, PATCH_SET=["OS"], PRODUCT=["*"], **_WINDOWS)),
    _baseline(0x0C10E657807C7A70, "AWS-AmazonLinux2023DefaultPatchBaseline", "AMAZON_LINUX_2023",
              "Default Patch Baseline for Amazon Linux 2023 Provided by AWS.",
              _rule(7, PRODUCT=["*"], CLASSIFICATION=["Security"], SEVERITY=["Critical", "Important"]),
              _rule(7, PRODUCT=["*"], CLASSIFICATION=["Bugfix"])),
)  # fmt: skip
_DEFAULTS = {"WINDOWS": PREDEFINED[0], "AMAZON_LINUX_2023": PREDEFINED[2]}


def system_of(platform: str) -> str:
    """A baseline's OperatingSystem, for a node's platform: the bed's Linux nodes are Amazon Linux 2023."""
    return "WINDOWS" if platform == "Windows" else "AMAZON_LINUX_2023"


def default(system: str) -> dict:
    """The default baseline of an operating system."""
    if system not in _DEFAULTS:
        raise ServiceError("DoesNotExistException", f"There is no default patch baseline for {system} in the test bed.")
    return _DEFAULTS[system]


def arn(baseline: dict, partition: str, region: str) -> str:
    """The BaselineId under which AWS shows its own baselines: an ARN."""
    return f"arn:{partition}:ssm:{region}:{AMAZON_ACCOUNT}:patchbaseline/{baseline['id']}"


def get(wanted: str) -> dict:
    """By id or ARN; ``DoesNotExistException``."""
    for baseline in PREDEFINED:
        if wanted.rsplit("/", 1)[-1] == baseline["id"]:
            return baseline
    raise ServiceError("DoesNotExistException", f"Maintenance window or patch baseline {wanted} doesn't exist.")


def approves(baseline: dict, update: Update) -> bool:
    """Whether the baseline has the update installed: approved by name or rule, and not rejected."""
    if update.kb in baseline.get("RejectedPatches", ()):
        return False
    if update.kb in baseline.get("ApprovedPatches", ()):
        return True
    return any(_matches(rule, update) for rule in (baseline.get("ApprovalRules") or {}).get("PatchRules", ()))


def _matches(rule: dict, update: Update) -> bool:
    facts = {
        "CLASSIFICATION": update.classification,
        "MSRC_SEVERITY": update.severity,
        "SEVERITY": update.severity,
        "PRODUCT": update.product,
        "PATCH_ID": update.kb.removeprefix("KB"),
        "PATCH_SET": "OS",
    }
    filters = rule["PatchFilterGroup"]["PatchFilters"]
    met = all("*" in each["Values"] or facts.get(each["Key"]) in each["Values"] for each in filters)
    return met and update.days_old >= rule.get("ApproveAfterDays", 0)
