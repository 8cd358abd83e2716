"""The inbox: status of runs by events, and what stands behind them when events are lost."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from conftest import NAMESPACE, TIME_FACTOR, World, path_of, show

from testbed import waiting
from testbed.bed import Bed
from testbed.product import Product, condition, has_ended

QUEUE = "windlass_demo__prod"
NEVER = "300d"
"""An interval that no test lives to see the end of: whatever happens before, an event made happen."""


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with Bed.up(tmp_path_factory.mktemp("bed"), time_factor=TIME_FACTOR, crds=path_of("crds"), end_with_parent=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def installed(bed: Bed) -> Iterator[Product]:
    """Windlass, which looks at no execution unless an event tells it to."""
    values = {"leaderElection": {"leaseDuration": "6s"}, "pollInterval": NEVER, "repairInterval": NEVER}
    product = Product(bed, values=values)
    product.install(namespaces=(NAMESPACE, "stranger"))
    product.apply(product.account())
    product.start()
    listening(product)
    yield product
    product.stop()


def listening(product: Product, account: str = "prod") -> dict:
    """Waits until status events arrive."""
    return product.until("awsacct", account, None, lambda found: condition(found, "InboxReady") == "True", "to listen")


def url(product: Product) -> str:
    return product.bed.boto3("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"]


def messages(product: Product) -> Counter:
    """How many messages were acted upon, by kind and outcome."""
    found: Counter = Counter()
    for line in product.metrics().splitlines():
        if line.startswith("windlass_inbox_messages_total{"):
            labels = dict(item.split("=") for item in line[line.index("{") + 1 : line.index("}")].replace('"', "").split(","))
            found[f"{labels['kind']}/{labels['outcome']}"] += int(float(line.rsplit(" ", 1)[1]))
    return found


def calls(bed: Bed, role: str = "windlass-controller") -> Counter:
    """Calls of the controller since the counts were reset, by operation."""
    return Counter({f"{row['service']}:{row['operation']}": row["count"] for row in bed.control.calls() if role in row["caller"]})


def test_the_account_owns_queue_and_rule(world: World) -> None:
    product, sqs, events = world.product, world.bed.boto3("sqs"), world.bed.boto3("events")
    account = listening(product)
    assert condition(account, "Ready") == "True"
    assert condition(account, "InboxReady", "reason") == "Receiving"
    owned = {item["type"]: item for item in account["status"]["ownedObjects"]}
    assert {type_: item["name"] for type_, item in owned.items()} == {"AWS::SQS::Queue": QUEUE, "AWS::Events::Rule": QUEUE}
    attributes = sqs.get_queue_attributes(QueueUrl=url(product), AttributeNames=["All"])["Attributes"]
    assert attributes["SqsManagedSseEnabled"] == "true"
    assert (attributes["MessageRetentionPeriod"], attributes["VisibilityTimeout"]) == ("1209600", "30")
    tags = sqs.list_queue_tags(QueueUrl=url(product))["Tags"]
    assert tags["windlass.dev/cluster"] == "demo" and tags["windlass.dev/kind"] == "AwsAccount" and tags["CostCentre"] == "4711"
    assert events.describe_rule(Name=QUEUE)["State"] == "ENABLED"
    (target,) = events.list_targets_by_rule(Rule=QUEUE)["Targets"]
    assert target["Arn"] == owned["AWS::SQS::Queue"]["arn"]


def test_an_event_brings_the_end(world: World) -> None:
    """No poll: what is seen of the end was told."""
    name = world.name("told")
    world.nodes(1)
    world.deploy(world.workflow(name))
    world.bed.control.clear_calls()
    status = world.finish(world.run(name))
    assert status["phase"] == "Succeeded", show(status)
    made = calls(world.bed)
    assert (made["stepfunctions:StartExecution"], made["stepfunctions:GetExecutionHistory"]) == (1, 1), made
    assert made["stepfunctions:DescribeExecution"] == 0, made
    assert messages(world.product)["status/Woken"] >= 1


def test_a_failure_and_a_cancellation_are_told_too(world: World) -> None:
    name = world.name("badly")
    (node,) = world.nodes(1)
    world.rule(node, exitCode=3)
    world.deploy(world.workflow(name))
    assert world.finish(world.run(name))["phase"] == "Failed"
    world.rule(node, duration=36_000_000, exitCode=0)
    long = world.run(name)
    world.start(long)
    world.bed.boto3("stepfunctions").stop_execution(
        executionArn=next(item for item in world.executions(name) if item["status"] == "RUNNING")["executionArn"]
    )
    ended = world.until_run(long, has_ended, "to end")
    assert ended["status"]["phase"] == "Cancelled", show(ended["status"])


# -- what stands in the queue ------------------------------------------------------------------------------------------------------------


def counted(product: Product, before: Counter, what: str, count: int = 1) -> None:
    """Waits until so many more messages have had this end."""
    waiting.until(lambda: messages(product)[what] - before[what] >= count, 30, f"{count} more of {what}: {messages(product) - before}")


def test_garbage_foreign_and_double_messages_harm_nothing(world: World) -> None:
    """Each is counted and deleted; a run goes on among them."""
    product, sqs = world.product, world.bed.boto3("sqs")
    name = world.name("among")
    world.nodes(1)
    world.deploy(world.workflow(name))
    before = messages(product)
    machine = f"arn:aws:states:eu-west-1:111122223333:stateMachine:windlass_demo_{NAMESPACE}_{name}"
    run = world.run(name)

    def event(**fields: object) -> str:
        told = {
            "id": "1", "type": "Step Functions Execution Status Change", "time": "2026-11-24T19:00:00Z", "machine": machine,
            "execution": machine.replace("stateMachine", "execution") + ":x", "name": "x", "status": "SUCCEEDED", **fields,
        }  # fmt: skip
        return json.dumps(told)

    forged = event(name=f"demo_{NAMESPACE}_{run['metadata']['name']}")
    for body in (
        "not json", "[]", "{}", "x" * 200_000, event(machine=machine.replace("_demo_", "_other_")), event(name=f"demo_{NAMESPACE}_no-such-run"),
    ):  # fmt: skip
        sqs.send_message(QueueUrl=url(product), MessageBody=body)
    for what, count in {"unknown/NotJson": 2, "unknown/NotOurs": 2, "unknown/TooLarge": 0, "status/Foreign": 1, "status/NoRun": 1}.items():
        counted(product, before, what, min(count, 1))
    world.start(run)
    for _ in range(5):
        sqs.send_message(QueueUrl=url(product), MessageBody=forged)
    ended = world.until_run(run, has_ended, "to end")
    assert ended["status"]["phase"] == "Succeeded", "a forged event says nothing of how it ended"
    for _ in range(5):
        sqs.send_message(QueueUrl=url(product), MessageBody=forged)
    counted(product, before, "status/Known", 5)
    empty(product)


def empty(product: Product) -> None:
    """Waits until nothing is left in the queue."""
    sqs = product.bed.boto3("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def left() -> bool:
        found = sqs.get_queue_attributes(QueueUrl=url(product), AttributeNames=names)["Attributes"]
        return all(found[name] == "0" for name in names)

    waiting.until(left, 60, "the queue is empty")


def test_a_message_of_a_dead_controller_comes_again(world: World) -> None:
    """Killed between receive and delete: the run ends all the same, once, and the message goes."""
    product = world.product
    name = world.name("killed")
    (node,) = world.nodes(1)
    world.rule(node, duration=200)
    world.deploy(world.workflow(name))
    run = world.run(name)
    world.start(run)
    # Whatever is received from now on cannot be deleted, until the next controller comes.
    fault = world.bed.control.fault("ErrorBefore", "sqs", "DeleteMessageBatch", count=-1)
    ended = world.until_run(run, has_ended, "to end")
    product.kill()
    world.bed.control.clear_faults(fault)
    product.start()
    listening(product)
    empty(product)
    again = product.get("wrun", run["metadata"]["name"], NAMESPACE)
    assert again and again["status"] == ended["status"]
    assert len(world.executions(name)) == 1


def test_a_queue_that_somebody_deleted_comes_back(world: World) -> None:
    product, sqs = world.product, world.bed.boto3("sqs")
    sqs.delete_queue(QueueUrl=url(product))
    waiting.until(lambda: QUEUE in str(sqs.list_queues().get("QueueUrls")), 60, "the queue is made again")
    account = listening(product)
    assert condition(account, "Ready") == "True"
    name = world.name("after")
    world.nodes(1)
    world.deploy(world.workflow(name))
    assert world.finish(world.run(name))["phase"] == "Succeeded"
