"""Half of the events lost at random: what stands behind them finds every end all the same."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conftest import NAMESPACE, TIME_FACTOR, World, path_of

from testbed import waiting
from testbed.bed import Bed
from testbed.product import FINAL, Product, condition

QUEUE = "windlass_demo__prod"


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with Bed.up(tmp_path_factory.mktemp("bed"), time_factor=TIME_FACTOR, crds=path_of("crds"), end_with_parent=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def installed(bed: Bed) -> Iterator[Product]:
    values = {"leaderElection": {"leaseDuration": "6s"}, "pollInterval": "30s", "repairInterval": "2m"}
    product = Product(bed, values=values)
    product.install(namespaces=(NAMESPACE,))
    product.apply(product.account())
    product.start()
    product.until("awsacct", "prod", None, lambda found: condition(found, "InboxReady") == "True", "to listen")
    yield product
    product.stop()


@contextmanager
def thief(bed: Bed) -> Iterator[list[str]]:
    """Receives from the queue beside the controller, and deletes what it gets: which of the two a message goes to is chance."""
    sqs = bed.boto3("sqs")
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    stolen: list[str] = []
    stop = threading.Event()

    def steal() -> None:
        while not stop.is_set():
            for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, MaxNumberOfMessages=1).get("Messages", []):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                if '"RUNNING"' not in message["Body"]:
                    stolen.append(message["Body"])

    threads = [threading.Thread(target=steal) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield stolen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


STEPS = {
    "good": [{"name": "rest", "wait": {"for": "40s"}}, {"name": "done", "pass": {}}],
    "bad": [{"name": "rest", "wait": {"for": "40s"}}, {"name": "broken", "fail": {"error": "Broken", "cause": "as it should"}}],
}
EXPECTED = {"good": "Succeeded", "bad": "Failed"}


def story(world: World, count: int, restarts: int) -> None:
    """So many runs at once, of two workflows; the controller is killed so many times meanwhile."""
    product = world.product
    names = {kind: world.name(kind) for kind in STEPS}
    for kind, steps in STEPS.items():
        world.deploy(world.workflow(names[kind], steps))
    with thief(world.bed) as stolen:
        runs = {f"{names[kind]}-{n}": kind for n, kind in zip(range(count), itertools.cycle(STEPS), strict=False)}
        product.apply(*(world.run(names[kind], name) for name, kind in runs.items()))

        def phases() -> dict[str, str]:
            items = world.bed.admin.request("GET", f"/apis/windlass.dev/v1alpha1/namespaces/{NAMESPACE}/workflowruns")["items"]
            return {item["metadata"]["name"]: item.get("status", {}).get("phase", "") for item in items if item["metadata"]["name"] in runs}

        for restart in range(1, restarts + 1):
            ended = count * restart // (restarts + 1)
            waiting.until(lambda ended=ended: sum(phase in FINAL for phase in phases().values()) >= ended, 240, f"{ended} runs ended")
            product.kill()
            product.start()
        waiting.until(lambda: all(phase in FINAL for phase in phases().values()), 240, "all runs ended")
        assert phases() == {name: EXPECTED[kind] for name, kind in runs.items()}
    assert stolen, "no event was lost, so nothing was shown"
    states = world.bed.boto3("stepfunctions")
    for kind, name in names.items():
        arn = product.get("wwf", name, NAMESPACE)["status"]["stateMachineArn"]
        pages = states.get_paginator("list_executions").paginate(stateMachineArn=arn)
        found = [item for page in pages for item in page["executions"]]
        assert sorted(item["name"] for item in found) == sorted(f"demo_{NAMESPACE}_{run}" for run in runs if runs[run] == kind), "once each"
        assert {item["status"] for item in found} == {"SUCCEEDED" if kind == "good" else "FAILED"}


def test_lost_events_are_made_up_for(world: World) -> None:
    story(world, count=8, restarts=0)


@pytest.mark.matrix
def test_a_hundred_runs_and_two_deaths(world: World) -> None:
    story(world, count=100, restarts=2)


def test_without_an_inbox_runs_are_polled(world: World) -> None:
    """Disabled: queue and rule go, the condition says how runs are followed, and they are. Managed again: they come back."""
    product = world.product

    def inbox(mode: str, reason: str) -> dict:
        product.kubectl("patch", "awsacct", "prod", "--type=merge", "-p", f'{{"spec":{{"inbox":{{"mode":"{mode}"}}}}}}')
        return product.until("awsacct", "prod", None, lambda found: condition(found, "InboxReady", "reason") == reason, f"to be {reason}")

    account = inbox("Disabled", "Disabled")
    assert condition(account, "Ready") == "True" and "ownedObjects" not in account["status"]
    assert condition(account, "InboxReady", "message") == (
        "spec.inbox.mode is Disabled: runs are followed by polling, every 30 s at first and ever more seldom, and no step can wait for an answer"
    )
    assert QUEUE not in str(world.bed.boto3("sqs").list_queues().get("QueueUrls"))
    assert not world.bed.boto3("events").list_rules()["Rules"]
    name = world.name("polled")
    world.deploy(world.workflow(name, STEPS["good"]))
    assert world.finish(world.run(name))["phase"] == "Succeeded"
    inbox("Managed", "Receiving")
