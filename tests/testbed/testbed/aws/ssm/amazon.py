"""Documents that Amazon owns in every account, as far as the bed has them.

Their content follows the published ones (GetDocument on any account): schema 1.2, platform as named.
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


#: name -> content
AMAZON = {
    "AWS-RunPowerShellScript": _run_script(POWERSHELL, "PowerShell"),
    "AWS-RunShellScript": _run_script(SHELL, "shell"),
}
