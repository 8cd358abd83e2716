"""AWS's token buckets, reads that lag behind writes, schedules of EventBridge on virtual time."""

import json
from datetime import UTC, datetime

import pytest

from aws_bench import PATIENCE, Bench, allow, bench, machine, machine_arn, policy, refused  # noqa: F401
from testbed.aws import ACCOUNT_ID, REGION
from testbed.aws.buckets import Bucket, published
from testbed.aws.client import ControlError
from testbed.aws.patches.schedules import following
from testbed.waiting import until

PASS = {"Type": "Pass", "End": True}


# --- buckets --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "large", "other"),
    [
        ("StartExecution", (1300, 300), (800, 150)),
        ("DescribeExecution", (300, 15), (250, 10)),
        ("ListExecutions", (200, 5), (100, 2)),
        ("GetExecutionHistory", (400, 20), (400, 20)),
        ("StopExecution", (1000, 200), (500, 25)),
        ("SendTaskSuccess", (3000, 500), (1500, 300)),
        ("CreateStateMachine", (100, 1), (100, 1)),
        ("ListTagsForResource", (100, 1), (100, 1)),
        ("TagResource", (200, 1), (200, 1)),
    ],
)
def test_the_figures_are_awss(operation: str, large: tuple, other: tuple):
    assert published("eu-west-1")[f"stepfunctions:{operation}"] == large
    assert published("eu-central-1")[f"stepfunctions:{operation}"] == other


def test_a_bucket_refills_up_to_its_size():
    bucket = Bucket(2, 0)
    assert [bucket.take((2, 1), 0) for _ in range(3)] == [True, True, False]
    assert bucket.take((2, 1), 1)
    assert not bucket.take((2, 1), 1)
    assert [bucket.take((2, 1), 100) for _ in range(3)] == [True, True, False]


def lister(bench: Bench):
    """Somebody who may ask Step Functions anything."""
    return bench.client("stepfunctions", bench.session("app", allow("states:*")))


def test_what_would_have_been_throttled_is_counted(bench: Bench):
    bench.control.buckets(limits={"stepfunctions:ListStateMachines": [2, 0.001]})
    states = lister(bench)
    for _ in range(5):
        states.list_state_machines()
    row = {"account": ACCOUNT_ID, "region": REGION, "service": "stepfunctions", "operation": "ListStateMachines", "count": 3}
    assert bench.control.buckets()["missed"] == [row]
    bench.sfn.list_state_machines()  # the root user takes no token
    assert bench.control.buckets()["missed"] == [row]


def test_on_request_it_is_throttled(bench: Bench):
    bench.control.buckets(mode="throttle", limits={"stepfunctions:ListStateMachines": [2, 0.05]})
    states = lister(bench)
    states.list_state_machines()
    states.list_state_machines()
    with refused("ThrottlingException", "Rate exceeded"):
        states.list_state_machines()
    assert bench.control.count("stepfunctions", "ListStateMachines", "ThrottlingException") == 1
    states.list_activities()  # another API has a bucket of its own
    until(states.list_state_machines, PATIENCE, "a token", ignoring=(states.exceptions.ClientError,))


def test_a_state_machines_calls_take_tokens(bench: Bench):
    bench.control.buckets(mode="throttle", limits={"ssm:ListCommands": [1, 0.001]})
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ssm:listCommands", "Arguments": {}}
    done = bench.run({"A": {**task, "Next": "B"}, "B": {**task, "End": True}}, bench.role("exec", allow("ssm:*")))
    assert (done["status"], done["error"]) == ("FAILED", "Ssm.SsmException")
    assert done["cause"].startswith("Rate exceeded")


def test_a_reset_fills_the_buckets(bench: Bench):
    bench.control.buckets(mode="throttle", limits={"stepfunctions:ListStateMachines": [1, 0.001]})
    bench.control.reset()
    assert bench.control.buckets() == {"mode": "count", "limits": {}, "missed": []}


@pytest.mark.parametrize("change", [{"mode": "sometimes"}, {"limits": {"ListCommands": [1, 1]}}, {"limits": {"ssm:ListCommands": [1]}}])
def test_what_is_no_bucket_is_refused(bench: Bench, change: dict):
    with pytest.raises(ControlError) as caught:
        bench.control.buckets(**change)
    assert caught.value.status == 400


# --- lags -----------------------------------------------------------------------------------------------------------------------------


def test_a_read_that_lags_answers_what_it_answered_before_the_write(bench: Bench):
    arn = bench.machine("flow", machine({"A": PASS}))["stateMachineArn"]
    bench.control.lag("sfn", "DescribeStateMachine", 120)

    def first() -> str:
        return json.loads(bench.sfn.describe_state_machine(stateMachineArn=arn)["definition"])["StartAt"]

    assert first() == "A"
    bench.sfn.update_state_machine(stateMachineArn=arn, definition=json.dumps(machine({"B": PASS})))
    assert first() == "A"
    assert bench.sfn.list_state_machines()["stateMachines"][0]["name"] == "flow"  # other reads do not lag
    until(lambda: first() == "B", PATIENCE, "the update was seen")


def test_what_was_never_read_does_not_exist_yet(bench: Bench):
    bench.control.lag("stepfunctions", "DescribeStateMachine", 120)
    bench.control.lag("iam", "GetRole", 120)
    arn = bench.machine("flow", machine({"A": PASS}))["stateMachineArn"]
    with refused("StateMachineDoesNotExist"):
        bench.sfn.describe_state_machine(stateMachineArn=arn)
    with refused("NoSuchEntity"):
        bench.iam.get_role(RoleName="flow-role")
    until(lambda: bench.sfn.describe_state_machine(stateMachineArn=arn), PATIENCE, "it", ignoring=(bench.sfn.exceptions.StateMachineDoesNotExist,))
    bench.control.lag("iam", "GetRole", 0)
    bench.iam.get_role(RoleName="flow-role")


def test_a_write_cannot_lag(bench: Bench):
    with pytest.raises(ControlError) as caught:
        bench.control.lag("iam", "CreateRole", 5)
    assert caught.value.status == 400


# --- schedules ------------------------------------------------------------------------------------------------------------------------


def at(text: str) -> float:
    """An instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        ("rate(5 minutes)", "2026-11-24T10:01:00", "2026-11-24T10:06:00"),
        ("rate(1 day)", "2026-11-24T10:01:00", "2026-11-25T10:01:00"),
        ("cron(0 2 * * ? *)", "2026-11-24T10:00:00", "2026-11-25T02:00:00"),
        ("cron(15 10 ? * 6L *)", "2026-11-01T00:00:00", "2026-11-27T10:15:00"),
        ("cron(0 8 1 * ? 2027)", "2026-11-24T10:00:00", "2027-01-01T08:00:00"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-27T19:00:00", "2026-11-30T18:00:00"),
        ("cron(0 9 ? * 3#2 *)", "2026-11-01T00:00:00", "2026-11-10T09:00:00"),
    ],
)
def test_schedules_are_read_as_eventbridge_reads_them(expression: str, after: str, due: str):
    assert following(expression, at(after)) == at(due)


def test_a_scheduled_rule_fires_on_virtual_time(bench: Bench):
    queue = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:inbox"
    rule = bench.events.put_rule(Name="tick", ScheduleExpression="rate(1 minute)")["RuleArn"]
    open_to = allow("sqs:SendMessage", arn, ArnEquals={"aws:SourceArn": rule}) | {"Principal": {"Service": "events.amazonaws.com"}}
    bench.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy(open_to))})
    bench.events.put_targets(Rule="tick", Targets=[{"Id": "inbox", "Arn": arn}])
    events: list[dict] = []

    def three() -> bool:
        events.extend(json.loads(message["Body"]) for message in bench.sqs.receive_message(QueueUrl=queue).get("Messages", []))
        return len(events) >= 3

    until(three, PATIENCE, "three virtual minutes")
    assert {(event["source"], event["detail-type"], tuple(event["resources"])) for event in events} == {("aws.events", "Scheduled Event", (rule,))}
    with refused("ValidationException", "ScheduleExpression is not valid"):
        bench.events.put_rule(Name="bad", ScheduleExpression="cron(0 2 * * *)")
