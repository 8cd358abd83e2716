"""Which requests are held or cut, which are held now, and how many there were."""

import asyncio
import itertools
import re
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from testbed.kubeproxy.request import WRITES, KubeRequest

KINDS = ("hold", "holdAfter", "cut", "cutAfter")
"""hold: kept from the server until released or dropped. holdAfter: done by the server, the answer kept. cut: the connection is reset before
the server sees the request. cutAfter: the connection is reset after the server has done it."""

LOG_LENGTH = 100_000


class BadRule(ValueError):
    """A rule that cannot be understood; the message says what may be written."""


@dataclass
class Rule:
    """`verb` (default: every write), `resource`, `namespace` and `name` (globs), `userAgent` (a regular expression that is searched for)
    say which requests match; the first `skip` of them pass, and the next `count` (-1: all) are treated as `kind` says."""

    id: str
    kind: str
    verb: tuple[str, ...] = WRITES
    resource: str = "*"
    namespace: str = "*"
    name: str = "*"
    userAgent: str = ""  # noqa: N815 (the name on the wire)
    skip: int = 0
    count: int = 1
    seen: int = 0
    hit: int = 0

    @classmethod
    def parse(cls, rule_id: str, fields: dict[str, Any]) -> "Rule":
        """From the control endpoint's JSON. Raises BadRule."""
        known = {"kind", "verb", "resource", "namespace", "name", "userAgent", "skip", "count"}
        if unknown := set(fields) - known:
            raise BadRule(f"unknown field {', '.join(sorted(unknown))}: a rule has {', '.join(sorted(known))}")
        if fields.get("kind") not in KINDS:
            raise BadRule(f"kind must be one of {', '.join(KINDS)}")
        verb = fields.pop("verb", WRITES)
        try:
            re.compile(fields.get("userAgent", ""))
        except re.error as error:
            raise BadRule(f"userAgent is no regular expression: {error}") from error
        return cls(id=rule_id, verb=(verb,) if isinstance(verb, str) else tuple(verb), **fields)

    def matches(self, request: KubeRequest) -> bool:
        """Whether the rule is about this request."""
        return (
            (request.verb in self.verb or "*" in self.verb)
            and fnmatchcase(request.resource, self.resource)
            and fnmatchcase(request.namespace, self.namespace)
            and fnmatchcase(request.name, self.name)
            and re.search(self.userAgent, request.user_agent) is not None
        )

    def takes(self) -> bool:
        """Counts one match, and answers whether this one is to be treated."""
        self.seen += 1
        if self.seen <= self.skip or self.count != -1 and self.hit >= self.count:
            return False
        self.hit += 1
        return True


@dataclass
class Held:
    """A request that waits. `released` resolves to True (go on) or False (drop)."""

    id: str
    rule: str
    kind: str
    request: KubeRequest
    released: asyncio.Future[bool]
    client_gone: bool = False

    def describe(self) -> dict[str, Any]:
        """For the control endpoint."""
        return {"id": self.id, "rule": self.rule, "kind": self.kind, **_fields(self.request), "clientGone": self.client_gone}


@dataclass
class Ledger:
    """Everything that the control endpoint shows and changes. Belongs to one event loop."""

    rules: dict[str, Rule] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    counts: Counter[tuple[str, str, str, int | str]] = field(default_factory=Counter)
    log: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    _ids: itertools.count = field(default_factory=lambda: itertools.count(1))
    _numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def add_rule(self, fields: dict[str, Any]) -> str:
        """Answers the rule's id. Raises BadRule."""
        rule = Rule.parse(f"rule-{next(self._ids)}", fields)
        self.rules[rule.id] = rule
        return rule.id

    def decide(self, request: KubeRequest) -> Rule | None:
        """The rule to treat this request by. Every matching rule counts it; the oldest one that takes it wins."""
        taking = [rule for rule in self.rules.values() if rule.matches(request) and rule.takes()]
        return taking[0] if taking else None

    def hold(self, rule: Rule, request: KubeRequest) -> Held:
        """Adds a held request."""
        held = Held(f"held-{next(self._ids)}", rule.id, rule.kind, request, asyncio.get_running_loop().create_future())
        self.held[held.id] = held
        held.released.add_done_callback(lambda _: self.held.pop(held.id, None))
        return held

    def record(self, request: KubeRequest, outcome: int | str) -> None:
        """Counts a request by what became of it: an HTTP status, `cut`, `dropped` or `unreachable`."""
        self.counts[request.verb, request.resource, request.user_agent, outcome] += 1
        self.log.append({"n": next(self._numbers), "time": time.time(), **_fields(request), "code": outcome})

    def clear_counts(self) -> None:
        """Forgets what was counted; numbers in the log go on."""
        self.counts.clear()
        self.log.clear()


def _fields(request: KubeRequest) -> dict[str, str]:
    return {
        "verb": request.verb,
        "resource": request.resource,
        "namespace": request.namespace,
        "name": request.name,
        "userAgent": request.user_agent,
    }
