"""The inbox: status of runs by events, and what stands behind them when events are lost."""

import base64
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
    values = {"leaderElection": {"leaseDuration": "6s"}, "pollInterval": NEVER, "repairInterval": NEVER, "driftInterval": "2m"}
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


# -- started past Windlass ---------------------------------------------------------------------------------------------------------------


def test_executions_that_others_start_are_counted_and_listed(world: World) -> None:
    product, states = world.product, world.bed.boto3("stepfunctions")
    name = world.name("elsewhere")
    (node,) = world.nodes(1)
    arn = world.deploy(world.workflow(name))["status"]["stateMachineArn"]

    def elsewhere(count: int, last: dict[str, str]) -> dict:
        def met(found: dict) -> bool:
            told = found.get("status", {}).get("startedElsewhere", {})
            return told.get("count") == count and {item["name"]: item["status"] for item in told["last"]} == last

        return product.until("wwf", name, NAMESPACE, met, f"to show {last}")

    states.start_execution(stateMachineArn=arn, name="by-hand-1", input="{}")
    elsewhere(1, {"by-hand-1": "SUCCEEDED"})
    world.rule(node, exitCode=5)
    states.start_execution(stateMachineArn=arn, name="by-hand-2", input="{}")
    elsewhere(2, {"by-hand-1": "SUCCEEDED", "by-hand-2": "FAILED"})
    assert world.finish(world.run(name))["phase"] == "Failed", "a run is none of them"
    # The workflow's own reconciliation leaves the field alone.
    edited = world.workflow(name, [{"name": "work", "powershell": {"script": "Get-Process\n"}}])
    product.apply(edited)
    product.until("wwf", name, NAMESPACE, lambda found: found.get("status", {}).get("version") == 2, "to be edited")
    elsewhere(2, {"by-hand-1": "SUCCEEDED", "by-hand-2": "FAILED"})


# -- task tokens -------------------------------------------------------------------------------------------------------------------------


class Asking:
    """A state machine of this cluster that asks through the inbox and waits, until steps do."""

    def __init__(self, world: World) -> None:
        self.world, self.bed = world, world.bed
        self.name = f"windlass_demo_{NAMESPACE}_{world.name('asking')}"
        iam, self.states = self.bed.boto3("iam"), self.bed.boto3("stepfunctions")
        machine = f"arn:aws:states:eu-west-1:111122223333:stateMachine:{self.name}"
        trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = iam.create_role(
            RoleName=self.name, Path="/windlass/demo/", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": f"arn:aws:sqs:eu-west-1:111122223333:{QUEUE}"}
        iam.put_role_policy(RoleName=self.name, PolicyName="send", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [send]}))
        message = {
            "Purpose": "Pause", "Step": "drain", "Run": "{% $states.input.run %}", "Execution": "{% $states.input.execution %}",
            "TaskToken": "{% $states.context.Task.Token %}",
        }  # fmt: skip
        task = {
            "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "TimeoutSeconds": 864_000, "End": True,
            "Arguments": {"QueueUrl": f"https://sqs.eu-west-1.amazonaws.com/111122223333/{QUEUE}", "MessageBody": message},
        }  # fmt: skip
        definition = {"QueryLanguage": "JSONata", "StartAt": "Ask", "States": {"Ask": task}}
        made = self.states.create_state_machine(name=self.name, roleArn=role, definition=json.dumps(definition))
        self.arn = made["stateMachineArn"]
        assert self.arn == machine

    def ask(self, name: str, run: dict, execution: str) -> str:
        """Starts an execution whose message says that it is that run's and that execution's."""
        told = {"run": run, "execution": execution}
        return self.states.start_execution(stateMachineArn=self.arn, name=name, input=json.dumps(told))["executionArn"]

    def secrets(self) -> list[dict]:
        """The Secrets with tokens."""
        found = self.bed.admin.request("GET", "/api/v1/namespaces/windlass-system/secrets")["items"]
        return [item for item in found if item["type"] == "windlass.dev/task-token"]


def test_a_token_is_kept_once_and_goes_with_its_run(world: World) -> None:
    product = world.product
    name = world.name("waits")
    (node,) = world.nodes(1)
    world.rule(node, duration=36_000_000)
    world.deploy(world.workflow(name))
    manifest = world.run(name)
    run = world.start(manifest)
    asking = Asking(world)
    identity = {"uid": run["metadata"]["uid"], "namespace": NAMESPACE, "name": manifest["metadata"]["name"]}
    # The message cannot be deleted at first, so it is received twice.
    fault = world.bed.control.fault("ErrorBefore", "sqs", "DeleteMessageBatch", count=-1)
    before = messages(product)
    asking.ask("demo_ops_asking", identity, run["status"]["executionArn"])
    counted(product, before, "token/Kept")
    counted(product, before, "token/Known")
    world.bed.control.clear_faults(fault)
    (secret,) = asking.secrets()
    assert secret["metadata"]["labels"]["windlass.dev/run-uid"] == identity["uid"]
    assert secret["metadata"]["labels"]["windlass.dev/purpose"] == "Pause"
    assert secret["metadata"]["annotations"]["windlass.dev/step"] == "drain" and secret["immutable"] is True
    token = base64.b64decode(secret["data"]["token"]).decode()
    assert token not in product.process.last_lines(10_000) and token not in json.dumps(product.get("wrun", identity["name"], NAMESPACE))
    empty(product)
    product.kubectl("patch", "wrun", identity["name"], "-n", NAMESPACE, "--type=merge", "-p", '{"spec":{"desiredState":"Cancelled"}}')
    world.until_run(manifest, has_ended, "to end")
    # At the next comparison of the account.
    waiting.until(lambda: not asking.secrets(), 60, "the token is deleted")


@pytest.mark.parametrize("whose", ["nobody's", "another run's", "another execution's"])
def test_nobody_answers_for_an_execution_without_its_run(world: World, whose: str) -> None:
    """A forged or foreign question is refused at once: the step fails, and no Secret is made."""
    name = world.name("forged")
    (node,) = world.nodes(1)
    world.rule(node, duration=36_000_000)
    world.deploy(world.workflow(name))
    manifest = world.run(name)
    run = world.start(manifest)
    asking = Asking(world)
    identity = {"uid": run["metadata"]["uid"], "namespace": NAMESPACE, "name": manifest["metadata"]["name"]}
    execution = run["status"]["executionArn"]
    asked = {
        "nobody's": ({"uid": None, "namespace": None, "name": "x"}, execution),
        "another run's": ({**identity, "uid": "00000000-0000-0000-0000-000000000000"}, execution),
        "another execution's": (identity, "arn:aws:states:eu-west-1:111122223333:execution:other:x"),
    }[whose]
    arn = asking.ask(f"demo_ops_{world.name('forged')}", *asked)
    ended = lambda: asking.states.describe_execution(executionArn=arn)  # noqa: E731
    waiting.until(lambda: ended()["status"] == "FAILED", 30, "the step is refused")
    assert ended()["error"] == "Windlass.Rejected" and "no WorkflowRun" in ended()["cause"]
    assert not [item for item in asking.secrets() if item["metadata"]["labels"]["windlass.dev/run-uid"] == identity["uid"]]
    world.delete("wrun", manifest["metadata"]["name"])
