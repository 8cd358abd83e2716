"""state.json: what a bed is, for another process to find, describe and end it."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import LOCK_EX, flock
from pathlib import Path

from testbed.clock import Clock
from testbed.controlplane import Access
from testbed.processes import Process

KEPT = {"lock", "logs"}
"""What stays in the directory of a bed that was taken down."""


class NotOurs(Exception):
    """The directory holds something that is not a bed's: it is not touched."""


@dataclass
class State:
    """One bed. `mark` stands in the environment of each of its processes; `ready` tells a bed that is up from one that was interrupted.

    `endpoint` is the AWS URL, `control` its control endpoint's; `kubernetes` reaches the API server past the proxy, `proxy` is the URL
    through it and `proxy_control` the proxy's own. What a bed has not is None.
    """

    directory: Path
    mark: str
    clock: Clock
    ready: bool = False
    endpoint: str | None = None
    control: str | None = None
    kubernetes: Access | None = None
    proxy: str | None = None
    proxy_control: str | None = None
    processes: list[Process] = field(default_factory=list)

    def save(self) -> None:
        """Replaces state.json at once, so that a reader never sees half of it."""
        text = json.dumps(
            {
                "mark": self.mark,
                "ready": self.ready,
                "clock": {"epoch": self.clock.epoch, "factor": self.clock.factor},
                "endpoint": self.endpoint,
                "control": self.control,
                "kubernetes": self.kubernetes.record() if self.kubernetes else None,
                "proxy": self.proxy,
                "proxyControl": self.proxy_control,
                "processes": [process.record() for process in self.processes],
            },
            indent=2,
        )
        partial = self.directory / "state.json.partial"
        partial.touch(mode=0o600)
        partial.write_text(text + "\n")
        partial.replace(file(self.directory))


def file(directory: Path) -> Path:
    """Where the state of the bed in `directory` stands."""
    return directory / "state.json"


def load(directory: Path) -> State | None:
    """The bed in `directory`, running or not; None when there is none."""
    try:
        record = json.loads(file(directory).read_text())
    except FileNotFoundError:
        return None
    return State(
        directory=directory,
        mark=record["mark"],
        clock=Clock(**record["clock"]),
        ready=record["ready"],
        endpoint=record["endpoint"],
        control=record["control"],
        kubernetes=Access.from_record(record["kubernetes"]) if record["kubernetes"] else None,
        proxy=record["proxy"],
        proxy_control=record["proxyControl"],
        processes=[Process.from_record(process) for process in record["processes"]],
    )


def claim(directory: Path) -> None:
    """Makes the directory, for its owner alone, without a former bed's logs. Raises NotOurs when it holds anything but what a former bed
    left."""
    directory.mkdir(parents=True, exist_ok=True)
    foreign = {entry.name for entry in directory.iterdir()} - KEPT
    if foreign:
        raise NotOurs(f"{directory} holds {', '.join(sorted(foreign)[:5])}: not a bed's directory")
    os.chmod(directory, 0o700)
    shutil.rmtree(directory / "logs", ignore_errors=True)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lets one `up` or `down` at a time work on a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("a") as lock:
        flock(lock, LOCK_EX)
        yield
