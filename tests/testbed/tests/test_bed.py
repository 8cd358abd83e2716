"""Beds come up side by side, are found by other processes, and leave nothing: however they end."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import ports, state, tools, waiting
from testbed.bed import AlreadyUp, Bed, parse_factor
from testbed.processes import ProcessDied, marked, start

BED = tools.ROOT / "bed"
NODE = {"id": "i-0123456789abcdef0", "computerName": "WEB-01", "platform": "Windows", "ping": "Online", "tags": {"Role": "web"}}


def bed(verb: str, directory: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Runs the command."""
    done = subprocess.run([BED, verb, "--state", directory, *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done


def listeners(pids: set[int]) -> set[str]:
    """The addresses on which these processes listen for TCP, as /proc spells them (an IPv4 address is in reverse order)."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(descriptor))
            except FileNotFoundError:
                pass  # closed meanwhile
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def test_the_command_brings_a_bed_up_and_takes_it_down_without_a_trace(tmp_path: Path):
    directory = tmp_path / "bed"
    printed = bed("up", directory, "--time-factor", "30").stdout
    found = state.load(directory)
    assert found is not None
    assert found.clock.factor == 30
    for value in (found.kubernetes.kubeconfig, found.proxy, found.endpoint, found.control):
        assert str(value) in printed
    pids = set(marked(found.mark))
    assert {process.pid for process in found.processes} <= pids
    assert {process.name for process in found.processes} == {"etcd", "kube-apiserver", "kube-controller-manager", "kubeproxy", "aws"}
    assert listeners(pids) == {"0100007F"}, "something listens on more than 127.0.0.1"
    assert bed("status", directory).stdout.count(" running ") == 5
    assert "a bed is up" in bed("up", directory, check=False).stderr

    script = 'eval "$1"; kubectl get namespaces -o name; helm list --short; echo "$AWS_ENDPOINT_URL $WINDLASS_CLOCK_FACTOR"'
    exports = bed("env", directory).stdout
    used = subprocess.run(["bash", "-euc", script, "-", exports], capture_output=True, text=True, check=True).stdout
    assert "namespace/kube-system" in used
    assert f"{found.endpoint} 30.0" in used

    file = tmp_path / "nodes.json"
    file.write_text(json.dumps([NODE]))
    assert "WEB-01" in bed("nodes", directory, "--edit", str(file)).stdout
    assert [node["id"] for node in Bed.find(directory).control.nodes()] == [NODE["id"]]

    config = bed("kubeconfig", directory, "default/default").stdout.strip()
    kubectl = [tools.locate().kubectl, "--kubeconfig", config, "auth", "whoami", "-o", "name"]
    assert subprocess.run(kubectl, capture_output=True, check=False).returncode == 0
    assert "NotFound" in bed("kubeconfig", directory, "default/nobody", check=False).stderr

    bed("down", directory)
    assert list(marked(found.mark)) == []
    assert {entry.name for entry in directory.iterdir()} == {"lock", "logs"}
    assert bed("status", directory, check=False).returncode == 1
    bed("down", directory)


def interrupted(directory: Path, until: str) -> state.State:
    """A `bed up` that is killed once its state names that process."""
    command = [sys.executable, "-m", "testbed.cli", "up", "--no-aws", "--state", str(directory)]
    up = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(tools.ROOT)}, stdout=subprocess.DEVNULL)

    def reached() -> state.State | None:
        found = state.load(directory)
        return found if found and until in {process.name for process in found.processes} else None

    found = waiting.until(reached, 60, f"{until} to be started")
    up.kill()
    up.wait()
    return found


@pytest.mark.parametrize("until", ["etcd", "kube-apiserver", "kube-controller-manager"])
def test_down_cleans_up_after_an_up_that_was_killed(tmp_path: Path, until: str):
    found = interrupted(tmp_path / "bed", until)
    assert found.processes[0].pid in set(marked(found.mark))
    assert Bed.find(tmp_path / "bed") is None, "half a bed must not be taken for one"
    assert "never came up whole" in bed("status", tmp_path / "bed", check=False).stderr
    bed("down", tmp_path / "bed")
    assert list(marked(found.mark)) == []


def test_a_process_that_was_not_written_down_is_found_by_its_mark(tmp_path: Path):
    """The instant between a start and the note of it."""
    clock = state.Clock()
    unfinished = state.State(directory=tmp_path, mark=str(tmp_path), clock=clock)
    unfinished.save()
    sleep = start(
        "etcd", ["sleep", "300"], log=tmp_path / "logs/etcd.log", environment={}, mark=unfinished.mark, end_with_parent=True
    )
    assert list(marked(unfinished.mark)) == [sleep.pid]
    bed("down", tmp_path)
    assert not sleep.alive()


PARENT = """
import os, sys
from testbed.bed import Bed
bed = Bed.up(sys.argv[1], aws=False, end_with_parent=True)
print(bed.state.mark, flush=True)
sys.stdin.read()
"""


def test_a_bed_of_a_test_run_ends_with_it(tmp_path: Path):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "bed")],
        env={**os.environ, "PYTHONPATH": str(tools.ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    mark = parent.stdout.readline().strip()
    assert len(set(marked(mark)) - {parent.pid}) == 4
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    waiting.until(lambda: not list(marked(mark)), 10, "the bed to end with its parent")


CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.testbed.example}
spec:
  group: testbed.example
  scope: Cluster
  names: {plural: things, singular: thing, kind: Thing}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""


def test_two_beds_run_side_by_side(tmp_path: Path):
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds/things.yaml").write_text(CRD)
    with Bed.up(tmp_path / "one", aws=False, crds=tmp_path / "crds") as one, Bed.up(tmp_path / "two", aws=False) as two:
        assert one.admin.request("GET", "/apis/testbed.example/v1/things")["kind"] == "ThingList"
        one.admin.request("POST", "/api/v1/namespaces", {"metadata": {"name": "only-in-one"}})
        names = [{item["metadata"]["name"] for item in b.admin.request("GET", "/api/v1/namespaces")["items"]} for b in (one, two)]
        assert ["only-in-one" in found for found in names] == [True, False]
        with pytest.raises(AlreadyUp):
            Bed.up(tmp_path / "one", aws=False)
        two.down()
        assert one.admin.healthy("/readyz")


def test_a_process_that_dies_early_says_why(tmp_path: Path):
    process = start(
        "etcd", ["sh", "-c", "echo no disk; exit 1"], log=tmp_path / "log", environment={}, mark=str(tmp_path), end_with_parent=True
    )
    with pytest.raises(ProcessDied, match="etcd ended before it was ready; its log says:\nno disk"):
        process.until(lambda: False, 10, "it was ready")


def test_a_bed_whose_custom_resources_are_refused_is_taken_down_again(tmp_path: Path):
    (tmp_path / "crds.yaml").write_text(CRD.replace("scope: Cluster", "scope: Galaxy"))
    directory = tmp_path / "bed"
    refused = bed("up", directory, "--no-aws", "--crds", str(tmp_path / "crds.yaml"), check=False)
    assert (refused.returncode, "Galaxy" in refused.stderr) == (1, True)
    assert {entry.name for entry in directory.iterdir()} == {"lock", "logs"}


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("mine")
    refused = bed("up", tmp_path, "--no-aws", check=False)
    assert (refused.returncode, "thesis.txt" in refused.stderr) == (1, True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_ports_are_free_and_nobody_else_gets_them():
    first, second = ports.choose(20), ports.choose(20)
    assert len({*first, *second}) == 40
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", first[0]))


@pytest.mark.parametrize(("text", "factor"), [("1", 1), ("60", 60), ("60x", 60), ("2.5", 2.5)])
def test_a_time_factor_is_a_number(text: str, factor: float):
    assert parse_factor(text) == factor


@pytest.mark.parametrize("text", ["0.5", "0", "-3", "fast", ""])
def test_what_is_no_time_factor_is_refused(text: str):
    with pytest.raises(ValueError, match="no time factor"):
        parse_factor(text)


def test_waiting_says_what_it_waited_for_and_last_saw():
    answers = iter([0, 0, 7])
    assert waiting.until(lambda: next(answers), 5, "a number") == 7
    with pytest.raises(waiting.TimedOut, match=r"waited 0\.01 s for the moon; last seen: None"):
        waiting.until(lambda: None, 0.01, "the moon")
    with pytest.raises(KeyError):
        waiting.until(lambda: {}["a"], 5, "an error that nobody ignores")
    with pytest.raises(waiting.TimedOut, match="KeyError"):
        waiting.until(lambda: {}["a"], 0.01, "an ignored one", ignoring=(KeyError,))
