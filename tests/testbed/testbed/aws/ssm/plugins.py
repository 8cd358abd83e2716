"""Which plugins exist, on which platforms the agent has them, and what they take.

Source: the agent's plugin registry (amazon-ssm-agent, ``agent/framework/processor/executer/plugin``) and the
user guide's plugin reference. A plugin that the agent knows but does not have on a platform is skipped by
documents of schema 2.2 and fails documents before it.
"""

POWERSHELL = "aws:runPowerShellScript"
SHELL = "aws:runShellScript"
SCRIPTS = (POWERSHELL, SHELL)

_BOTH = ("Windows", "Linux")
_WINDOWS = ("Windows",)

#: plugin -> platforms whose agent has it.
PLATFORMS: dict[str, tuple[str, ...]] = {
    POWERSHELL: _BOTH,
    SHELL: ("Linux",),
    "aws:applications": _WINDOWS,
    "aws:cloudWatch": _WINDOWS,
    "aws:configureDocker": _BOTH,
    "aws:configurePackage": _BOTH,
    "aws:domainJoin": _BOTH,
    "aws:downloadContent": _BOTH,
    "aws:psModule": _WINDOWS,
    "aws:refreshAssociation": _BOTH,
    "aws:runDockerAction": _BOTH,
    "aws:runDocument": _BOTH,
    "aws:softwareInventory": _BOTH,
    "aws:updateAgent": _WINDOWS,
    "aws:updateSsmAgent": _BOTH,
}


def known(plugin: str) -> bool:
    """Whether the agent knows the plugin on any platform."""
    return plugin in PLATFORMS


def supported(plugin: str, platform: str) -> bool:
    """Whether the agent of ``platform`` has the plugin."""
    return platform in PLATFORMS.get(plugin, ())


def script_of(inputs: dict) -> str:
    """The text of the script file that the agent writes: the commands, a line each.

    ``runCommand`` must by then be a list of strings (``RunScriptPluginInput`` in the agent): a plain string, or a
    list parameter inside a list, is a ``ValueError`` with the agent's words, and fails the step on the node.
    """
    commands = inputs.get("runCommand")
    if not isinstance(commands, list) or not all(isinstance(line, str) for line in commands):
        raise ValueError(
            f"Invalid format in plugin properties {inputs};\nerror json: cannot unmarshal into Go struct field "
            "RunScriptPluginInput.RunCommand of type []string"
        )
    return "\n".join(commands)
