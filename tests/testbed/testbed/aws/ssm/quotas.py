"""The quotas of Systems Manager at the control endpoint's /quotas, by names in camel case (``automationConcurrent``)."""

from dataclasses import fields

from .settings import QUOTAS, Quotas


def _name(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(part.title() for part in rest)


def change(values: dict[str, int]) -> dict[str, int]:
    """Sets what is named, keeps the rest, and answers all. Raises ValueError for an unknown name or a negative number."""
    known = {_name(field.name): field.name for field in fields(Quotas)}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"unknown quotas: {', '.join(unknown)}; there are {', '.join(known)}")
    if any(int(value) < 0 for value in values.values()):
        raise ValueError("quotas must not be negative")
    for name, value in values.items():
        setattr(QUOTAS, known[name], int(value))
    return current()


def current() -> dict[str, int]:
    """All quotas."""
    return {_name(field.name): getattr(QUOTAS, field.name) for field in fields(Quotas)}
