"""AWS's own token buckets: one for each account, Region and API, refilled on virtual time.

Every call of somebody but the account's root user takes a token. What finds none is counted, and refused as throttling where that is asked
for (`mode` "throttle"; "count" is the default). Figures: docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html, "Quotas related to
API action throttling". Where AWS publishes none there is no bucket, but for what a test sets.
"""

import threading
from collections import Counter
from dataclasses import dataclass

from testbed.aws.settings import CLOCK

MODES = ("off", "count", "throttle")

LARGE_REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
"""Regions with figures of their own; the second pair is that of all others."""

_FIGURES = {
    ("StartExecution", "RedriveExecution"): ((1300, 300), (800, 150)),
    ("DescribeExecution",): ((300, 15), (250, 10)),
    ("ListExecutions",): ((200, 5), (100, 2)),
    ("GetExecutionHistory",): ((400, 20), (400, 20)),
    ("DescribeStateMachine",): ((200, 20), (200, 20)),
    ("StopExecution",): ((1000, 200), (500, 25)),
    ("SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat", "GetActivityTask"): ((3000, 500), (1500, 300)),
    (
        "CreateStateMachine", "UpdateStateMachine", "DeleteStateMachine", "PublishStateMachineVersion", "ValidateStateMachineDefinition",
        "ListTagsForResource", "ListStateMachineVersions", "ListStateMachineAliases",
    ): ((100, 1), (100, 1)),
    ("TagResource", "UntagResource"): ((200, 1), (200, 1)),
}  # fmt: skip

Limit = tuple[float, float]
"""Tokens that a bucket holds, and tokens a second that it gets."""


def published(region: str) -> dict[str, Limit]:
    """AWS's figures for a Region, by "service:Operation"."""
    place = 0 if region in LARGE_REGIONS else 1
    return {f"stepfunctions:{operation}": figures[place] for operations, figures in _FIGURES.items() for operation in operations}


@dataclass
class Bucket:
    """One bucket; `at` is the virtual instant of its last refill."""

    tokens: float
    at: float

    def take(self, limit: Limit, now: float) -> bool:
        """Whether there was a token."""
        size, refill = limit
        self.tokens = min(size, self.tokens + max(0.0, now - self.at) * refill)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Buckets:
    """All buckets of the bed. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Full buckets, AWS's figures, counting alone."""
        with self._lock:
            self.mode = "count"
            self._own: dict[str, Limit] = {}
            self._buckets: dict[tuple[str, str, str], Bucket] = {}
            self._missed: Counter[tuple[str, str, str]] = Counter()

    def change(self, mode: str | None = None, limits: dict[str, list[float]] | None = None) -> dict:
        """Sets the mode, and limits by "service:Operation" as [size, refill a second]; buckets of changed limits are full again. Answers
        what `describe` does. Raises ValueError for what is neither."""
        if mode is not None and mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        for name, limit in (limits or {}).items():
            if ":" not in name or len(limit) != 2 or limit[0] < 1 or limit[1] <= 0:
                raise ValueError(f'{name}: limits are {{"service:Operation": [size, refill a second]}}')
        with self._lock:
            self.mode = mode or self.mode
            for name, (size, refill) in (limits or {}).items():
                self._own[name] = (float(size), float(refill))
                for key in [key for key in self._buckets if key[2] == name]:
                    del self._buckets[key]
        return self.describe()

    def describe(self) -> dict:
        """{mode, limits: those that were set, missed: [{account, region, service, operation, count}]}: calls that found no token."""
        with self._lock:
            missed = [
                {"account": account, "region": region, "service": name.split(":")[0], "operation": name.split(":")[1], "count": count}
                for (account, region, name), count in sorted(self._missed.items())
            ]
            return {"mode": self.mode, "limits": {name: list(limit) for name, limit in self._own.items()}, "missed": missed}

    def take(self, account: str, region: str, service: str, operation: str) -> bool:
        """Takes a token for a call; whether the call may go on."""
        name = f"{service}:{operation}"
        with self._lock:
            limit = self._own.get(name) or published(region).get(name)
            if self.mode == "off" or limit is None:
                return True
            now = CLOCK.now()
            bucket = self._buckets.setdefault((account, region, name), Bucket(limit[0], now))
            if bucket.take(limit, now):
                return True
            self._missed[account, region, name] += 1
            return self.mode != "throttle"


BUCKETS = Buckets()
