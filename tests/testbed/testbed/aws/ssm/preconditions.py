"""Whether the agent runs, skips or fails a step: a transcript of its rules.

Source: amazon-ssm-agent, ``agent/framework/runpluginutil/runpluginutil.go``
(getStepExecutionOperation, evaluatePreconditions).
"""

import re
from dataclasses import dataclass
from typing import Literal

from . import plugins
from .arguments import substitute
from .content import Step

_SSM_PARAMETER = re.compile(r"\{\{\s*ssm(-secure)?:[^}]+\}\}")


@dataclass(frozen=True)
class Decision:
    """What the agent does with a step, and the message it leaves when it does not run it."""

    operation: Literal["execute", "skip", "fail"]
    message: str = ""


def decide(step: Step, schema: str, platform: str, bound: dict[str, object]) -> Decision:
    """The agent's decision for one step on a node of ``platform``."""
    known, supported = plugins.known(step.plugin), plugins.supported(step.plugin, platform)
    unsupported = f"unsupported plugin: {step.plugin}. Step name: {step.name}"
    outdated = (
        f"Plugin with name {step.plugin} is not supported by this version of ssm agent, "
        f"please update to latest version. Step name: {step.name}"
    )
    if schema != "2.2":
        if not known:
            return Decision("fail", outdated)
        if step.precondition:
            return Decision(
                "fail",
                f"Precondition is not supported for document schema version prior to 2.2. Step name: {step.name}",
            )
        if not supported:
            return Decision("fail", f"Plugin with name {step.plugin} not found. Step name: {step.name}")
        return Decision("execute")
    allowed, remarks = evaluate(step.precondition, platform, bound)
    if allowed and not known:
        return Decision("fail", outdated)
    if not supported:
        return Decision("skip", f"Step execution skipped due to {unsupported}")
    if not allowed:
        listed = ", ".join(remarks)
        return Decision(
            "skip", f"Step execution skipped due to unsatisfied preconditions: '{listed}'. Step name: {step.name}"
        )
    if remarks:
        listed = ", ".join(remarks)
        return Decision(
            "fail", f"Unrecognized precondition(s): '{listed}', please update agent to latest version. "
            f"Step name: {step.name}"
        )
    return Decision("execute")


def evaluate(precondition: dict, platform: str, bound: dict[str, object]) -> tuple[bool, list[str]]:
    """(allowed, remarks): not allowed skips the step; allowed with remarks fails it."""
    allowed, remarks = True, []
    for operator, arguments in precondition.items():
        if operator != "StringEquals":
            remarks.append(f'unrecognized operator: "{operator}"')
            continue
        holds, remark = _string_equals(arguments, platform, bound)
        allowed = allowed and holds
        if remark:
            remarks.append(f'"StringEquals": {remark}')
    return allowed, remarks


def _string_equals(arguments: list[str], platform: str, bound: dict[str, object]) -> tuple[bool, str]:
    if len(arguments) != 2:
        return True, "operator accepts exactly 2 arguments"
    first, second = arguments
    if first == second:
        shown = f"[{first} {second}]" if first == "platformType" else "operator's arguments can't be identical"
        return True, shown
    if _SSM_PARAMETER.search(first) or _SSM_PARAMETER.search(second):
        return True, "operator's arguments can't contain SSM parameters"
    resolved = [str(substitute(argument, bound)) for argument in arguments]
    if "platformType" in arguments:
        named = 1 if first == "platformType" else 0
        if arguments[named].lower() != resolved[named].lower():
            return True, "the second argument for the platformType variable can't contain document parameters"
        holds = platform.lower() == arguments[named].lower()
    elif resolved == arguments:
        return True, "at least one of operator's arguments must contain a valid document parameter"
    else:
        holds = resolved[0] == resolved[1]
    return holds, "" if holds else f"[{first}, {second}]"
