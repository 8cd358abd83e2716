"""Quotas of Step Functions, names, and definitions that are refused for what stands in them.

docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html, …/dg/bp-history-limit.html, states-language.net/spec.html; lengths and
ranges are the service model's."""

import json

import pytest

from aws_bench import PATIENCE, Bench, allow, bench, machine, machine_arn, refused  # noqa: F401
from testbed.aws.client import ControlError
from testbed.waiting import until

PASS = {"Type": "Pass", "End": True}
FOREVER = {"Type": "Wait", "Seconds": 86400, "End": True}
LOOP = {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}


# --- history --------------------------------------------------------------------------------------------------------------------------


def test_the_quotas_are_awss_by_default(bench: Bench):
    found = bench.control.quotas()
    assert (found["historyEvents"], found["payloadBytes"]) == (25_000, 262_144)
    with pytest.raises(ControlError):
        bench.control.quotas(events=1)


@pytest.mark.parametrize(
    "states",
    [
        LOOP,
        {"P": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": LOOP}, {"StartAt": "W", "States": {"W": FOREVER}}], "End": True}},
    ],
    ids=["loop", "branch"],
)
def test_an_execution_fails_when_its_history_is_full(bench: Bench, states: dict):
    bench.control.quotas(historyEvents=30)
    bench.machine("flow", machine(states))
    done = bench.ended(bench.start(machine_arn("flow")))
    cause = "The execution reached the maximum number of history events (30)."
    assert (done["status"], done["error"], done["cause"]) == ("FAILED", "States.Runtime", cause)
    events = bench.history(done["executionArn"])
    assert (len(events), events[-1]["id"], events[-1]["type"]) == (30, 30, "ExecutionFailed")
    assert events[-1]["executionFailedEventDetails"] == {"error": "States.Runtime", "cause": cause}


def test_the_last_event_may_be_the_success(bench: Bench):
    states = {"A": {"Type": "Pass", "Next": "B"}, "B": PASS}
    bench.control.quotas(historyEvents=6)
    assert bench.run(states)["status"] == "SUCCEEDED"
    bench.control.quotas(historyEvents=5)
    assert bench.run(states, name="other")["status"] == "FAILED"


def test_children_of_a_distributed_map_have_a_history_of_their_own(bench: Bench):
    bench.control.quotas(historyEvents=10)
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "A"}
    states = {"A": {"Type": "Pass", "Next": "B"}, "B": PASS}
    item = {"Type": "Map", "Items": [1, 2, 3, 4], "ItemProcessor": {**processor, "States": states}, "End": True}
    role = bench.role("exec", allow("states:StartExecution"))
    assert bench.run({"M": item}, role)["status"] == "SUCCEEDED"
    inline = {**item, "ItemProcessor": {**item["ItemProcessor"], "ProcessorConfig": {"Mode": "INLINE"}}}
    assert bench.run({"M": inline}, role, name="inline")["status"] == "FAILED"


@pytest.mark.matrix
def test_the_history_holds_25_000_events(bench: Bench):
    bench.machine("flow", machine(LOOP))
    execution = bench.start(machine_arn("flow"))
    until(lambda: bench.sfn.describe_execution(executionArn=execution)["status"] == "FAILED", 600, "25,000 events")
    newest = bench.sfn.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=1)["events"]
    assert (newest[0]["id"], newest[0]["type"]) == (25_000, "ExecutionFailed")


# --- payloads -------------------------------------------------------------------------------------------------------------------------

LARGE = "$join($map([1..300], function($i) { $pad('x', 1000) }), '')"


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "Output": f"{{% {LARGE} %}}"},
        {"Type": "Pass", "Assign": {"a": f"{{% {LARGE} %}}"}},
        {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Arguments": {"QueueUrl": "q", "MessageBody": f"{{% {LARGE} %}}"}},
        {"Type": "Parallel", "Branches": [{"StartAt": n, "States": {n: PASS | {"Output": "{% $pad('x', 140000) %}"}}} for n in "AB"]},
    ],
    ids=["output", "variables", "arguments", "branches"],
)
def test_what_is_too_large_is_data_limit_exceeded(bench: Bench, state: dict):
    done = bench.run({"S": {**state, "End": True}}, bench.role("exec", allow("*")))
    assert (done["status"], done["error"]) == ("FAILED", "States.DataLimitExceeded")


def test_a_result_that_is_too_large_is_data_limit_exceeded(bench: Bench):
    long = {f"A{number}": PASS | {"Comment": "x" * 1000} for number in range(300)}
    for number in range(299):
        long[f"A{number}"] = {"Type": "Pass", "Comment": "x" * 1000, "Next": f"A{number + 1}"}
    arn = bench.machine("long", machine(long))["stateMachineArn"]
    task = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:describeStateMachine", "Arguments": {"StateMachineArn": arn}}
    role = bench.role("exec", allow("states:*"))
    done = bench.run({"T": {**task, "Output": "small", "End": True}}, role)
    assert done["error"] == "States.DataLimitExceeded"
    handlers = [{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "P"}]
    done = bench.run({"T": {**task, "Output": "small", "Next": "P", "Catch": handlers}, "P": PASS | {"Output": "caught"}}, role, name="named")
    assert done["output"] == '"caught"'


def test_the_largest_payload_passes(bench: Bench):
    size = 262_144 - 2  # the quotes
    assert bench.run({"P": PASS | {"Output": f"{{% $pad('x', {size}) %}}"}})["status"] == "SUCCEEDED"
    assert bench.run({"P": PASS | {"Output": f"{{% $pad('x', {size + 1}) %}}"}}, name="other")["error"] == "States.DataLimitExceeded"


# --- requests -------------------------------------------------------------------------------------------------------------------------


def test_lengths_and_ranges_are_the_models(bench: Bench):
    arn = bench.machine("flow", machine({"W": FOREVER}))["stateMachineArn"]
    execution, role = bench.start(arn), bench.role("exec")
    longest = json.dumps(machine({"A": PASS | {"Comment": "x" * 1_048_576}}))
    for call, words in (
        (lambda: bench.sfn.create_state_machine(name="long", definition=longest, roleArn=role), "'definition'"),
        (lambda: bench.sfn.start_execution(stateMachineArn=arn, input=json.dumps("x" * 262_144)), "'input'"),
        (lambda: bench.sfn.stop_execution(executionArn=execution, cause="x" * 32_769), "'cause'"),
        (lambda: bench.sfn.stop_execution(executionArn=execution, error="x" * 257), "'error'"),
        (lambda: bench.sfn.get_execution_history(executionArn=execution, maxResults=1001), "less than or equal to 1000"),
        (lambda: bench.sfn.list_executions(stateMachineArn=arn, statusFilter="DONE"), "enum value set"),
        (lambda: bench.sfn.send_task_success(taskToken="t" * 2049, output="{}"), "'taskToken'"),
    ):
        with refused("ValidationException", words):
            call()


def test_the_longest_names(bench: Bench):
    bench.machine("m" * 80, machine({"A": PASS}))
    with refused("InvalidName"):
        bench.machine("m" * 81, machine({"A": PASS}), bench.role("exec"))
    bench.start(machine_arn("m" * 80), "e" * 80)
    with refused("InvalidName"):
        bench.start(machine_arn("m" * 80), "e" * 81)
    with refused("InvalidDefinition", "80 characters"):
        bench.machine("states", machine({"s" * 81: PASS}), bench.role("other"))


def test_what_does_not_exist_has_its_own_errors(bench: Bench):
    with refused("StateMachineDoesNotExist"):
        bench.start(machine_arn("none"))
    with refused("ExecutionDoesNotExist"):
        bench.sfn.get_execution_history(executionArn=machine_arn("none").replace("stateMachine", "execution") + ":run")
    with refused("InvalidArn"):
        bench.sfn.describe_execution(executionArn="run")
    with refused("InvalidExecutionInput"):
        bench.sfn.start_execution(stateMachineArn=bench.machine("flow", machine({"A": PASS}))["stateMachineArn"], input="{")


# --- definitions ----------------------------------------------------------------------------------------------------------------------

TASK = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "End": True}
INLINE = {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "B", "States": {"B": PASS}}


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (PASS | {"Reslt": 1}, "/States/A/Reslt"),
        (PASS | {"Output": 1}, "/States/A/Output"),
        (PASS | {"Retry": []}, "/States/A/Retry"),
        ({"Type": "Wait", "Seconds": 1, "Catch": [], "End": True}, "/States/A/Catch"),
        ({"Type": "Choice"}, "'Choices' is required"),
        (TASK | {"TimeoutSeconds": 0}, "minimum of 1"),
        (TASK | {"Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["X"]}]}, "/States/A/Retry[0]/ErrorEquals"),
        (TASK | {"Catch": [{"ErrorEquals": ["X"], "Next": "A", "Output": 1}]}, "/States/A/Catch[0]/Output"),
        (TASK | {"Resource": "arn:aws:states:::aws-sdk:ssm:sendCommands"}, "not recognized"),
        (TASK | {"Resource": "arn:aws:states:::aws-sdk:ssm:sendCommand.sync"}, "not recognized"),
        ({"Type": "Map", "ItemProcessor": INLINE | {"ProcessorConfig": {"Mode": "DISTRIBUTED"}}, "End": True}, "'ExecutionType' is required"),
        ({"Type": "Map", "Items": [1], "ItemProcessor": INLINE, "End": True}, "/States/A/Items"),
        ({"Type": "Map", "Label": "l" * 41, "ItemProcessor": INLINE, "End": True}, "/States/A/Label"),
        (PASS | {"Assign": {"states": 1}}, "Invalid variable name 'states'"),
        (PASS | {"Assign": {"1a": 1}}, "Invalid variable name '1a'"),
        (PASS | {"Assign": {"a" * 81: 1}}, "Invalid variable name"),
        ({"Type": "Sleep", "End": True}, ""),
        ({"Type": "Wait", "End": True}, ""),
        ({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.a", "End": True}, ""),
        (TASK | {"Retry": [{"ErrorEquals": ["X"], "BackoffRate": 0.5}]}, ""),
        (TASK | {"HeartbeatSeconds": 10, "TimeoutSeconds": 5}, ""),
        (TASK | {"Resource": "arn:aws:states:::sqs:sendMessages"}, ""),
        (PASS | {"Parameters": {"a.$": "States.Foo(1)"}}, ""),
        (PASS | {"InputPath": "a"}, ""),
    ],
)
def test_definitions_are_refused_for_what_stands_in_them(bench: Bench, state: dict, word: str):
    with refused("InvalidDefinition", word):
        bench.machine("flow", {"StartAt": "A", "States": {"A": state}})


@pytest.mark.parametrize("field", ["Parameters", "ResultPath", "InputPath", "OutputPath", "Result"])
def test_jsonata_states_have_no_fields_of_jsonpath(bench: Bench, field: str):
    with refused("InvalidDefinition"):
        bench.machine("flow", machine({"A": PASS | {field: "$"}}))


def test_a_comment_is_no_expression(bench: Bench):
    assert bench.run({"A": PASS | {"Comment": "{% an odd one %}"}})["status"] == "SUCCEEDED"
