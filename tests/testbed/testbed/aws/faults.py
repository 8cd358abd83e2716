"""Faults on demand: which calls fail, how, and how often. Rules only; `pipeline` carries them out."""

import itertools
import re
import threading
from dataclasses import asdict, dataclass, field

KINDS = ("Throttle", "ErrorBefore", "ErrorAfter", "ResetBefore", "ResetAfter", "Latency", "LatencyAfter", "Denied")

BEFORE = ("Throttle", "ErrorBefore", "ResetBefore", "Latency", "Denied")
"""Kinds that act before the call has had any effect."""

AFTER = ("ErrorAfter", "ResetAfter", "LatencyAfter")
"""Kinds that act when the call has had its effect: the caller cannot know (LatencyAfter: not yet)."""

SERVICE_ALIASES = {"sfn": "stepfunctions", "states": "stepfunctions", "eventbridge": "events"}


def service_name(name: str) -> str:
    """boto3's name of a service, also for the other names that people use."""
    return SERVICE_ALIASES.get(name, name)


@dataclass
class Fault:
    """One rule. `service` and `operation` are boto3's and AWS's names ("*" for any), `caller` a regular expression searched in the
    principal's and the session's ARN. The first `skip` matching calls pass; then `count` are hit (-1: all). `status` and `code` shape
    Error*; `seconds` (virtual) is that of Latency and LatencyAfter."""

    kind: str
    service: str = "*"
    operation: str = "*"
    caller: str | None = None
    status: int = 500
    code: str = "InternalServerError"
    message: str | None = None
    seconds: float = 0.0
    skip: int = 0
    count: int = 1
    id: str = ""
    seen: int = 0
    hit: int = 0
    _pattern: re.Pattern | None = field(default=None, repr=False)

    def matches(self, service: str, operation: str, callers: tuple[str, ...]) -> bool:
        """Whether a call is one of those that this rule speaks of."""
        if self.service not in ("*", service) or self.operation not in ("*", operation):
            return False
        return self._pattern is None or any(self._pattern.search(caller) for caller in callers)

    def describe(self) -> dict:
        """The rule as JSON, with how many calls it matched (`seen`) and hit."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


class Faults:
    """The rules in force. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[str, Fault] = {}
        self._ids = itertools.count(1)

    def add(self, rule: dict) -> Fault:
        """Adds a rule given as the control endpoint takes it. Raises ValueError when it is no rule."""
        known = {"kind", "service", "operation", "caller", "status", "code", "message", "seconds", "skip", "count"}
        unknown = set(rule) - known
        if unknown:
            raise ValueError(f"unknown fields of a fault: {', '.join(sorted(unknown))}")
        if rule.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {rule.get('kind')!r}")
        fault = Fault(**rule)
        fault.service = service_name(fault.service)
        fault._pattern = re.compile(fault.caller) if fault.caller else None
        with self._lock:
            fault.id = f"fault-{next(self._ids)}"
            self._rules[fault.id] = fault
        return fault

    def take(self, kinds: tuple[str, ...], service: str, operation: str, callers: tuple[str, ...]) -> list[Fault]:
        """The rules of these kinds that hit this call, counted as spent. At most one that is not Latency: a call fails once."""
        taken: list[Fault] = []
        with self._lock:
            for fault in self._rules.values():
                if fault.kind not in kinds or not fault.matches(service, operation, callers):
                    continue
                if any(other.kind != "Latency" for other in taken) and fault.kind != "Latency":
                    continue
                fault.seen += 1
                if fault.seen <= fault.skip or (fault.count >= 0 and fault.hit >= fault.count):
                    continue
                fault.hit += 1
                taken.append(fault)
        return taken

    def all(self) -> list[dict]:
        """Every rule, spent ones too."""
        with self._lock:
            return [fault.describe() for fault in self._rules.values()]

    def remove(self, fault_id: str) -> bool:
        """Whether there was such a rule."""
        with self._lock:
            return self._rules.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Removes every rule."""
        with self._lock:
            self._rules.clear()


FAULTS = Faults()
