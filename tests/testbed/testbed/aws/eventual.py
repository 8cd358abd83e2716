"""How long AWS's eventual consistency lasts in this bed, in virtual seconds: the settings of the control endpoint's /eventual.

`SETTINGS` holds those of IAM and Step Functions; Systems Manager keeps its own and they are only named here.
"""

import threading
from dataclasses import dataclass, fields


@dataclass
class Eventual:
    """What is delayed, and by how much; 0 is not at all."""

    #: A role made less than so long ago cannot be assumed.
    new_role: float = 0.0
    #: For so long after an update, StartExecution on the unqualified ARN runs the old definition.
    state_machine_update: float = 0.0


SETTINGS = Eventual()
_LOCK = threading.Lock()


def _places() -> dict[str, tuple[object, str]]:
    """Where each setting is kept, by its name at the control endpoint."""
    from testbed.aws.ssm import settings as ssm

    return {
        "newRoleSeconds": (SETTINGS, "new_role"),
        "stateMachineUpdateSeconds": (SETTINGS, "state_machine_update"),
        "invocationVisibleSeconds": (ssm.EVENTUAL, "invocation_visible_seconds"),
        "targetResolutionSeconds": (ssm.EVENTUAL, "target_resolution_seconds"),
        "documentActiveSeconds": (ssm.EVENTUAL, "document_active_seconds"),
        "connectionLostSeconds": (ssm.EVENTUAL, "connection_lost_seconds"),
    }


def change(values: dict[str, float]) -> dict[str, float]:
    """Sets what is named, keeps the rest, and answers all. Raises ValueError for an unknown name or a negative duration."""
    places = _places()
    unknown = set(values) - set(places)
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}; there are {', '.join(places)}")
    if any(float(value) < 0 for value in values.values()):
        raise ValueError("durations must not be negative")
    with _LOCK:
        for name, value in values.items():
            holder, attribute = places[name]
            setattr(holder, attribute, float(value))
    return current()


def current() -> dict[str, float]:
    """All settings, under their names of the control endpoint."""
    return {name: getattr(holder, attribute) for name, (holder, attribute) in _places().items()}


def reset() -> None:
    """IAM and Step Functions consistent at once again; Systems Manager resets its own."""
    for field in fields(Eventual):
        setattr(SETTINGS, field.name, field.default)
