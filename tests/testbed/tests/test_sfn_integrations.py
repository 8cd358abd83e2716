"""What tasks wait for and call: task tokens with heartbeats and timeouts, queues, topics, buses, nested executions; and which errors a
Retry or Catch matches. Sources: docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html, …/concepts-error-handling.html,
…/connect-stepfunctions.html."""

import json

import pytest

from aws_bench import PATIENCE, Bench, allow, bench, execution_arn, machine, machine_arn, policy, refused  # noqa: F401
from testbed.aws import ACCOUNT_ID, REGION
from testbed.waiting import until

PASS = {"Type": "Pass", "End": True}
FOREVER = {"Type": "Wait", "Seconds": 86400, "End": True}
QUEUE_ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:inbox"


@pytest.fixture
def queue(bench: Bench) -> str:
    """A queue's URL."""
    return bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]


def ask(queue: str, **fields: object) -> dict:
    """A task that sends its token to a queue and waits for the answer; whatever it fails with becomes the output."""
    return {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Arguments": {"QueueUrl": queue, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
            "End": True,
            **fields,
        }
    }


def asked(bench: Bench, queue: str, **fields: object) -> tuple[str, str]:
    """An execution that has asked, and its token."""
    bench.machine("ask", machine({**ask(queue, **fields), "P": PASS} if "Catch" in fields else ask(queue, **fields)), sender(bench))
    execution = bench.start(machine_arn("ask"))
    (message,) = until(lambda: bench.sqs.receive_message(QueueUrl=queue).get("Messages"), PATIENCE, "the message")
    bench.reached(execution, "TaskSubmitted")
    return execution, json.loads(message["Body"])["token"]


def sender(bench: Bench) -> str:
    """A role that may send to the queue."""
    return bench.role("exec", allow("sqs:SendMessage", QUEUE_ARN))


def seconds(done: dict) -> float:
    """Virtual seconds that an execution took."""
    return (done["stopDate"] - done["startDate"]).total_seconds()


def caught(name: str) -> dict:
    """A Catch of one error, whose output is the error."""
    return {"Catch": [{"ErrorEquals": [name], "Output": "{% $states.errorOutput %}", "Next": "P"}]}


# --- task tokens ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["States.HeartbeatTimeout", "States.Timeout"])
def test_a_missed_heartbeat_is_caught_by_its_name_and_as_a_timeout(bench: Bench, queue: str, name: str):
    done = bench.run({**ask(queue, HeartbeatSeconds=60, TimeoutSeconds=86400, **caught(name)), "P": PASS}, sender(bench))
    assert json.loads(done["output"])["Error"] == "States.Timeout"
    assert "TaskTimedOut" in bench.types(done["executionArn"])


def test_a_missed_heartbeat_is_not_a_failed_task(bench: Bench, queue: str):
    done = bench.run({**ask(queue, HeartbeatSeconds=60, **caught("States.TaskFailed")), "P": PASS}, sender(bench))
    assert (done["status"], done["error"]) == ("FAILED", "States.Timeout")


def test_a_heartbeat_brings_no_timeout(bench: Bench, queue: str):
    done = bench.run(ask(queue, HeartbeatSeconds=90), sender(bench))
    assert seconds(done) >= 90


def test_heartbeats_keep_a_task_alive_but_not_past_its_timeout(bench: Bench, queue: str):
    execution, token = asked(bench, queue, HeartbeatSeconds=100, TimeoutSeconds=240)
    beats = 0

    def ended() -> bool:
        nonlocal beats
        try:
            bench.sfn.send_task_heartbeat(taskToken=token)
            beats += 1
        except bench.sfn.exceptions.TaskTimedOut:
            return True
        return False

    until(ended, PATIENCE, "the timeout")
    done = bench.ended(execution)
    assert (done["status"], done["error"], beats > 2) == ("FAILED", "States.Timeout", True)
    assert seconds(done) >= 240


def test_a_timeout_closes_the_token(bench: Bench, queue: str):
    execution, token = asked(bench, queue, TimeoutSeconds=60)
    assert bench.ended(execution)["error"] == "States.Timeout"
    scheduled = next(event for event in bench.history(execution) if event["type"] == "TaskScheduled")["taskScheduledEventDetails"]
    assert (scheduled["resourceType"], scheduled["resource"]) == ("sqs", "sendMessage.waitForTaskToken")
    assert scheduled["timeoutInSeconds"] == 60
    for answer in (
        lambda: bench.sfn.send_task_success(taskToken=token, output="{}"),
        lambda: bench.sfn.send_task_failure(taskToken=token),
        lambda: bench.sfn.send_task_heartbeat(taskToken=token),
    ):
        with refused("TaskTimedOut"):
            answer()


def test_an_answer_must_be_json(bench: Bench, queue: str):
    execution, token = asked(bench, queue)
    with refused("InvalidOutput"):
        bench.sfn.send_task_success(taskToken=token, output="approved")
    bench.sfn.send_task_success(taskToken=token, output='"approved"')
    assert bench.ended(execution)["output"] == '"approved"'


def test_a_childs_token_is_answered_and_its_sibling_goes_on(bench: Bench, queue: str):
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "Ask", "States": ask(queue)}
    role = bench.role("exec", allow("sqs:SendMessage"), allow("states:StartExecution"))
    bench.machine("flow", machine({"Map": {"Type": "Map", "Items": [1, 2], "ItemProcessor": processor, "End": True}}), role)
    execution = bench.start(machine_arn("flow"))
    tokens: list[str] = []

    def both() -> bool:
        tokens.extend(json.loads(message["Body"])["token"] for message in bench.sqs.receive_message(QueueUrl=queue).get("Messages", []))
        return len(tokens) == 2

    until(both, PATIENCE, "two tokens")
    bench.sfn.send_task_success(taskToken=tokens[0], output="1")
    run = bench.sfn.list_map_runs(executionArn=execution)["mapRuns"][0]["mapRunArn"]
    until(lambda: bench.sfn.describe_map_run(mapRunArn=run)["itemCounts"]["succeeded"] == 1, PATIENCE, "one child ended")
    assert bench.sfn.describe_map_run(mapRunArn=run)["itemCounts"]["running"] == 1
    bench.sfn.send_task_success(taskToken=tokens[1], output="1")
    assert bench.ended(execution)["output"] == "[1,1]"


# --- what is matched ------------------------------------------------------------------------------------------------------------------

LARGE = PASS | {"QueryLanguage": "JSONata", "Output": "{% $join($map([1..300], function($i) { $pad('x', 1000) }), '') %}"}

PATHLESS = {"Type": "Pass", "InputPath": "$.missing", "End": True}


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"Type": "Parallel", "Branches": [{"StartAt": "L", "States": {"L": LARGE}}]}, "States.DataLimitExceeded"),
        ({"Type": "Parallel", "Branches": [{"StartAt": "R", "States": {"R": PATHLESS}}]}, "States.Runtime"),
    ],
)
def test_no_wildcard_matches_a_terminal_error(bench: Bench, state: dict, error: str):
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "P"}]
    definition = {"StartAt": "S", "States": {"S": state | {"Next": "P", "Catch": catch}, "P": PASS}}
    done = bench.ended(bench.start(bench.machine("flow", definition)["stateMachineArn"]))
    assert (done["status"], done["error"]) == ("FAILED", error)


def test_a_branchs_timeout_is_not_a_failed_task(bench: Bench, queue: str):
    branch = {"StartAt": "Ask", "States": ask(queue, TimeoutSeconds=30)}
    state = {"Type": "Parallel", "Branches": [branch], "Next": "P"}
    role = sender(bench)
    done = bench.run({"S": state | caught("States.TaskFailed"), "P": PASS}, role)
    assert (done["status"], done["error"]) == ("FAILED", "States.Timeout")
    done = bench.run({"S": state | caught("States.Timeout"), "P": PASS}, role, name="caught")
    assert json.loads(done["output"])["Error"] == "States.Timeout"


# --- optimised integrations -----------------------------------------------------------------------------------------------------------


def publishing(topic: str) -> dict:
    """A machine of one task that publishes to a topic."""
    arguments = {"TopicArn": topic, "Message": {"from": topic}}
    return {"T": {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Arguments": arguments, "End": True}}


def test_a_topic_brings_what_a_state_publishes_to_a_queue_that_lets_it_in(bench: Bench, queue: str):
    sns = bench.client("sns")
    stranger, trusted = (sns.create_topic(Name=name)["TopicArn"] for name in ("stranger", "trusted"))
    for topic in (stranger, trusted):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE_ARN, Attributes={"RawMessageDelivery": "true"})
    open_to = allow("sqs:SendMessage", QUEUE_ARN, ArnEquals={"aws:SourceArn": trusted}) | {"Principal": {"Service": "sns.amazonaws.com"}}
    bench.sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy(open_to))})
    role = bench.role("exec", allow("sns:Publish"))
    for number, topic in enumerate((stranger, trusted, trusted)):
        assert set(json.loads(bench.run(publishing(topic), role, name=f"flow-{number}")["output"])) == {"MessageId"}
    bodies: list[dict] = []

    def two_came() -> bool:
        bodies.extend(json.loads(message["Body"]) for message in bench.sqs.receive_message(QueueUrl=queue).get("Messages", []))
        return len(bodies) >= 2

    until(two_came, PATIENCE, "two messages")
    assert bodies == [{"from": trusted}] * 2


def test_publishing_needs_the_right(bench: Bench):
    topic = bench.client("sns").create_topic(Name="news")["TopicArn"]
    done = bench.run(publishing(topic), bench.role("exec", allow("sns:Publish", topic + "-other")))
    assert done["error"] == "SNS.AuthorizationErrorException"
    assert f"is not authorized to perform: sns:Publish on resource: {topic}" in done["cause"]


def test_a_state_puts_events(bench: Bench):
    put = {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {"Entries": [{"Source": "bed", "DetailType": "x", "Detail": {"a": 1}}]},
        "End": True,
    }
    bus = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/default"
    done = bench.run({"T": put}, bench.role("stranger"), name="refused")
    assert done["error"] == "EventBridge.AmazonEventBridgeException"
    assert f"is not authorized to perform: events:PutEvents on resource: {bus}" in done["cause"]
    assert json.loads(bench.run({"T": put}, bench.role("exec", allow("events:PutEvents", bus)))["output"])["FailedEntryCount"] == 0


# --- nested executions ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def nested(bench: Bench) -> dict:
    """A task that awaits an execution `child:run`, which waits for ever; and a role that may do that."""
    bench.machine("child", machine({"W": FOREVER}))
    rule = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    bench.role(
        "parent",
        allow("states:StartExecution", machine_arn("child")),
        allow(["states:DescribeExecution", "states:StopExecution"], execution_arn("child", "*")),
        allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], rule),
    )
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": {"StateMachineArn": machine_arn("child"), "Name": "run"},
        "End": True,
    }


PARENT = f"arn:aws:iam::{ACCOUNT_ID}:role/parent"


def child_is(bench: Bench, status: str) -> bool:
    """Whether the child has this status; false before it exists."""
    try:
        return bench.sfn.describe_execution(executionArn=execution_arn("child"))["status"] == status
    except bench.sfn.exceptions.ExecutionDoesNotExist:
        return False


def test_a_stopped_parent_stops_its_child(bench: Bench, nested: dict):
    bench.machine("flow", machine({"T": nested}), PARENT)
    execution = bench.start(machine_arn("flow"))
    until(lambda: child_is(bench, "RUNNING"), PATIENCE, "the child")
    bench.reached(execution, "TaskSubmitted")
    bench.sfn.stop_execution(executionArn=execution)
    until(lambda: child_is(bench, "ABORTED"), PATIENCE, "the child was stopped")


def test_a_failing_branch_stops_the_siblings_child(bench: Bench, nested: dict):
    fail = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "Next": "F"}, "F": {"Type": "Fail", "Error": "No"}}}
    branches = [{"StartAt": "T", "States": {"T": nested}}, fail]
    assert bench.run({"P": {"Type": "Parallel", "Branches": branches, "End": True}}, PARENT)["error"] == "No"
    until(lambda: child_is(bench, "ABORTED"), PATIENCE, "the child was stopped")


def test_a_role_that_may_not_stop_leaves_the_child_alone(bench: Bench, nested: dict):
    document = bench.iam.get_role_policy(RoleName="parent", PolicyName="inline")["PolicyDocument"]
    document["Statement"][1]["Action"] = "states:DescribeExecution"
    bench.iam.put_role_policy(RoleName="parent", PolicyName="inline", PolicyDocument=json.dumps(document))
    bench.machine("flow", machine({"T": nested}), PARENT)
    execution = bench.start(machine_arn("flow"))
    until(lambda: child_is(bench, "RUNNING"), PATIENCE, "the child")
    bench.reached(execution, "TaskSubmitted")
    bench.sfn.stop_execution(executionArn=execution)
    until(lambda: bench.control.count("stepfunctions", "StopExecution", "AccessDeniedException") == 1, PATIENCE, "the attempt")
    assert child_is(bench, "RUNNING")


def test_a_failed_child_is_the_tasks_failure_with_its_description(bench: Bench, nested: dict):
    bench.sfn.update_state_machine(
        stateMachineArn=machine_arn("child"), definition=json.dumps(machine({"F": {"Type": "Fail", "Error": "No", "Cause": "because"}}))
    )
    done = bench.run({"T": nested}, PARENT)
    assert done["error"] == "States.TaskFailed"
    cause = json.loads(done["cause"])
    assert (cause["Status"], cause["Error"], cause["Cause"], cause["ExecutionArn"]) == ("FAILED", "No", "because", execution_arn("child"))


# --- variables ------------------------------------------------------------------------------------------------------------------------


def test_output_and_assign_read_what_was_there_when_the_state_was_entered(bench: Bench):
    states = {
        "A": {"Type": "Pass", "Assign": {"x": 1, "y": 10}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"x": "{% $y %}", "y": "{% $x %}"}, "Output": "{% [$x, $y] %}", "Next": "C"},
        "C": PASS | {"Output": "{% {'before': $states.input, 'after': [$x, $y]} %}"},
    }
    done = bench.run(states)
    assert json.loads(done["output"]) == {"before": [1, 10], "after": [10, 1]}
    exited = [event["stateExitedEventDetails"] for event in bench.history(done["executionArn"]) if event["type"] == "PassStateExited"]
    assert exited[1]["assignedVariables"] == {"x": "10", "y": "1"}
