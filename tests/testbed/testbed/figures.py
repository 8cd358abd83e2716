"""`make figures`: what Windlass costs, measured on the bed and printed as the tables of docs/performance.md.

Calls are counted where they arrive: those to AWS by the bed's endpoint, those to Kubernetes by the proxy before the API server. WINDLASS_BINARY names the
program, which should be a release build.
"""

import argparse
import datetime
import os
import platform
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from testbed import tools, waiting
from testbed.aws import ACCOUNT_ID, setup
from testbed.bed import Bed
from testbed.demo import NODES
from testbed.product import Product, binary, has_ended, is_ready

TIME_FACTOR = 10.0
"""Polls, waits and timeouts of both sides follow virtual time, so what is counted does not depend on this."""
WORKFLOWS = 50
QUIET_SECONDS = 5.0
"""Nothing asked of AWS for so long (real time): the controller is at rest."""
CONTROLLER = f"arn:aws:iam::{ACCOUNT_ID}:role/{setup.CONTROLLER_ROLE_NAME}"
WRITES = {"create", "update", "patch", "delete", "deletecollection"}
AWS_READS = ("Get", "List", "Describe")
LARGEST_BINARY = 30 * 1000 * 1000

Row = tuple[str, str, str]


class Meter:
    """Reads and clears the bed's counters."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed

    def clear(self) -> None:
        """Counts from here on."""
        self.bed.control.clear_calls()
        self.bed.proxy.clear_counts()

    def aws(self) -> Counter[str]:
        """The controller's own calls to AWS by operation; those of state machines and of the sign-in are not among them, and not the long poll of the
        account's inbox, which goes on whatever happens: three calls a minute, and one for each ten messages."""
        total: Counter[str] = Counter()
        for row in self.bed.control.calls():
            if row["caller"] == CONTROLLER and row["operation"] not in ("ReceiveMessage", "DeleteMessageBatch"):
                total[f"{row['service']}:{row['operation']}"] += row["count"]
        return total

    def kubernetes(self) -> Counter[str]:
        """The controller's writes to the API server by verb and resource; the lease is not among them."""
        total: Counter[str] = Counter()
        for row in self.bed.proxy.counts():
            if row["verb"] in WRITES and "leases" not in row["resource"]:
                total[f"{row['verb']} {row['resource']}"] += row["count"]
        return total

    def settle(self, timeout: float = 120) -> None:
        """Waits until nothing was asked of AWS for a while."""
        state = {"calls": -1, "since": 0.0}

        def quiet() -> bool:
            calls = sum(self.aws().values())
            now = datetime.datetime.now().timestamp()
            if calls != state["calls"]:
                state.update(calls=calls, since=now)
            return now - state["since"] >= QUIET_SECONDS

        waiting.until(quiet, timeout, "the controller to be at rest", interval=0.25)


def counted(calls: Mapping[str, int]) -> str:
    """Calls in words."""
    return ", ".join(f"{count} {name}" if count > 1 else name for name, count in sorted(calls.items())) or "none"


def is_read(operation: str) -> bool:
    """Whether an operation of AWS only reads."""
    return operation.split(":")[1].startswith(AWS_READS)


def workflow(name: str) -> dict[str, Any]:
    """A workflow of one step on the nodes of the demo."""
    return {
        "apiVersion": "windlass.dev/v1alpha1",
        "kind": "WindowsWorkflow",
        "metadata": {"name": name, "namespace": "ops"},
        "spec": {"targets": {"tags": {"Role": ["web"]}}, "steps": [{"name": "report", "powershell": {"script": "Get-PSDrive\n"}}]},
    }


def run(name: str, of: str) -> dict[str, Any]:
    """A run."""
    return {
        "apiVersion": "windlass.dev/v1alpha1",
        "kind": "WorkflowRun",
        "metadata": {"name": name, "namespace": "ops"},
        "spec": {"workflowRef": {"name": of}},
    }


def resident(pid: int) -> float:
    """A process's resident memory in MB (10^6 bytes)."""
    match = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if not match:
        raise ProcessLookupError(f"process {pid} has no VmRSS: it has ended")
    return int(match[1]) * 1024 / 1e6


class Figures:
    """The measurements, in an order in which each begins where the one before ended."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        # Comparisons with AWS are measured by themselves.
        self.product = Product(bed, values={"driftInterval": "30d"})
        self.meter = Meter(bed)

    def pid(self) -> int:
        """The controller's."""
        if self.product.process is None:
            raise ProcessLookupError("the controller was not started")
        return self.product.process.pid

    def install(self) -> None:
        """Windlass with an account, and nothing else."""
        self.bed.control.set_nodes(NODES)
        self.product.install()
        self.product.start()
        self.product.apply(self.product.account())
        self.product.until_ready("awsacct", "prod")
        self.meter.settle()

    def size(self) -> Iterable[Row]:
        """The program."""
        size = binary().stat().st_size
        yield "size of the program", f"{size / 1e6:.1f} MB", f"at most {LARGEST_BINARY / 1e6:.0f} MB"

    def creation(self) -> Iterable[Row]:
        """From nothing to Ready."""
        self.meter.clear()
        self.product.apply(workflow("first"))
        self.product.until_ready("wwf", "first", "ops")
        calls, writes = self.meter.aws(), self.meter.kubernetes()
        reads = sum(count for name, count in calls.items() if is_read(name))
        yield "AWS calls to make one workflow from nothing", f"{sum(calls.values())}: {counted(calls)}", "one per owned object"
        yield "reads among them", str(reads), "0"
        yield "writes to the API server for that", f"{sum(writes.values())}: {counted(writes)}", ""

    def one_run(self, name: str, seconds: int) -> Iterable[Row]:
        """A run whose script takes some seconds."""
        for node in self.bed.control.nodes():
            self.bed.control.put_node({**node, "rules": [{"match": ".", "exitCode": 0, "stdout": "ok", "duration": seconds}]})
        self.meter.clear()
        self.product.apply(run(name, "first"))
        found = self.product.until("wrun", name, "ops", has_ended, "to end", timeout=240)
        if found["status"]["phase"] != "Succeeded":
            raise RuntimeError(f"run {name} did not succeed: {found['status'].get('message')}")
        began, ended = (datetime.datetime.fromisoformat(found["status"][field]) for field in ("startedAt", "finishedAt"))
        calls, writes = self.meter.aws(), self.meter.kubernetes()
        what = f"a run on {len(NODES)} nodes that takes {(ended - began).total_seconds():.0f} s"
        yield f"AWS calls for {what}", f"{sum(calls.values())}: {counted(calls)}", ""
        yield "writes to the API server for it", f"{sum(writes.values())}: {counted(writes)}", ""

    def comparison(self) -> Iterable[Row]:
        """One look at whether one workflow's objects are still as declared."""
        self.product.stop()
        self.meter.clear()
        self.product.start(environment={"WINDLASS_DRIFT_INTERVAL": "2m"})
        look = "stepfunctions:DescribeStateMachine"
        waiting.until(lambda: self.meter.aws()[look], 60, "the workflow to be compared with AWS")
        self.product.stop()
        calls = Counter({name: count for name, count in self.meter.aws().items() if not name.startswith("sts:")})
        looks = calls[look]
        once = {name: count // looks for name, count in calls.items()}
        yield "AWS calls to compare one workflow with AWS (each `driftInterval`)", f"{sum(once.values())}: {counted(once)}", "the cheapest reads"

    def memory(self, workflows: int) -> Iterable[Row]:
        """Resident memory of a controller that has started, found everything in sync, and has nothing to do."""
        self.product.stop()
        self.product.start()
        self.meter.settle()
        noun = "workflow" if workflows == 1 else "workflows"
        yield f"resident memory at rest, {workflows} {noun}", f"{resident(self.pid()):.1f} MB", ""

    def restart(self) -> Iterable[Row]:
        """A start that finds everything as it was left, until it is at rest."""
        self.product.stop()
        self.meter.clear()
        self.product.start()
        self.meter.settle()
        calls, writes = self.meter.aws(), self.meter.kubernetes()
        changing = sum(count for name, count in calls.items() if not is_read(name))
        yield f"AWS calls at a start with {WORKFLOWS} workflows in sync", f"{sum(calls.values())}: {counted(calls)}", "no read per workflow"
        yield "writes to AWS among them", str(changing), "0"
        yield "writes to the API server at that start", f"{sum(writes.values())}: {counted(writes)}", "0"

    def many(self) -> None:
        """Makes the workflows up to WORKFLOWS."""
        names = [f"more-{number:02}" for number in range(1, WORKFLOWS)]
        self.product.apply(*(workflow(name) for name in names))
        for name in names:
            self.product.until("wwf", name, "ops", is_ready, "to be Ready", timeout=300)

    def all(self) -> Iterable[Row]:
        """Everything."""
        yield from self.size()
        self.install()
        yield from self.creation()
        yield from self.one_run("short", 2)
        yield from self.one_run("long", 120)
        yield from self.comparison()
        yield from self.memory(1)
        self.many()
        yield from self.restart()
        yield from self.memory(WORKFLOWS)
        self.product.stop()


def machine() -> str:
    """What the figures were measured on."""
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), {platform.system()}"


def main() -> None:
    """Measures and prints."""
    argparse.ArgumentParser(prog="testbed.figures", description=__doc__).parse_args()
    print(f"Measured {datetime.date.today().isoformat()} on {machine()}.\n")
    print("| what | figure | goal |\n|---|---|---|", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="windlass-figures-") as directory,
        Bed.up(Path(directory), time_factor=TIME_FACTOR, crds=tools.REPOSITORY / "crds", end_with_parent=True) as bed,
    ):
        for what, figure, goal in Figures(bed).all():
            print(f"| {what} | {figure} | {goal} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
