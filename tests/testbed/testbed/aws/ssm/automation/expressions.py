"""References in a runbook's inputs: ``{{ parameter }}``, ``{{ step.Output }}``, ``{{ global:REGION }}``.

A string that is one reference becomes the value itself, whatever its type; within a longer string the value becomes text. Source: user
guide, "Using action outputs as inputs".
"""

import json
import re
from datetime import UTC, datetime

import jsonpath_ng.ext as jsonpath
from jsonpath_ng.exceptions import JSONPathError

from .content import REFERENCE
from .records import Execution


class Unresolved(Exception):
    """A reference to an output that the step did not give."""


def resolve(value: object, execution: Execution, account: str, region: str) -> object:
    """``value`` with its references filled in."""
    if isinstance(value, str):
        whole = re.fullmatch(REFERENCE, value)
        if whole:
            return _value(whole[1], execution, account, region)
        return re.sub(REFERENCE, lambda match: text(_value(match[1], execution, account, region)), value)
    if isinstance(value, list):
        return _flat([(item, resolve(item, execution, account, region)) for item in value])
    if isinstance(value, dict):
        return {key: resolve(item, execution, account, region) for key, item in value.items()}
    return value


def _flat(items: list[tuple[object, object]]) -> list:
    """A reference to a list, alone in a list, stands for the list's items."""
    if len(items) == 1 and isinstance(items[0][0], str) and isinstance(items[0][1], list):
        return items[0][1]
    return [resolved for _, resolved in items]


def _value(name: str, execution: Execution, account: str, region: str) -> object:
    if name in execution.parameters:
        return execution.parameters[name]
    now = datetime.fromtimestamp(execution.started or execution.requested, UTC)
    facts = {
        "global:ACCOUNT_ID": account,
        "global:REGION": region,
        "global:DATE": now.strftime("%Y-%m-%d"),
        "global:DATE_TIME": now.strftime("%Y-%m-%d_%H.%M.%S"),
        "automation:EXECUTION_ID": execution.id,
    }
    if name in facts:
        return facts[name]
    step, _, output = name.partition(".")
    for ran in execution.steps:
        if ran.step.name == step and output in ran.outputs:
            kinds = {declared.name: declared.type for declared in ran.step.outputs}
            values = ran.outputs[output]
            if kinds.get(output) in ("StringList", "MapList") or len(values) != 1:
                return values
            return _typed(values[0], kinds.get(output, "String"))
    raise Unresolved(f"{name} has no value: the step did not run, or gave no such output.")


def _typed(value: str, kind: str) -> object:
    return json.loads(value) if kind in ("Integer", "Boolean", "StringMap") else value


def select(answer: object, selector: str) -> list:
    """What a selector (``$.Path[0].To``) finds in an API's answer."""
    try:
        return [match.value for match in jsonpath.parse(selector).find(answer)]
    except (JSONPathError, ValueError, AttributeError) as error:
        raise Unresolved(f"The selector {selector} is not valid: {error}") from error


def text(value: object) -> str:
    """A value as the API shows it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
