"""Documents that Amazon owns in every account, as far as the bed has them.

Their parameters, steps and schema follow the published ones (GetDocument on any account); the script of AWS-RunPatchBaseline is
shortened to the call that it makes.
"""

import json

from .plugins import POWERSHELL, SHELL


def _run_script(plugin: str, kind: str) -> str:
    return json.dumps(
        {
            "schemaVersion": "1.2",
            "description": f"Run a {kind} script or specify the paths to scripts to run.",
            "parameters": {
                "commands": {
                    "type": "StringList",
                    "description": f"(Required) Specify a {kind} script or a command to run.",
                    "minItems": 1,
                    "displayType": "textarea",
                },
                "workingDirectory": {
                    "type": "String",
                    "default": "",
                    "description": "(Optional) The path to the working directory on your instance.",
                    "maxChars": 4096,
                },
                "executionTimeout": {
                    "type": "String",
                    "default": "3600",
                    "description": "(Optional) The time in seconds for a command to complete before it is considered "
                    "to have failed. Default is 3600 (1 hour). Maximum is 172800 (48 hours).",
                    "allowedPattern": "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)",
                },
            },
            "runtimeConfig": {
                plugin: {
                    "properties": [
                        {
                            "id": "0." + plugin,
                            "runCommand": "{{ commands }}",
                            "workingDirectory": "{{ workingDirectory }}",
                            "timeoutSeconds": "{{ executionTimeout }}",
                        }
                    ]
                }
            },
        },
        indent=2,
    )


_UUID = "(^$)|^[0-9a-fA-F]{8}\\-[0-9a-fA-F]{4}\\-[0-9a-fA-F]{4}\\-[0-9a-fA-F]{4}\\-[0-9a-fA-F]{12}$"
_FILE = "(^$)|^https://.+$|^s3://([^/]+)/(.*?([^/]+))$"


def _patch_step(name: str, platform: str, plugin: str) -> dict:
    """The published scripts download a module and call it with these arguments."""
    call = (
        "PatchBaselineOperations -Operation '{{Operation}}' -SnapshotId '{{SnapshotId}}' -RebootOption '{{RebootOption}}' "
        "-InstallOverrideList '{{InstallOverrideList}}' -BaselineOverride '{{BaselineOverride}}'"
    )
    return {
        "precondition": {"StringEquals": ["platformType", platform]},
        "action": plugin,
        "name": name,
        "inputs": {"timeoutSeconds": 7200, "runCommand": [call]},
    }


def _optional(description: str, **more: object) -> dict:
    return {"type": "String", "description": f"(Optional) {description}", "default": "", **more}


_RUN_PATCH_BASELINE = json.dumps(
    {
        "schemaVersion": "2.2",
        "description": "Scans for or installs patches from a patch baseline to a Linux or Windows operating system.",
        "parameters": {
            "Operation": {
                "type": "String",
                "description": "(Required) The update or configuration to perform on the instance.",
                "allowedValues": ["Scan", "Install"],
            },
            "AssociationId": _optional("The association ID of an existing association.", allowedPattern=_UUID),
            "SnapshotId": _optional("The snapshot ID to use to retrieve a patch baseline snapshot.", allowedPattern=_UUID),
            "InstallOverrideList": _optional("URL of a list of patches to install.", allowedPattern=_FILE),
            "BaselineOverride": _optional("URL of a custom patch baseline.", allowedPattern=_FILE),
            "RebootOption": {
                "type": "String",
                "description": "(Optional) Reboot behavior after a patch Install operation.",
                "allowedValues": ["RebootIfNeeded", "NoReboot"],
                "default": "RebootIfNeeded",
            },
        },
        "mainSteps": [_patch_step("PatchWindows", "Windows", POWERSHELL), _patch_step("PatchLinux", "Linux", SHELL)],
    },
    indent=2,
)


#: name -> content
AMAZON = {
    "AWS-RunPatchBaseline": _RUN_PATCH_BASELINE,
    "AWS-RunPowerShellScript": _run_script(POWERSHELL, "PowerShell"),
    "AWS-RunShellScript": _run_script(SHELL, "shell"),
}
