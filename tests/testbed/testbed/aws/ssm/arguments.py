"""Arguments of a command: checked against the document by the service, put into it by the agent.

``Parameters`` of SendCommand is ``{name: [values]}``; an argument reaches a script as *text*: the agent
replaces ``{{ name }}`` anywhere in the document's strings (``agent/framework/docparser/parameters``).
"""

import json
import re

from .content import Content, Parameter
from .errors import ServiceError
from .text import MAX_BYTES


def bind(content: Content, given: dict[str, list[str]]) -> dict[str, object]:
    """The value of each declared parameter; ``InvalidParameters`` where AWS would refuse the call."""
    if len(json.dumps(given).encode()) > MAX_BYTES:
        raise ServiceError("MaxDocumentSizeExceeded", "The size limit of a document and its parameters is 64 KB.")
    if unknown := sorted(set(given) - set(content.parameters)):
        raise _invalid(f"Parameters [{', '.join(unknown)}] are not defined in the document.")
    missing = sorted(n for n, p in content.parameters.items() if p.required and not given.get(n))
    if missing:
        raise _invalid(f"Parameters [{', '.join(missing)}] are required by the document and have no value.")
    return {
        name: _value(parameter, given[name]) if given.get(name) else parameter.default
        for name, parameter in content.parameters.items()
    }


def _value(parameter: Parameter, values: list[str]) -> object:
    """What the agent gets for one parameter (``ParseParameters`` in the agent's docparser)."""
    if parameter.type != "StringList" and len(values) > 1:
        raise _invalid(f"Parameter {parameter.name} is of type {parameter.type}: one value only.")
    _check_allowed(parameter, values)
    _check_limits(parameter, values)
    match parameter.type:
        case "StringList":
            return list(values)
        case "Integer":
            return _as(int, parameter, values[0])
        case "Boolean":
            if values[0] not in ("true", "false"):
                raise _invalid(f"Parameter {parameter.name} takes true or false.")
            return values[0] == "true"
        case "StringMap" | "MapList":
            return _as(json.loads, parameter, values[0])
    return values[0]


def _check_allowed(parameter: Parameter, values: list[str]) -> None:
    for value in values:
        allowed = [str(a) for a in parameter.allowed_values]
        if allowed and value not in allowed:
            raise _invalid(f"Parameter {parameter.name}: the value is not one of its allowedValues {allowed}.")
        if parameter.allowed_pattern and not re.search(parameter.allowed_pattern, value):
            raise _invalid(
                f"Parameter {parameter.name}: the value does not match its allowedPattern {parameter.allowed_pattern}."
            )


def _check_limits(parameter: Parameter, values: list[str]) -> None:
    limits = parameter.limits
    chars = max(len(value) for value in values)
    if not limits.get("minItems", 0) <= len(values) <= limits.get("maxItems", len(values)):
        raise _invalid(f"Parameter {parameter.name}: {len(values)} values are outside its minItems and maxItems.")
    if not limits.get("minChars", 0) <= chars <= limits.get("maxChars", chars):
        raise _invalid(f"Parameter {parameter.name}: {chars} characters are outside its minChars and maxChars.")


def _as(convert, parameter: Parameter, text: str) -> object:
    try:
        return convert(text)
    except ValueError as error:
        raise _invalid(f"Parameter {parameter.name} is of type {parameter.type}: {error}.") from error


def substitute(value: object, bound: dict[str, object]) -> object:
    """The agent's ``ReplaceParameters``: a string that *is* a reference becomes the value itself, whatever its
    type; a reference within a string becomes text; a value's own braces are not replaced again."""
    if isinstance(value, str):
        whole = re.fullmatch(r"\{\{\s*([a-zA-Z0-9]+)\s*\}\}", value)
        if whole and whole[1] in bound:
            return bound[whole[1]]
        return _within(value, bound)
    if isinstance(value, list):
        return [substitute(item, bound) for item in value]
    if isinstance(value, dict):
        return {key: substitute(item, bound) for key, item in value.items()}
    return value


def _within(text: str, bound: dict[str, object]) -> str:
    def replacement(match: re.Match) -> str:
        value = bound[match[1]]
        spelt = value if isinstance(value, str) else json.dumps(value)
        # The agent turns $$ into $ in a value, for users who once worked around a bug of its own.
        return spelt.replace("$$", "$")

    if not bound:
        return text
    names = "|".join(sorted(bound, key=len, reverse=True))
    return re.sub(r"\{\{\s*(" + names + r")\s*\}\}", replacement, text)


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameters", message)
