"""Checks a request against the constraints of the service model, in AWS's words.

botocore checks required members and types only; AWS also enforces length, range, pattern and enum, and
lists all violations in one ``ValidationException``::

    1 validation error detected: Value '...' at 'comment' failed to satisfy constraint: Member must have length
    less than or equal to 100
"""

import re
from functools import lru_cache

from botocore.model import Shape

from . import errors


def check(request: dict, shape: Shape | None) -> None:
    """Raises ``ValidationException`` when ``request`` breaks a constraint of ``shape``."""
    if shape is None:
        return
    found = list(violations(request or {}, shape))
    if found:
        count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: "
        raise errors.validation(count + "; ".join(found))


def violations(value, shape: Shape, path: str = ""):
    """A sentence for each constraint that ``value`` breaks."""
    if value is None:
        return
    match shape.type_name:
        case "structure":
            for name in shape.required_members:
                if value.get(name) is None:
                    yield _sentence(None, _join(path, name), "Member must not be null")
            for name, member in shape.members.items():
                if name in value:
                    yield from violations(value[name], member, _join(path, name))
        case "list":
            yield from _length(value, shape, path)
            for index, item in enumerate(value):
                yield from violations(item, shape.member, f"{path}.{index + 1}.member")
        case "map":
            yield from _length(value, shape, path)
            for key, item in value.items():
                yield from violations(key, shape.key, path)
                yield from violations(item, shape.value, f"{path}.{key}.member")
        case "string":
            yield from _string(value, shape, path)
        case "integer" | "long" | "float" | "double":
            yield from _range(value, shape, path)


def _string(value: str, shape: Shape, path: str):
    yield from _length(value, shape, path)
    # The model's top-level enums are closed on the server, even where SDKs pass any string.
    if shape.enum and value not in shape.enum:
        yield _sentence(value, path, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    pattern = shape.metadata.get("pattern")
    compiled = _compile(pattern) if pattern else None
    if compiled and not compiled.search(value):
        yield _sentence(value, path, f"Member must satisfy regular expression pattern: {pattern}")


def _length(value, shape: Shape, path: str):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield _sentence(value, path, f"Member must have length greater than or equal to {low}")
    if high is not None and len(value) > high:
        yield _sentence(value, path, f"Member must have length less than or equal to {high}")


def _range(value, shape: Shape, path: str):
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield _sentence(value, path, f"Member must have value greater than or equal to {low}")
    if high is not None and value > high:
        yield _sentence(value, path, f"Member must have value less than or equal to {high}")


def _sentence(value, path: str, constraint: str) -> str:
    quoted = "null" if value is None else f"'{value}'"
    return f"Value {quoted} at '{path}' failed to satisfy constraint: {constraint}"


def _join(path: str, name: str) -> str:
    member = name[:1].lower() + name[1:]
    return f"{path}.{member}" if path else member


@lru_cache(maxsize=None)
def _compile(pattern: str) -> re.Pattern | None:
    """The model's patterns are Java's; its Unicode classes are spelt out for Python.

    A pattern that Python cannot read even so is not enforced (the base class's own date patterns).
    """
    spelt = pattern.replace(r"\p{L}", r"^\W\d_").replace(r"\p{Z}", r"\s").replace(r"\p{N}", r"\d")
    if r"^\W\d_" in spelt:
        # Letters cannot be named inside a Python class: \w covers letters, digits and the underscore,
        # and each of the model's classes that has \p{L} has those too.
        spelt = spelt.replace(r"^\W\d_", r"\w")
    try:
        return re.compile(spelt)
    except re.error:
        return None
