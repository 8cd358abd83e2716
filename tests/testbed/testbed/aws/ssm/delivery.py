"""How the service brings a command to its nodes: concurrency, error limit, timeouts, cancel.

Source: user guide, "Run commands at scale" (MaxConcurrency, MaxErrors, one node first, then twice as many) and
"Understanding command timeout values": a command that did not start within TimeoutSeconds does not run; an invocation
without the agent's last word turns DeliveryTimedOut at TimeoutSeconds *plus* the execution timeout.
"""

from collections import deque
from typing import TYPE_CHECKING

from . import agent, targets
from .nodes import Node
from .preconditions import decide
from .records import Command, Invocation, Plugin

if TYPE_CHECKING:
    from .model import Account

#: Seconds from CancelCommand to the agent.
CANCEL_LATENCY = 1.0


class Delivery:
    """Brings one command to its nodes."""

    def __init__(self, account: "Account", command: Command):
        self._account, self._command = account, command
        self._fleet, self._scheduler = account.system.fleet, account.system.scheduler
        self._queue: deque[Invocation] = deque()
        self._active: dict[str, agent.Run | None] = {}
        self._window = 0
        self._scheduler.at(command.expires, self._expire)

    def to_ids(self, ids: list[str]) -> None:
        """Delivers to the nodes named, as many at once as MaxConcurrency allows."""
        self._resolve(ids)
        self._window = self._command.max_concurrency
        self._scheduler.after(0, self._send_more)

    def to_targets(self, delay: float) -> None:
        """Finds the nodes ``delay`` seconds from now, and begins with one of them."""
        self._scheduler.after(delay, self._find)

    def cancel(self, ids: list[str]) -> None:
        """Cancels on the nodes named; what no agent has yet is Cancelled at once, the rest when its agent obeys."""
        for node_id in ids:
            invocation = self._command.invocations[node_id]
            if invocation.done:
                continue
            run = self._active.get(node_id)
            if run is None:
                self._close(invocation, "Cancelled")
            else:
                invocation.details = "Cancelling"
                self._scheduler.after(CANCEL_LATENCY, lambda node_id=node_id, run=run: self._obey(node_id, run))
        self._send_more()

    def _find(self) -> None:
        if self._command.cancelled:
            self._command.resolved = True
            return
        self._resolve(targets.resolve(self._command.request["Targets"], self._account.nodes()))
        self._window = 1
        self._send_more()

    def _resolve(self, ids: list[str]) -> None:
        for node_id in ids:
            node = self._account.node(node_id)
            steps = [Plugin(step.name) for step in self._command.content.steps]
            invocation = Invocation(node_id, node.computer_name if node else "", steps)
            self._command.invocations[node_id] = invocation
            self._queue.append(invocation)
        self._command.resolved = True

    def _send_more(self) -> None:
        if self._command.error_count > self._command.max_errors:
            self._terminate()
        while self._queue and len(self._active) < min(self._window, self._command.max_concurrency):
            invocation = self._queue.popleft()
            if not invocation.done:
                self._active[invocation.node_id] = None
                self._send(invocation)

    def _terminate(self) -> None:
        """More errors than MaxErrors: what was not sent yet never is; what runs goes on."""
        while self._queue:
            invocation = self._queue.popleft()
            if not invocation.done:
                invocation.end("Terminated", self._scheduler.now())

    def _send(self, invocation: Invocation) -> None:
        if invocation.done or invocation.node_id not in self._active:
            return
        node = self._account.node(invocation.node_id)
        if refused := self._refused(node):
            self._close(invocation, refused)
            self._scheduler.after(0, self._send_more)
        elif not node.online or self._use(node, "Offline"):
            invocation.details = "Delayed"
            self._fleet.when_changed(node.id, lambda: self._send(invocation))
        elif self._scheduler.now() < self._command.start_by:
            self._deliver(invocation, node)

    def _deliver(self, invocation: Invocation, node: Node) -> None:
        invocation.details = "InProgress"
        run = agent.Run(self._account, self._command, invocation, lambda: self._ended(invocation))
        self._active[node.id] = run
        run.begin(node)

    def _refused(self, node: Node | None) -> str | None:
        """Why the service cannot hand the command to the node at all."""
        if node is None or (node.ping != "Online" and node.back_at is None):
            return "Undeliverable"
        if node.platform not in self._command.content.platforms:
            return "InvalidPlatform"
        for outcome in ("Undeliverable", "AccessDenied"):
            if self._use(node, outcome):
                return outcome
        return None

    def _use(self, node: Node, outcome: str) -> bool:
        """Whether a rule gives the delivery this outcome; a rule with ``times`` is used up by it."""
        for rule in self._rules(node):
            if rule.outcome == outcome:
                rule.times = None if rule.times is None else rule.times - 1
                return True
        return False

    def _rules(self, node: Node):
        """The rule of each step that would run on the node."""
        content, arguments = self._command.content, self._command.arguments
        for step in content.steps:
            if decide(step, content.schema, node.platform, arguments).operation == "execute":
                try:
                    yield node.rule_for(agent.script(step, arguments))
                except ValueError:
                    continue  # the step will fail on the node, whatever the rules say

    def _obey(self, node_id: str, run: agent.Run) -> None:
        node = self._account.node(node_id)
        if node is None or self._active.get(node_id) is not run:
            return
        if node.online:
            run.cancel()
        else:
            self._fleet.when_changed(node_id, lambda: self._obey(node_id, run))

    def _ended(self, invocation: Invocation) -> None:
        """An agent's last word: room for the next nodes, one more than before."""
        self._active.pop(invocation.node_id, None)
        self._window += 1
        self._send_more()

    def _close(self, invocation: Invocation, details: str) -> None:
        """Ends an invocation without its agent's word."""
        invocation.end(details, self._scheduler.now())
        if invocation.node_id in self._active:
            self._window += 1
            if run := self._active.pop(invocation.node_id):
                run.abandon()

    def _expire(self) -> None:
        """No last word from the agent by the total timeout."""
        for invocation in self._command.invocations.values():
            if not invocation.done:
                self._close(invocation, "DeliveryTimedOut")
        self._queue.clear()
