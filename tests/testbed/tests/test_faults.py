"""Faults on demand, counts of calls, and the control endpoint."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ConnectionClosedError

from aws_bench import Bench, allow, bench, refused, role_arn  # noqa: F401
from testbed import waiting
from testbed.aws.client import ControlError


def test_a_throttled_call_says_rate_exceeded(bench: Bench):
    bench.control.fault("Throttle", "ssm", "ListCommands")
    with refused("ThrottlingException", "Rate exceeded") as caught:
        bench.ssm.list_commands()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    bench.ssm.list_commands()


def test_iam_throttles_by_its_own_name(bench: Bench):
    bench.control.fault("Throttle", "iam", "CreateRole")
    with refused("Throttling", "Rate exceeded"):
        bench.role("throttled")


def test_an_error_before_has_no_effect(bench: Bench):
    bench.control.fault("ErrorBefore", "iam", "CreateRole", status=500, code="ServiceFailure")
    with refused("ServiceFailure") as caught:
        bench.role("lost")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert [role["RoleName"] for role in bench.iam.list_roles()["Roles"] if role["RoleName"] == "lost"] == []


def test_an_error_after_has_its_effect(bench: Bench):
    bench.control.fault("ErrorAfter", "iam", "CreateRole", status=503, code="ServiceUnavailable")
    with refused("ServiceUnavailable") as caught:
        bench.role("made")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert bench.iam.get_role(RoleName="made")["Role"]["Arn"] == role_arn("made")


def test_an_error_after_does_not_hide_an_error(bench: Bench):
    bench.control.fault("ErrorAfter", "iam", "GetRole")
    with refused("NoSuchEntity"):
        bench.iam.get_role(RoleName="nobody")
    assert bench.control.faults()[0]["hit"] == 0


@pytest.mark.parametrize(("kind", "made"), [("ResetBefore", False), ("ResetAfter", True)])
def test_a_reset_cuts_the_connection(bench: Bench, kind: str, made: bool):
    bench.control.fault(kind, "sqs", "CreateQueue")
    with pytest.raises(ConnectionClosedError):
        bench.sqs.create_queue(QueueName="cut")
    assert bool(bench.sqs.list_queues().get("QueueUrls")) == made
    outcomes = [row["outcome"] for row in bench.control.calls() if row["operation"] == "CreateQueue"]
    assert outcomes == ["ConnectionReset"]


def test_latency_is_virtual_and_lets_the_call_through(bench: Bench):
    bench.control.fault("Latency", "sts", "GetCallerIdentity", seconds=60)
    began = time.monotonic()
    bench.sts.get_caller_identity()
    assert time.monotonic() - began >= 1
    bench.sts.get_caller_identity()
    (fault,) = bench.control.faults()
    assert (fault["seen"], fault["hit"]) == (2, 1)


def test_latency_after_has_its_effect_at_once_and_answers_late(bench: Bench):
    bench.control.fault("LatencyAfter", "sqs", "CreateQueue", seconds=120)
    with ThreadPoolExecutor(1) as pool:
        creating = pool.submit(bench.sqs.create_queue, QueueName="late")
        waiting.until(lambda: bench.control.faults()[0]["hit"], 5, "the call to arrive")
        assert bench.sqs.list_queues()["QueueUrls"] and not creating.done()
        assert creating.result()["QueueUrl"].endswith("/late")


def test_latency_and_an_error_meet_in_one_call(bench: Bench):
    bench.control.fault("Throttle", "ssm", "ListCommands")
    bench.control.fault("Latency", "ssm", "ListCommands", seconds=60)
    began = time.monotonic()
    with refused("ThrottlingException"):
        bench.ssm.list_commands()
    assert time.monotonic() - began >= 1


def test_denied_speaks_as_iam_does(bench: Bench):
    bench.control.fault("Denied", "ssm", "ListCommands")
    with refused("AccessDeniedException", "not authorized to perform: ssm:ListCommands on resource: ", "no identity-based policy allows"):
        bench.ssm.list_commands()


def test_skip_and_count(bench: Bench):
    bench.control.fault("Throttle", "ssm", "ListCommands", skip=1, count=2)
    outcomes = []
    for _ in range(4):
        try:
            bench.ssm.list_commands()
            outcomes.append("ok")
        except bench.ssm.exceptions.ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["ok", "ThrottlingException", "ThrottlingException", "ok"]
    (fault,) = bench.control.faults()
    assert (fault["seen"], fault["hit"]) == (4, 2)


def test_a_fault_for_ever_ends_when_it_is_removed(bench: Bench):
    fault = bench.control.fault("Throttle", "ssm", count=-1)
    for _ in range(3):
        with refused("ThrottlingException"):
            bench.ssm.list_commands()
    bench.control.clear_faults(fault)
    bench.ssm.list_commands()
    with pytest.raises(ControlError) as caught:
        bench.control.clear_faults(fault)
    assert caught.value.status == 404


def test_a_fault_hits_only_its_caller(bench: Bench):
    lister = bench.client("ssm", bench.session("lister", allow("ssm:ListCommands"), session="one"))
    bench.control.fault("Throttle", "ssm", "ListCommands", caller="assumed-role/lister/one$", count=-1)
    bench.ssm.list_commands()
    with refused("ThrottlingException"):
        lister.list_commands()


def test_one_fault_at_a_time_is_spent(bench: Bench):
    bench.control.fault("Throttle", "ssm", "ListCommands")
    bench.control.fault("ErrorBefore", "ssm", "ListCommands", code="InternalServerError")
    with refused("ThrottlingException"):
        bench.ssm.list_commands()
    with refused("InternalServerError"):
        bench.ssm.list_commands()
    bench.ssm.list_commands()


@pytest.mark.parametrize("rule", [{"kind": "Sabotage"}, {"kind": "Throttle", "often": 3}, {"kind": "Throttle", "caller": "("}])
def test_a_rule_that_is_none_is_refused(bench: Bench, rule: dict):
    with pytest.raises(ControlError) as caught:
        bench.control.request("POST", "/faults", rule)
    assert caught.value.status in (400, 500)
    assert bench.control.faults() == []


def test_calls_are_counted_by_caller_and_outcome(bench: Bench):
    lister = bench.client("ssm", bench.session("lister", allow("ssm:ListCommands"), session="one"))
    bench.control.clear_calls()
    lister.list_commands()
    lister.list_commands()
    with refused("AccessDeniedException"):
        lister.describe_instance_information()
    bench.control.fault("Throttle", "ssm", "ListCommands")
    with refused("ThrottlingException"):
        lister.list_commands()
    caller = role_arn("lister")
    assert bench.control.calls() == [
        {"service": "ssm", "operation": "DescribeInstanceInformation", "caller": caller, "outcome": "AccessDeniedException", "count": 1},
        {"service": "ssm", "operation": "ListCommands", "caller": caller, "outcome": "ThrottlingException", "count": 1},
        {"service": "ssm", "operation": "ListCommands", "caller": caller, "outcome": "ok", "count": 2},
    ]
    assert bench.control.count("ssm", "ListCommands") == 3
    assert bench.control.count("ssm", outcome="ok") == 2


def test_the_log_keeps_the_order(bench: Bench):
    bench.sqs.create_queue(QueueName="first")
    seen = bench.control.call_log()[-1]["n"]
    before = bench.control.now()
    bench.sqs.create_queue(QueueName="second")
    bench.sts.get_caller_identity()
    after = bench.control.now()
    log = bench.control.call_log(seen)
    assert [(call["operation"], call["outcome"]) for call in log] == [("CreateQueue", "ok"), ("GetCallerIdentity", "ok")]
    assert log[0]["resource"] == "arn:aws:sqs:eu-west-1:111122223333:second"
    assert all(before <= call["time"] <= after and call["session"] == "arn:aws:iam::111122223333:root" for call in log)


def test_an_unknown_access_key_is_refused_and_counted(bench: Bench):
    stranger = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "x", "SessionToken": "x"}
    with refused("UnrecognizedClientException", "The security token included in the request is invalid."):
        bench.client("ssm", stranger).list_commands()
    with refused("InvalidClientTokenId", "The security token included in the request is invalid."):
        bench.client("iam", stranger).list_roles()
    assert [(row["caller"], row["outcome"]) for row in bench.control.calls()] == [
        ("unknown", "InvalidClientTokenId"),
        ("unknown", "UnrecognizedClientException"),
    ]


def test_an_operation_that_is_not_built_is_unknown(bench: Bench):
    with refused("UnknownOperationException"):
        bench.sfn.redrive_execution(executionArn="arn:aws:states:eu-west-1:111122223333:execution:flow:run")


def test_a_state_machines_calls_count_under_its_role(bench: Bench):
    role = bench.role("runner", allow("ssm:ListCommands"))
    bench.run({"T": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ssm:listCommands", "Arguments": {}, "End": True}}, role)
    rows = [row for row in bench.control.calls() if row["service"] == "ssm"]
    assert [(row["caller"], row["count"]) for row in rows] == [(role, 1)]
    assert not [row for row in bench.control.calls() if row["service"] in ("sts", "events")]


def test_a_reset_empties_the_account(bench: Bench):
    bench.role("gone")
    bench.sqs.create_queue(QueueName="gone")
    bench.events.put_rule(Name="gone", EventPattern=json.dumps({"source": ["aws.states"]}))
    arn = bench.machine("gone", {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 99999, "End": True}}})["stateMachineArn"]
    execution = bench.start(arn)
    bench.control.fault("Throttle", "ssm")
    bench.control.eventual(newRoleSeconds=5)
    bench.control.set_nodes([{"id": "i-0123456789abcdef0", "computerName": "WEB-01", "platform": "Windows"}])
    bench.control.reset()
    assert bench.control.nodes() == []
    assert bench.control.faults() == []
    assert bench.control.calls() == []
    assert bench.control.request("GET", "/eventual")["newRoleSeconds"] == 0
    assert [role["RoleName"] for role in bench.iam.list_roles()["Roles"] if role["RoleName"].startswith("gone")] == []
    assert not bench.sqs.list_queues().get("QueueUrls")
    assert bench.events.list_rules()["Rules"] == []
    assert bench.sfn.list_state_machines()["stateMachines"] == []
    with refused("ExecutionDoesNotExist"):
        bench.sfn.describe_execution(executionArn=execution)
    bench.sqs.create_queue(QueueName="gone")


def test_everything_listens_on_loopback_alone(bench: Bench):
    for url in (bench.bed.endpoint, bench.control.url):
        port = int(url.rsplit(":", 1)[-1])
        assert _listening(port) == {"127.0.0.1"}


def _listening(port: int) -> set[str]:
    """The local addresses that a port is listened on at, from the kernel's own table."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            for line in lines.readlines()[1:]:
                fields = line.split()
                address, number = fields[1].rsplit(":", 1)
                if fields[3] == "0A" and int(number, 16) == port:
                    found.add("127.0.0.1" if address == "0100007F" else address)
    return found


def test_an_unknown_path_is_not_found(bench: Bench):
    with pytest.raises(ControlError) as caught:
        bench.control.request("GET", "/nothing")
    assert caught.value.status == 404
