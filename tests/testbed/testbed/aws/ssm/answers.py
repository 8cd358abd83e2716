"""Checks each answer against the service model: a bed that answers what no SDK could read would test nothing.

Members, types and enums are checked; lengths, patterns and empty strings are not, for AWS's own answers break them (an empty
NotificationType or CloudWatchLogGroupName, in the examples of the API reference).
"""

from collections.abc import Iterator
from datetime import datetime

from botocore.model import Shape

from .errors import ServiceError

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (datetime, int, float),
    "list": (list, tuple),
    "map": (dict,),
    "structure": (dict,),
    "blob": (bytes,),
}

#: Enums of the model that AWS's answers go beyond: a document's parameter may be a Boolean, which DescribeDocument says.
_OPEN = ("DocumentParameterType",)


def check(answer: dict, shape: Shape | None) -> dict:
    """The answer; ``InternalServerError`` (500) names what of it the service model does not have."""
    wrong = "; ".join(_wrong(answer, shape, "")) if shape else ""
    if wrong:
        raise ServiceError("InternalServerError", f"The test bed's own answer is not in the service model: {wrong}", 500)
    return answer


def _wrong(value: object, shape: Shape, path: str) -> Iterator[str]:
    kind = shape.type_name
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{path or 'the answer'} is {type(value).__name__}, not {kind}"
    elif kind == "structure":
        yield from (f"{path}.{name} is missing" for name in shape.required_members if name not in value)
        for name, member in value.items():
            if name in shape.members:
                yield from _wrong(member, shape.members[name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is unknown"
    elif kind == "list":
        for item in value:
            yield from _wrong(item, shape.member, f"{path}[]")
    elif kind == "map":
        for item in value.values():
            yield from _wrong(item, shape.value, f"{path}{{}}")
    elif kind == "string" and value and shape.enum and value not in shape.enum and shape.name not in _OPEN:
        yield f"{path} is {value!r}, none of {', '.join(shape.enum)}"
