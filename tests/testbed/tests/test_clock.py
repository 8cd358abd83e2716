"""Virtual time: one factor for every wait, timeout, interval and timestamp of the AWS endpoint."""

import datetime
import json
import time

import pytest

from aws_bench import PATIENCE, Bench, allow, bench, machine  # noqa: F401
from testbed.clock import Clock
from testbed.waiting import until

SLACK = 600.0
"""Virtual seconds (ten real ones) that a busy machine may be late; what does not follow the clock would be late by hours."""


def waited(events: list[dict], begin: str, end: str) -> float:
    """Virtual seconds between the first event of one type and the first of another."""
    at = {event["type"]: event["timestamp"].timestamp() for event in reversed(events)}
    return at[end] - at[begin]


def test_a_clock_runs_by_its_factor():
    clock = Clock(epoch=time.time(), factor=3600)
    assert clock.real(7200) == 2
    assert clock.until(clock.now() - 5) == 0
    assert 0 < clock.until(clock.now() + 3600) <= 1
    before = clock.now()
    until(lambda: clock.now() > before + 60, 1, "a virtual minute")


def test_a_factor_without_an_epoch_is_refused():
    with pytest.raises(ValueError, match="WINDLASS_CLOCK_EPOCH"):
        Clock.from_environment({"WINDLASS_CLOCK_FACTOR": "60"})
    assert Clock.from_environment({}).real(10) == 10
    assert Clock.from_environment({"WINDLASS_CLOCK_FACTOR": "60", "WINDLASS_CLOCK_EPOCH": "100.5"}) == Clock(100.5, 60)


def test_time_does_not_run_slower_than_it_does():
    with pytest.raises(ValueError, match="at least 1"):
        Clock(0, 0.5)


def test_the_endpoint_tells_its_clock(bench: Bench):
    told = bench.control.clock()
    assert told["factor"] == 60
    assert abs(Clock(told["epoch"], told["factor"]).now() - told["now"]) < SLACK


def test_a_wait_of_minutes_takes_seconds(bench: Bench):
    arn = bench.machine("waits", machine({"W": {"Type": "Wait", "Seconds": 120, "End": True}}))["stateMachineArn"]
    began = time.monotonic()
    execution = bench.start(arn)
    assert bench.ended(execution)["status"] == "SUCCEEDED"
    assert time.monotonic() - began < 20
    assert 120 <= waited(bench.history(execution), "WaitStateEntered", "WaitStateExited") < 120 + SLACK


def test_a_wait_until_an_instant_follows_virtual_time(bench: Bench):
    instant = datetime.datetime.fromtimestamp(bench.control.now() + 180, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = bench.run({"W": {"Type": "Wait", "Timestamp": "{% $states.input.at %}", "End": True}}, at=instant)
    reached = done["stopDate"].timestamp() - datetime.datetime.fromisoformat(instant).timestamp()
    assert -1.5 <= reached < SLACK


def test_timestamps_are_virtual(bench: Bench):
    before = bench.control.now()
    done = bench.run({"P": {"Type": "Pass", "End": True}})
    after = bench.control.now()
    assert before - 1 <= done["startDate"].timestamp() <= done["stopDate"].timestamp() <= after + 1
    assert before - 1 <= bench.iam.get_role(RoleName="flow-role")["Role"]["CreateDate"].timestamp() <= after + 1


def test_jsonata_tells_virtual_time(bench: Bench):
    before = bench.control.now()
    expression = "{% {'now': $toMillis($now()), 'millis': $millis(), 'entered': $toMillis($states.context.State.EnteredTime)} %}"
    output = json.loads(bench.run({"P": {"Type": "Pass", "Output": expression, "End": True}})["output"])
    after = bench.control.now()
    assert output["now"] == output["millis"]
    for value in output.values():
        assert before - 1 <= value / 1000 <= after + 1


def test_a_task_times_out_by_virtual_time(bench: Bench):
    bench.control.fault("Latency", "ssm", "ListCommands", seconds=1200)
    role = bench.role("lister", allow("ssm:ListCommands"))
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ssm:listCommands", "Arguments": {}, "TimeoutSeconds": 60, "End": True}
    done = bench.run({"T": task}, role)
    assert (done["status"], done["error"]) == ("FAILED", "States.Timeout")
    assert 60 <= waited(bench.history(done["executionArn"]), "TaskScheduled", "TaskTimedOut") < 60 + SLACK


def test_a_machine_times_out_by_virtual_time(bench: Bench):
    definition = machine({"W": {"Type": "Wait", "Seconds": 86400, "End": True}}, TimeoutSeconds=90)
    done = bench.ended(bench.start(bench.machine("brief", definition)["stateMachineArn"]))
    assert done["status"] == "TIMED_OUT"
    assert bench.types(done["executionArn"])[-1] == "ExecutionTimedOut"
    assert 90 <= done["stopDate"].timestamp() - done["startDate"].timestamp() < 90 + 2 * SLACK


def test_retry_intervals_are_virtual(bench: Bench):
    bench.control.fault("Throttle", "ssm", "ListCommands", count=1)
    role = bench.role("lister", allow("ssm:ListCommands"))
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:ssm:listCommands",
        "Arguments": {},
        "Retry": [{"ErrorEquals": ["Ssm.SsmException"], "IntervalSeconds": 100, "MaxAttempts": 1}],
        "End": True,
    }
    done = bench.run({"T": task}, role)
    assert done["status"] == "SUCCEEDED"
    assert 100 <= waited(bench.history(done["executionArn"]), "TaskFailed", "TaskSucceeded") < 100 + SLACK


def test_a_missed_heartbeat_is_a_timeout(bench: Bench):
    queue = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    role = bench.role("sender", allow("sqs:SendMessage"))
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Arguments": {"QueueUrl": queue, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
        "TimeoutSeconds": 86400,
        "HeartbeatSeconds": 60,
        "End": True,
    }
    done = bench.run({"Ask": task}, role)
    assert (done["status"], done["error"]) == ("FAILED", "States.Timeout")
    assert "TaskTimedOut" in bench.types(done["executionArn"])
    assert 60 <= done["stopDate"].timestamp() - done["startDate"].timestamp() < 60 + 2 * SLACK


def test_a_message_comes_back_after_its_virtual_visibility_timeout(bench: Bench):
    queue = bench.sqs.create_queue(QueueName="inbox", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
    bench.sqs.send_message(QueueUrl=queue, MessageBody="once")
    began = bench.control.now()
    assert len(bench.sqs.receive_message(QueueUrl=queue)["Messages"]) == 1
    assert "Messages" not in bench.sqs.receive_message(QueueUrl=queue)
    until(lambda: bench.sqs.receive_message(QueueUrl=queue).get("Messages"), PATIENCE, "the message came back")
    assert 55 <= bench.control.now() - began < 60 + 3 * SLACK


def test_a_long_poll_is_virtual_too(bench: Bench):
    queue = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    began = time.monotonic()
    assert "Messages" not in bench.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)
    assert time.monotonic() - began < 10


def test_a_session_that_is_stale_on_one_clock_alone_still_is_its_roles(fast_aws_bed):
    bench = Bench(fast_aws_bed)
    bench.control.reset()
    credentials = bench.session("lasting", DurationSeconds=900)
    until(lambda: bench.control.now() > credentials["Expiration"].timestamp(), 15, "its virtual end")
    for _ in range(2):  # asking must not make the endpoint forget it
        assert bench.client("sts", credentials).get_caller_identity()["Arn"].endswith(":assumed-role/lasting/tester")
