"""Managed nodes: the table of simulated machines, and the rules that say what a script does on each.

A node in JSON (control endpoint, ``GET/PUT /nodes``)::

    {"id": "i-0123456789abcdef0" | "mi-…", "computerName": "WEB-01", "platform": "Windows" | "Linux",
     "ping": "Online" | "ConnectionLost" | "Inactive", "agentVersion": "3.3.2299.0", "ip": "10.0.0.11",
     "tags": {"Role": "web"}, "bootTime": <virtual unix seconds>, "registered": <virtual unix seconds>,
     "latency": <seconds from delivery to start>, "rebootSeconds": <seconds a reboot takes>,
     "powershell": <whether pwsh is there; Windows always has it>, "rules": [rule, …],
     "updates": [update, …] (see ``patching.updates``),
     "account": "111122223333", "region": "eu-west-1"}

``ping`` is what the service shows; a node that is not Online is Undeliverable. A node that shows Online but does not take
the command (Delayed, then DeliveryTimedOut) has a rule with the outcome Offline; so behaves a node that restarts.

A rule, the first whose ``match`` is found in the script as the agent got it (parameters substituted) wins::

    {"match": regex, "exitCode": 0, "stdout": "…", "stderr": "…", "duration": seconds,
     "outcome": "Exit" | "Undeliverable" | "AccessDenied" | "Hang" | "Offline" | "TerminatedDuringRun" | "RebootDuringRun",
     "times": how often it applies before it is used up (left out: always),
     "reboot": seconds after the script's end at which the machine restarts by itself (left out: not),
     "comesBack": whether the machine comes up again after the restart that this rule causes (left out: it does)}

A restart comes from ``reboot`` (``Restart-Computer``, an installer's 1641), from the exit code 3010 (194 on Linux: the agent restarts
the machine and runs the script again) or in the midst of a script (``RebootDuringRun``, after ``duration``: the agent runs it again
too). The machine is down for ``rebootSeconds``, shows ConnectionLost once it was down for ``connectionLostSeconds`` (``/eventual``),
then Online with a newer ``bootTime``. One that does not come back stays ConnectionLost until it is put with a newer ``bootTime``.

``stdout`` and ``stderr`` may hold ``${computerName}``, ``${nodeId}``, ``${commandId}``, ``${bootTime}`` (unix
seconds), ``${bootTimeIso}`` (as in 2026-07-07T15:00:00Z), ``${now}`` (unix seconds) and ``${runs}`` (how often this step ran, this time included).
Without a rule: exit 0 after one second, stdout that names the computer; AWS-RunPatchBaseline then works on the node's updates (a rule
whose ``match`` is left out does not stand in its way, one that matches its script does).
"""

import re
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

from testbed.aws import ACCOUNT_ID, REGION

from .patching.updates import Update

OUTCOMES = ("Exit", "Undeliverable", "AccessDenied", "Hang", "Offline", "TerminatedDuringRun", "RebootDuringRun")
PINGS = ("Online", "ConnectionLost", "Inactive")
PLATFORMS = ("Windows", "Linux")
NODE_ID = re.compile(r"^i-(\w{8}|\w{17})$|^mi-\w{17}$")


@dataclass
class Rule:
    """What a matching script does; durations in virtual seconds."""

    match: str = ""
    exit_code: int = 0
    stdout: str = "${computerName}\n"
    stderr: str = ""
    duration: float = 1.0
    outcome: str = "Exit"
    times: int | None = None
    reboot: float | None = None
    comes_back: bool = True

    @classmethod
    def from_json(cls, raw: dict) -> "Rule":
        _only(raw, {"match", "exitCode", "stdout", "stderr", "duration", "outcome", "times", "reboot", "comesBack"}, "rule")
        rule = cls(
            match=raw.get("match", ""),
            exit_code=int(raw.get("exitCode", 0)),
            stdout=raw.get("stdout", cls.stdout),
            stderr=raw.get("stderr", ""),
            duration=float(raw.get("duration", 1.0)),
            outcome=raw.get("outcome", "Exit"),
            times=raw.get("times"),
            reboot=raw.get("reboot"),
            comes_back=bool(raw.get("comesBack", True)),
        )
        _one_of(rule.outcome, OUTCOMES, "outcome")
        re.compile(rule.match)
        return rule

    def to_json(self) -> dict:
        raw = {
            "match": self.match,
            "exitCode": self.exit_code,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "duration": self.duration,
            "outcome": self.outcome,
        }
        optional = {"times": self.times, "reboot": self.reboot, "comesBack": None if self.comes_back else False}
        return raw | {key: value for key, value in optional.items() if value is not None}


@dataclass
class Node:
    """One managed node; ``down_at`` and ``back_at`` are set while it restarts (virtual instants; ``back_at`` is infinite when it
    never comes back)."""

    id: str
    computer_name: str
    platform: str = "Windows"
    ping: str = "Online"
    agent_version: str = "3.3.2299.0"
    ip: str = "10.0.0.10"
    tags: dict[str, str] = field(default_factory=dict)
    boot_time: float = 0.0
    registered: float = 0.0
    latency: float = 0.2
    reboot_seconds: float = 60.0
    powershell: bool = True
    rules: list[Rule] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    account: str = ACCOUNT_ID
    region: str = REGION
    down_at: float | None = None
    back_at: float | None = None

    @property
    def online(self) -> bool:
        """Whether the service can hand the agent a command right now."""
        return self.ping == "Online" and self.back_at is None

    def status(self, now: float, lost_after: float) -> str:
        """The ping status that the service shows: it takes ``lost_after`` seconds to miss an agent."""
        lost = self.down_at is not None and now >= self.down_at + lost_after
        return "ConnectionLost" if lost and self.ping == "Online" else self.ping

    @property
    def hybrid(self) -> bool:
        """Whether it was registered by activation: its ARN is ``managed-instance/…``, not ``instance/…``."""
        return self.id.startswith("mi-")

    def rule_for(self, script: str) -> Rule:
        """The first rule that matches and is not used up; the default rule when there is none."""
        for rule in self.rules:
            if rule.times != 0 and re.search(rule.match, script, re.DOTALL):
                return rule
        return Rule()

    @classmethod
    def from_json(cls, raw: dict, now: float) -> "Node":
        known = {
            "id", "computerName", "platform", "ping", "agentVersion", "ip", "tags", "bootTime", "registered",
            "latency", "rebootSeconds", "powershell", "rules", "updates", "account", "region",
        }  # fmt: skip
        _only(raw, known, "node")
        node_id, platform = raw["id"], raw.get("platform", "Windows")
        if not NODE_ID.match(node_id):
            raise ValueError(f"{node_id} is neither an instance id nor a managed instance id")
        _one_of(platform, PLATFORMS, "platform")
        _one_of(raw.get("ping", "Online"), PINGS, "ping")
        return cls(
            id=node_id,
            computer_name=raw.get("computerName", node_id),
            platform=platform,
            ping=raw.get("ping", "Online"),
            agent_version=raw.get("agentVersion", cls.agent_version),
            ip=raw.get("ip", cls.ip),
            tags=dict(raw.get("tags", {})),
            boot_time=float(raw.get("bootTime", now - 86_400)),
            registered=float(raw.get("registered", now - 86_400)),
            latency=float(raw.get("latency", cls.latency)),
            reboot_seconds=float(raw.get("rebootSeconds", cls.reboot_seconds)),
            powershell=bool(raw.get("powershell", platform == "Windows")),
            rules=[Rule.from_json(rule) for rule in raw.get("rules", [])],
            updates=[Update.from_json(update) for update in raw.get("updates", [])],
            account=raw.get("account", ACCOUNT_ID),
            region=raw.get("region", REGION),
        )

    def to_json(self) -> dict:
        return {
            "id": self.id,
            "computerName": self.computer_name,
            "platform": self.platform,
            "ping": self.ping,
            "agentVersion": self.agent_version,
            "ip": self.ip,
            "tags": dict(self.tags),
            "bootTime": self.boot_time,
            "registered": self.registered,
            "latency": self.latency,
            "rebootSeconds": self.reboot_seconds,
            "powershell": self.powershell,
            "rules": [rule.to_json() for rule in self.rules],
            "updates": [update.to_json() for update in self.updates],
            "account": self.account,
            "region": self.region,
        }


class NodeTable:
    """The nodes of the bed, in JSON for its users and as objects for the simulation.

    The model attaches itself: its lock is held during each look or change, what is due happens first, and it is told
    the id of each node that was put, so that what waits for its agent is delivered.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._lock = threading.RLock()
        self._now: Callable[[], float] = time.time
        self._settle: Callable[[], None] = lambda: None
        self._changed: Callable[[str], None] = lambda _: None

    def attach(self, lock, now: Callable[[], float], settle: Callable[[], None], changed: Callable[[str], None]) -> None:
        """Ties the table to a model."""
        self._lock, self._now, self._settle, self._changed = lock, now, settle, changed

    def all(self) -> list[dict]:
        """Every node as JSON, by id."""
        with self._settled():
            return [node.to_json() for node in self.nodes()]

    def get(self, node_id: str) -> dict | None:
        """One node as JSON, or None."""
        with self._settled():
            node = self._nodes.get(node_id)
            return node.to_json() if node else None

    def replace(self, nodes: list[dict]) -> None:
        """Makes ``nodes`` the whole table; ``ValueError`` or ``KeyError`` says what is wrong with one."""
        with self._settled():
            made = [Node.from_json(raw, self._now()) for raw in nodes]
            before, self._nodes = self._nodes, {}
            for node in made:
                self._add(node, before.get(node.id))

    def put(self, node: dict) -> None:
        """Adds or replaces one node (a changed rule, tag or ping status)."""
        with self._settled():
            made = Node.from_json(node, self._now())
            self._add(made, self._nodes.get(made.id))

    def delete(self, node_id: str) -> bool:
        """Deregisters a node; False when there was none."""
        with self._settled():
            return self._nodes.pop(node_id, None) is not None

    def node(self, node_id: str) -> Node | None:
        """The node itself, for the simulation (which holds the lock already)."""
        return self._nodes.get(node_id)

    def nodes(self) -> list[Node]:
        """All nodes themselves, by id."""
        return [self._nodes[node_id] for node_id in sorted(self._nodes)]

    def _add(self, node: Node, before: Node | None) -> None:
        if before:
            # A restart under way is not undone by a changed tag, but by a boot that has happened.
            if node.boot_time <= before.boot_time:
                node.down_at, node.back_at = before.down_at, before.back_at
        self._nodes[node.id] = node
        self._changed(node.id)

    @contextmanager
    def _settled(self):
        with self._lock:
            self._settle()
            yield


def _only(raw: dict, known: set[str], what: str) -> None:
    if unknown := sorted(set(raw) - known):
        raise ValueError(f"a {what} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")


def _one_of(value: str, allowed: tuple[str, ...], what: str) -> None:
    if value not in allowed:
        raise ValueError(f"{what} {value!r} is none of {', '.join(allowed)}")


#: The bed's one table; ``testbed.aws.ssm.model`` attaches itself to it.
TABLE = NodeTable()
