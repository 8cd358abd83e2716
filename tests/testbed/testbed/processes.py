"""The bed's processes: started with a log and a mark, found again by another process, and ended for certain."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed import waiting

MARK_VARIABLE = "WINDLASS_BED_ID"
"""Environment variable that every process of a bed carries, its children too: what `sweep` finds them by."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class ProcessDied(Exception):
    """A process of the bed ended while it was being waited for; the message ends with its log's last lines."""


@dataclass(frozen=True)
class Process:
    """A running program. `started` is its start time in clock ticks since boot, so that a reused process id is not taken for it."""

    name: str
    pid: int
    started: int
    log: str

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> "Process":
        """Out of state.json."""
        return cls(**record)  # type: ignore[arg-type]

    def record(self) -> dict[str, object]:
        """For state.json."""
        return asdict(self)

    def alive(self) -> bool:
        """Whether it still runs. A zombie does not."""
        return _start_time(self.pid) == self.started

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        try:
            return "\n".join(Path(self.log).read_text(errors="replace").splitlines()[-count:])
        except FileNotFoundError:
            return ""

    def until(self, ready: Callable[[], object], timeout: float, what: str) -> None:
        """Waits (real seconds) until `ready` answers something true. Raises ProcessDied when the program ends first, else waiting.TimedOut."""

        def condition() -> object:
            answer = ready()
            if not answer and not self.alive():
                raise ProcessDied(f"{self.name} ended before {what}; its log says:\n{self.last_lines()}")
            return answer

        try:
            waiting.until(condition, timeout, what)
        except waiting.TimedOut as error:
            raise waiting.TimedOut(f"{error}; the log of {self.name} says:\n{self.last_lines()}") from error

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal, when it still runs."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def stop(self, grace: float = 5.0) -> None:
        """Ends it: SIGTERM, and SIGKILL after `grace` real seconds. Returns when it is gone."""
        self.kill(signal.SIGTERM)
        try:
            waiting.until(self._gone, grace, f"{self.name} to end")
        except waiting.TimedOut:
            self.kill()
            waiting.until(self._gone, 10, f"{self.name} to die")

    def _gone(self) -> bool:
        _reap(self.pid)
        return not self.alive()


def start(
    name: str,
    arguments: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str],
    mark: str,
    end_with_parent: bool,
) -> Process:
    """Starts a program in a session of its own, with standard input closed and all output in `log`.

    `environment` is added to ours less AWS's variables (a profile or an endpoint of the person at the keyboard must not leak in).
    With `end_with_parent` the kernel kills it when the calling thread ends, however that ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    with log.open("ab") as output:
        child = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**inherited, **environment, MARK_VARIABLE: mark},
            start_new_session=True,
            preexec_fn=_die_with_parent if end_with_parent else None,
        )
    started = _start_time(child.pid)
    # Popen's own bookkeeping would complain about a child that is still running when it is collected; `stop` reaps it.
    child.returncode = 0
    return Process(name, child.pid, started if started is not None else -1, str(log))


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def sweep(mark: str) -> None:
    """Kills every process that carries the mark: what a killed `bed up` started and had not yet written down, and children left behind."""
    waiting.until(lambda: not _kill_marked(mark), 10, "marked processes to die")


def _kill_marked(mark: str) -> int:
    count = 0
    for pid in marked(mark):
        count += 1
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        _reap(pid)
    return count


def marked(mark: str) -> Iterator[int]:
    """The ids of the running processes (never our own) that carry the mark."""
    needle = f"{MARK_VARIABLE}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone meanwhile, or another user's
        if needle in variables:
            yield int(entry.name)


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat; None when there is no such process or it is a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return None if fields[0] in "ZX" else int(fields[19])


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # not our child: another process started it
