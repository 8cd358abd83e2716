"""The language of state machines: JSONata, and the names of errors."""

import hashlib
import json

import pytest

from aws_bench import Bench, allow, bench, execution_arn, machine, machine_arn, refused  # noqa: F401
from testbed.aws import ACCOUNT_ID, REGION

PASS = {"Type": "Pass", "End": True}
LIST = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ssm:listCommands", "Arguments": {}, "End": True}
SEND = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:ssm:sendCommand",
    "Arguments": {"DocumentName": "no-such-document", "InstanceIds": ["i-0123456789abcdef0"]},
    "End": True,
}


MANAGED_RULE = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"


def evaluate(bench: Bench, expression: str, **payload: object) -> object:
    """The value that a Pass state gives an expression."""
    done = bench.run({"P": PASS | {"Output": {"value": f"{{% {expression} %}}"}}}, **payload)
    assert done["status"] == "SUCCEEDED", done
    return json.loads(done["output"])["value"]


# --- JSONata --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2.0", 3),
        ("$sum([1, 2.5])", 3.5),
        ("null", None),
        ('"a" & "b"', "ab"),
        ("[1..3]", [1, 2, 3]),
        ("$partition([1,2,3,4,5], 2)", [[1, 2], [3, 4], [5]]),
        ("$range(0, 10, 5)", [0, 5, 10]),
        ('$hash("windlass", "SHA-256")', hashlib.sha256(b"windlass").hexdigest()),
        ('$parse("{\\"a\\":[1,null]}").a[0]', 1),
        ("$random(7) = $random(7)", True),
        ("$length($uuid())", 36),
        ("$string({'a': 1})", '{"a":1}'),
        ("$base64decode($base64encode('PowerShell'))", "PowerShell"),
    ],
)
def test_expressions(bench: Bench, expression: str, value: object):
    assert evaluate(bench, expression) == value


def test_strings_survive_as_variables(bench: Bench):
    text = "a \"quoted\" 'line'\nwith \\ backslash, tab\t, ünïcode ✓ and $dollar"
    states = {
        "A": {"Type": "Pass", "Assign": {"text": "{% $states.input.text %}"}, "Next": "B"},
        "B": PASS | {"Output": "{% $text %}"},
    }
    assert json.loads(bench.run(states, text=text)["output"]) == text


def test_expressions_of_parallel_branches_do_not_mix(bench: Bench):
    branches = [
        {"StartAt": f"S{n}", "States": {f"S{n}": PASS | {"Output": f"{{% $map([1..20], function($i) {{ $i * {n} }}) %}}"}}}
        for n in range(1, 9)
    ]
    done = bench.run({"P": {"Type": "Parallel", "Branches": branches, "End": True}})
    assert json.loads(done["output"]) == [[i * n for i in range(1, 21)] for n in range(1, 9)]


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("$states.input.missing", "returned nothing (undefined)"),
        ("1 + 'a'", "threw an error during evaluation"),
        ("$unknown()", "threw an error during evaluation"),
        ("$eval('1')", "$eval is not supported"),
    ],
)
def test_a_failing_expression_is_a_query_evaluation_error(bench: Bench, expression: str, word: str):
    done = bench.run({"P": PASS | {"Output": f"{{% {expression} %}}"}})
    assert (done["status"], done["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert word in done["cause"]
    assert "An error occurred while executing the state 'P' (entered at the event id #2)." in done["cause"]
    assert bench.types(done["executionArn"])[-2:] == ["EvaluationFailed", "ExecutionFailed"]


def test_a_query_evaluation_error_can_be_caught(bench: Bench):
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Output": "{% $states.errorOutput.Error %}", "Next": "P"}]
    states = {"T": LIST | {"Arguments": {"CommandId": "{% $states.input.missing %}"}, "Catch": catch}, "P": PASS}
    done = bench.run(states, bench.role("exec", allow("ssm:*")))
    assert done["output"] == '"States.QueryEvaluationError"'
    assert bench.types(done["executionArn"]).count("EvaluationFailed") == 1


# --- error names ----------------------------------------------------------------------------------------------------------------------


def test_errors_of_the_model_keep_their_names(bench: Bench):
    done = bench.run({"T": SEND}, bench.role("exec", allow("ssm:*")))
    assert done["error"] == "Ssm.InvalidDocumentException"
    assert "(Service: Ssm, Status Code: 400, Request ID: " in done["cause"]


def test_throttling_is_the_services_own_exception(bench: Bench):
    bench.control.fault("Throttle", "ssm")
    done = bench.run({"T": LIST}, bench.role("exec", allow("ssm:*")))
    assert done["error"] == "Ssm.SsmException"
    assert done["cause"].startswith("Rate exceeded (Service: Ssm, Status Code: 400")


def test_a_lost_connection_is_the_clients_exception(bench: Bench):
    bench.control.fault("ResetBefore", "ssm")
    assert bench.run({"T": LIST}, bench.role("exec", allow("ssm:*")))["error"] == "Ssm.SdkClientException"


@pytest.mark.parametrize(
    ("resource", "arguments", "error"),
    [
        ("aws-sdk:dynamodb:getItem", {"TableName": "none", "Key": {"a": {"S": "b"}}}, "DynamoDb.ResourceNotFoundException"),
        ("aws-sdk:sfn:describeExecution", {"ExecutionArn": execution_arn("none")}, "Sfn.ExecutionDoesNotExistException"),
        ("aws-sdk:secretsmanager:getSecretValue", {"SecretId": "none"}, "SecretsManager.ResourceNotFoundException"),
        ("aws-sdk:iam:getRole", {"RoleName": "none"}, "Iam.NoSuchEntityException"),
        ("sqs:sendMessage", {"QueueUrl": "none", "MessageBody": "x"}, "SQS."),
        ("sns:publish", {"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT_ID}:none", "Message": "x"}, "SNS.NotFoundException"),
    ],
)
def test_services_are_called_as_the_sdk_calls_them(bench: Bench, resource: str, arguments: dict, error: str):
    if "dynamodb" in resource:
        bench.control.fault("ErrorBefore", "dynamodb", status=400, code="ResourceNotFoundException")
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments, "End": True}
    done = bench.run({"T": task}, bench.role("exec", allow("*")))
    assert done["error"].startswith(error)


def test_an_optimised_integrations_refusal_has_the_first_sdks_name(bench: Bench):
    queue = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Arguments": {"QueueUrl": queue, "MessageBody": "x"},
        "End": True,
    }
    done = bench.run({"T": task}, bench.role("exec"))
    assert done["error"] == "SQS.AmazonSQSException"
    assert "because no identity-based policy allows the sqs:sendmessage action" in done["cause"]


def test_a_choice_without_a_match(bench: Bench):
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "P"}]}
    done = bench.run({"C": choice, "P": PASS})
    assert (done["status"], done["error"]) == ("FAILED", "States.NoChoiceMatched")


def test_a_child_execution_is_awaited(bench: Bench):
    bench.machine("child", machine({"W": {"Type": "Wait", "Seconds": 30, "Next": "P"}, "P": PASS | {"Output": {"answer": 42}}}))
    role = bench.role(
        "exec",
        allow("states:StartExecution", machine_arn("child")),
        allow(["states:DescribeExecution", "states:StopExecution"], execution_arn("child", "*")),
        allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], MANAGED_RULE),
    )
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": {"StateMachineArn": machine_arn("child"), "Input": {}},
        "Output": "{% $states.result.Output.answer %}",
        "End": True,
    }
    assert bench.run({"T": task}, role)["output"] == "42"


# --- JSONPath -------------------------------------------------------------------------------------------------------------------------


def test_a_choice_that_compares_what_is_not_there_fails(bench: Bench):
    choice = {"Type": "Choice", "Choices": [{"Variable": "$.missing", "NumericEquals": 1, "Next": "P"}], "Default": "P"}
    arn = bench.machine("flow", {"StartAt": "C", "States": {"C": choice, "P": PASS}})["stateMachineArn"]
    done = bench.ended(bench.start(arn))
    assert done["error"] == "States.Runtime"
    assert "Invalid path '$.missing': The choice state's condition path references an invalid value." in done["cause"]


def test_a_condition_must_be_a_boolean(bench: Bench):
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% 'yes' %}", "Next": "P"}], "Default": "P"}
    done = bench.run({"C": choice, "P": PASS})
    assert done["error"] == "States.QueryEvaluationError"
    assert "Expected 'boolean', but was 'string' for value: \"yes\"" in done["cause"]


def test_jsonata_that_cannot_be_parsed_is_refused(bench: Bench):
    with refused("InvalidDefinition", "/States/P/Output/value"):
        bench.machine("flow", machine({"P": PASS | {"Output": {"value": "{% 1 + %}"}}}))
