"""Reads that do not see a write yet: for some virtual seconds after a successful write in a service, a read answers what it answered before.

A read that was never asked before the write does not know the thing: it is answered with the operation's own not-found error, if its model
has one. "List" and "Describe" answers are kept by their whole request, from when the lag is set.
"""

import json
import re
import threading
from dataclasses import dataclass

from botocore.model import OperationModel

from testbed.aws.settings import CLOCK

READ = re.compile(r"^(Get|List|Describe|Head|Batch[Gg]et|Query|Scan|Receive|Test|Validate|Simulate)")
NOT_FOUND = re.compile(r"(NotFound|NoSuch|DoesNotExist|NonExistent|^InvalidDocument$)")


@dataclass(frozen=True)
class Kept:
    """An answer as it went out, and when."""

    at: float
    status: int
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Missing:
    """The thing is not known yet: the error to answer with."""

    code: str
    status: int


class Lags:
    """The lags in force. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Every read sees every write."""
        with self._lock:
            self._seconds: dict[tuple[str, str], float] = {}
            self._written: dict[tuple[str, str, str], float] = {}
            self._kept: dict[tuple, Kept] = {}

    def set(self, service: str, operation: str, seconds: float) -> list[dict]:
        """Lets a read lag; 0 ends that. Answers all. Raises ValueError when the operation is no read, or the time negative."""
        if not READ.match(operation) or seconds < 0:
            raise ValueError("a lag is of a read (Get…, List…, Describe…), and not negative")
        with self._lock:
            if seconds:
                self._seconds[service, operation] = float(seconds)
            else:
                self._seconds.pop((service, operation), None)
        return self.all()

    def all(self) -> list[dict]:
        """[{service, operation, seconds}]"""
        with self._lock:
            return [{"service": service, "operation": operation, "seconds": seconds} for (service, operation), seconds in self._seconds.items()]

    def stale(self, account: str, region: str, model: OperationModel, request: dict) -> Kept | Missing | None:
        """What a read is answered instead of the truth; None: the truth."""
        service = model.service_model.service_name
        with self._lock:
            seconds = self._seconds.get((service, model.name))
            written = self._written.get((account, region, service))
            if seconds is None or written is None or CLOCK.now() - written >= seconds:
                return None
            kept = self._kept.get(_key(account, region, service, model.name, request))
        if kept is not None:
            return kept
        for shape in model.error_shapes:
            if NOT_FOUND.search(shape.name):
                error = shape.metadata.get("error", {})
                return Missing(shape.error_code or shape.name, error.get("httpStatusCode", 400))
        return None

    def saw(self, account: str, region: str, model: OperationModel, request: dict, answer: Kept) -> None:
        """Notes a successful call: a write, or what a read that lags has answered in truth."""
        service = model.service_model.service_name
        with self._lock:
            if not self._seconds:
                return
            if not READ.match(model.name):
                self._written[account, region, service] = CLOCK.now()
            elif (service, model.name) in self._seconds:
                self._kept[_key(account, region, service, model.name, request)] = answer


def _key(account: str, region: str, service: str, operation: str, request: dict) -> tuple:
    return account, region, service, operation, json.dumps(request, sort_keys=True, default=str)


LAGS = Lags()
