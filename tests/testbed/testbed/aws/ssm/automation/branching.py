"""Choices of aws:branch. Source: user guide, "Using conditional statements in runbooks" (operators)."""

from collections.abc import Callable

_COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "StringEquals": lambda a, b: str(a) == str(b),
    "EqualsIgnoreCase": lambda a, b: str(a).lower() == str(b).lower(),
    "StartsWith": lambda a, b: str(a).startswith(str(b)),
    "EndsWith": lambda a, b: str(a).endswith(str(b)),
    "Contains": lambda a, b: str(b) in (a if isinstance(a, list) else str(a)),
    "NumericEquals": lambda a, b: float(a) == float(b),
    "NumericGreater": lambda a, b: float(a) > float(b),
    "NumericLesser": lambda a, b: float(a) < float(b),
    "NumericGreaterOrEquals": lambda a, b: float(a) >= float(b),
    "NumericLesserOrEquals": lambda a, b: float(a) <= float(b),
    "BooleanEquals": lambda a, b: str(a).lower() == str(b).lower(),
}


def holds(choice: dict) -> bool:
    """Whether a choice, its references filled in, is true; ``ValueError`` for one that cannot be evaluated."""
    if "And" in choice:
        return all(holds(part) for part in choice["And"])
    if "Or" in choice:
        return any(holds(part) for part in choice["Or"])
    if "Not" in choice:
        return not holds(choice["Not"])
    operators = [name for name in choice if name in _COMPARISONS]
    if "Variable" not in choice or len(operators) != 1:
        raise ValueError(f"a choice needs a Variable and one operator of {', '.join(_COMPARISONS)}")
    return _COMPARISONS[operators[0]](choice["Variable"], choice[operators[0]])
