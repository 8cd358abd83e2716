"""The machines as the service reaches them: what waits for an agent, and restarts."""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from .nodes import Node, NodeTable
from .scheduler import Scheduler


class Running(Protocol):
    """A document that an agent works on (``agent.Run``)."""

    def interrupt(self) -> None: ...

    def resume(self) -> None: ...


class Fleet:
    """The table of nodes, with what happens to them in the course of time."""

    def __init__(self, table: NodeTable, scheduler: Scheduler):
        self.table, self.scheduler = table, scheduler
        self._waiting: dict[str, list[Callable[[], None]]] = defaultdict(list)
        self._runs: dict[str, list[Running]] = defaultdict(list)
        self._down: set[str] = set()
        self._watchers: list[Callable[[Node], None]] = []

    def node(self, node_id: str) -> Node | None:
        return self.table.node(node_id)

    def when_changed(self, node_id: str, action: Callable[[], None]) -> None:
        """Runs ``action`` once, when the node is put again or is back from a restart."""
        self._waiting[node_id].append(action)

    def watch(self, watcher: Callable[[Node], None]) -> None:
        """Calls ``watcher`` with each node that was put or is back."""
        self._watchers.append(watcher)

    def changed(self, node_id: str) -> None:
        """The node was put, or is back: what its agent had under way goes on, and what waited for it tries again."""
        node = self.node(node_id)
        if node_id in self._down and node is not None and node.back_at is None:
            self._down.discard(node_id)
            for run in list(self._runs[node_id]):
                run.resume()
        for action in self._waiting.pop(node_id, []):
            self.scheduler.after(0, action)
        for watcher in self._watchers if node is not None else ():
            watcher(node)

    def enter(self, node_id: str, run: Running) -> None:
        """An agent has begun a document."""
        self._runs[node_id].append(run)

    def leave(self, node_id: str, run: Running) -> None:
        """An agent is done with a document, for good or ill."""
        if run in self._runs[node_id]:
            self._runs[node_id].remove(run)

    def restart(self, node_id: str, comes_back: bool = True) -> None:
        """The machine goes down; everything on it stops, and goes on when the agent is back, if ever."""
        node = self.node(node_id)
        if node is None or node.back_at is not None:
            return
        node.down_at = self.scheduler.now()
        node.back_at = node.down_at + node.reboot_seconds if comes_back else math.inf
        self._down.add(node_id)
        for run in list(self._runs[node_id]):
            run.interrupt()
        if comes_back:
            back_at = node.back_at
            self.scheduler.at(back_at, lambda: self._back(node_id, back_at))

    def clear(self) -> None:
        """Forgets what waits and what runs."""
        self._waiting.clear()
        self._runs.clear()
        self._down.clear()
        self._watchers.clear()

    def _back(self, node_id: str, instant: float) -> None:
        node = self.node(node_id)
        if node is None or node.back_at != instant:
            return  # it was deregistered, or has booted in another way
        node.boot_time, node.down_at, node.back_at = instant, None, None
        for update in node.updates:
            if update.state == "InstalledPendingReboot":
                update.state = "Installed"
        self.changed(node_id)
