"""Which calls were made: each in order, and counted by service, operation, caller and outcome."""

import threading
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """One call. `caller` is the IAM principal (a role's ARN for a session), `session` the session's own ARN, `outcome` "ok" or the
    error code that the caller got, `time` virtual unix seconds, `resource` the first resource that the call named ("*" if none)."""

    n: int
    service: str
    operation: str
    caller: str
    session: str
    outcome: str
    time: float
    resource: str


class CallLog:
    """The calls since the last reset. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._next = 1

    def add(self, **fields: object) -> None:
        """Appends a call; takes the fields of Call without `n`."""
        with self._lock:
            self._calls.append(Call(n=self._next, **fields))
            self._next += 1

    def since(self, n: int) -> list[dict]:
        """The calls numbered above n, in order. Numbers go on after a reset, so a reader's place stays valid."""
        with self._lock:
            return [vars(call) for call in self._calls if call.n > n]

    def counts(self) -> list[dict]:
        """{service, operation, caller, outcome, count}, sorted."""
        with self._lock:
            counter = Counter((call.service, call.operation, call.caller, call.outcome) for call in self._calls)
        return [
            {"service": service, "operation": operation, "caller": caller, "outcome": outcome, "count": count}
            for (service, operation, caller, outcome), count in sorted(counter.items())
        ]

    def clear(self) -> None:
        """Forgets all calls."""
        with self._lock:
            self._calls.clear()


LOG = CallLog()
