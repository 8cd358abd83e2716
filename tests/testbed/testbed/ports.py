"""Ports on the loopback interface that nobody else uses, so that beds run side by side."""

import fcntl
import random
import socket
import tempfile
import time
from pathlib import Path

RANGE = range(20_000, 32_000)
"""Below what Linux hands to outgoing connections: those could take a port between our choice and its use."""

RESERVED_SECONDS = 120
"""How long a port stays ours by reservation alone. By then its server listens, or its bed has failed."""


def choose(count: int) -> list[int]:
    """That many free ports of 127.0.0.1, none of which another bed that is starting on this machine gets. Raises OSError when none is left."""
    directory = Path(tempfile.gettempdir()) / "windlass-testbed-ports"
    directory.mkdir(exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        reserved = _reserved(directory)
        chosen: list[int] = []
        for port in random.sample(RANGE, len(RANGE)):
            if len(chosen) == count:
                return chosen
            if port not in reserved and _is_free(port):
                (directory / str(port)).touch()
                chosen.append(port)
    raise OSError(f"no {count} free ports between {RANGE.start} and {RANGE.stop}")


def _reserved(directory: Path) -> set[int]:
    """The ports that are promised to a bed now; older promises are forgotten."""
    found = set()
    for entry in directory.iterdir():
        if not entry.name.isdigit():
            continue
        if time.time() - entry.stat().st_mtime < RESERVED_SECONDS:
            found.add(int(entry.name))
        else:
            entry.unlink()
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Servers here set it too: a port whose last connections still wait out their close is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
