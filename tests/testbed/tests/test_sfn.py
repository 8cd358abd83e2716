"""Step Functions where LocalStack needed mending, or where Windlass rests on it: definitions, versions, idempotency, stopping,
histories, callbacks, JSONata, error names, Distributed Map."""

import hashlib
import json

import pytest
from aws_bench import PATIENCE, Bench, allow, bench, machine, machine_arn, refused  # noqa: F401

from testbed.aws import ACCOUNT_ID, REGION
from testbed.waiting import until

PASS = {"Type": "Pass", "End": True}
FOREVER = {"Type": "Wait", "Seconds": 86400, "End": True}
LIST = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ssm:listCommands", "Arguments": {}, "End": True}
SEND = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:ssm:sendCommand",
    "Arguments": {"DocumentName": "no-such-document", "InstanceIds": ["i-0123456789abcdef0"]},
    "End": True,
}


def execution_arn(name: str, run: str = "run") -> str:
    """The ARN of an execution of the bed's account."""
    return f"arn:aws:states:{REGION}:{ACCOUNT_ID}:execution:{name}:{run}"


def evaluate(bench: Bench, expression: str, **payload: object) -> object:
    """The value that a Pass state gives an expression."""
    done = bench.run({"P": PASS | {"Output": {"value": f"{{% {expression} %}}"}}}, **payload)
    assert done["status"] == "SUCCEEDED", done
    return json.loads(done["output"])["value"]


# --- definitions ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "word"),
    [
        ({"A": {"Type": "Pass"}}, "exactly one of the fields [Next, End] at /States/A"),
        ({"A": {"Type": "Pass", "Next": "B", "End": True}, "B": PASS}, "exactly one of the fields [Next, End] at /States/A"),
        ({"A": {"Type": "Pass", "Next": "B"}}, "MISSING_TRANSITION_TARGET: Missing 'Next' target: B at /States/A/Next"),
        ({"A": PASS, "B": PASS}, 'State "B" is not reachable. at /States/B'),
        ({"A": {"Type": "Succeed", "End": True}}, "Field is not supported at /States/A/End"),
        (
            {"A": {"Type": "Parallel", "Branches": [machine({"B": {"Type": "Pass"}})], "End": True}},
            "/States/A/Branches[0]/States/B",
        ),
        (
            {"A": {"Type": "Parallel", "Branches": [{"StartAt": "A", "States": {"A": PASS}}], "End": True}},
            "DUPLICATE_STATE_NAME",
        ),
        (
            {"A": {"Type": "Parallel", "TimeoutSeconds": 5, "Branches": [{"StartAt": "B", "States": {"B": PASS}}], "End": True}},
            "Field is not supported at /States/A/TimeoutSeconds",
        ),
    ],
)
def test_a_definition_that_aws_refuses_is_refused(bench: Bench, states: dict, word: str):
    with refused("InvalidDefinition", word):
        bench.machine("bad", machine(states, "A"))
    answer = bench.sfn.validate_state_machine_definition(definition=json.dumps(machine(states, "A")))
    assert answer["result"] == "FAIL"
    assert word in answer["diagnostics"][0]["message"]


def test_an_update_is_checked_like_a_create(bench: Bench):
    bench.machine("flow", machine({"A": PASS}))
    with refused("InvalidDefinition"):
        bench.sfn.update_state_machine(stateMachineArn=machine_arn("flow"), definition=json.dumps(machine({"A": {"Type": "Pass"}})))


@pytest.mark.parametrize("name", ["with space", "a" * 81, "star*"])
def test_names_follow_awss_rules(bench: Bench, name: str):
    with refused("InvalidName") if len(name) <= 80 else pytest.raises(Exception):
        bench.machine(name, machine({"A": PASS}), bench.role("exec"))
    arn = bench.machine("flow", machine({"A": PASS}))["stateMachineArn"]
    with refused("InvalidName") if len(name) <= 80 else pytest.raises(Exception):
        bench.start(arn, name)


# --- versions and updates -------------------------------------------------------------------------------------------------------------


def test_publish_answers_the_version(bench: Bench):
    made = bench.machine("flow", machine({"A": PASS}), publish=True)
    assert made["stateMachineVersionArn"] == machine_arn("flow:1")
    other = json.dumps(machine({"B": PASS}))
    updated = bench.sfn.update_state_machine(stateMachineArn=machine_arn("flow"), definition=other, publish=True)
    assert updated["stateMachineVersionArn"] == machine_arn("flow:2")
    assert updated["revisionId"]
    assert bench.sfn.describe_state_machine(stateMachineArn=machine_arn("flow"))["revisionId"] == updated["revisionId"]


def test_an_update_that_changes_nothing_has_no_revision(bench: Bench):
    definition = machine({"A": PASS})
    bench.machine("flow", definition, publish=True)
    spaced = json.dumps(definition, indent=2)
    same = bench.sfn.update_state_machine(stateMachineArn=machine_arn("flow"), definition=spaced, publish=True)
    assert same["stateMachineVersionArn"] == machine_arn("flow:1")
    assert "revisionId" not in same


def test_an_idempotent_create_ignores_role_and_tags(bench: Bench):
    definition = machine({"A": PASS})
    first, second = bench.role("first"), bench.role("second")
    made = bench.machine("flow", definition, first, publish=True, tags=[{"key": "a", "value": "1"}])
    again = bench.machine("flow", definition, second, publish=True, tags=[{"key": "a", "value": "2"}])
    assert [again[field] for field in ("stateMachineArn", "stateMachineVersionArn", "creationDate")] == [
        made[field] for field in ("stateMachineArn", "stateMachineVersionArn", "creationDate")
    ]
    assert bench.sfn.describe_state_machine(stateMachineArn=machine_arn("flow"))["roleArn"] == first
    assert bench.sfn.list_tags_for_resource(resourceArn=machine_arn("flow"))["tags"] == [{"key": "a", "value": "1"}]
    with refused("StateMachineAlreadyExists"):
        bench.machine("flow", machine({"B": PASS}), first)


def test_a_version_runs_what_it_was_published_with(bench: Bench):
    bench.machine("flow", machine({"A": PASS | {"Output": "old"}}), publish=True)
    new = json.dumps(machine({"A": PASS | {"Output": "new"}}))
    bench.sfn.update_state_machine(stateMachineArn=machine_arn("flow"), definition=new, publish=True)
    done = bench.ended(bench.start(machine_arn("flow:1")))
    assert done["output"] == '"old"'
    assert (done["stateMachineArn"], done["stateMachineVersionArn"]) == (machine_arn("flow"), machine_arn("flow:1"))
    assert bench.ended(bench.start(machine_arn("flow"), "unqualified"))["output"] == '"new"'


def test_a_running_execution_keeps_its_definition(bench: Bench):
    states = {"W": {"Type": "Wait", "Seconds": 60, "Next": "A"}, "A": PASS | {"Output": "old"}}
    bench.machine("flow", machine(states))
    execution = bench.start(machine_arn("flow"))
    states["A"] = PASS | {"Output": "new"}
    bench.sfn.update_state_machine(stateMachineArn=machine_arn("flow"), definition=json.dumps(machine(states)))
    assert bench.ended(execution)["output"] == '"old"'


def test_an_update_is_seen_late_on_the_unqualified_arn(bench: Bench):
    bench.control.eventual(stateMachineUpdateSeconds=300)
    bench.machine("flow", machine({"A": PASS | {"Output": "old"}}), publish=True)
    new = json.dumps(machine({"A": PASS | {"Output": "new"}}))
    version = bench.sfn.update_state_machine(stateMachineArn=machine_arn("flow"), definition=new, publish=True)
    assert bench.ended(bench.start(machine_arn("flow"), "soon"))["output"] == '"old"'
    assert bench.ended(bench.start(version["stateMachineVersionArn"], "exact"))["output"] == '"new"'
    numbers = iter(range(1000))
    until(
        lambda: bench.ended(bench.start(machine_arn("flow"), f"later-{next(numbers)}"))["output"] == '"new"', PATIENCE, "the update"
    )


def test_a_deleted_machine_ends_its_executions_at_their_next_transition(bench: Bench):
    states = {"W": {"Type": "Wait", "Seconds": 120, "Next": "V"}, "V": FOREVER}
    bench.machine("flow", machine(states))
    execution = bench.start(machine_arn("flow"))
    bench.reached(execution, "WaitStateEntered")
    bench.sfn.delete_state_machine(stateMachineArn=machine_arn("flow"))
    assert bench.sfn.describe_state_machine(stateMachineArn=machine_arn("flow"))["status"] == "DELETING"
    with refused("StateMachineDeleting"):
        bench.start(machine_arn("flow"), "another")
    assert bench.sfn.describe_execution(executionArn=execution)["status"] == "RUNNING"

    def gone() -> bool:
        try:
            bench.sfn.describe_state_machine(stateMachineArn=machine_arn("flow"))
            return False
        except bench.sfn.exceptions.StateMachineDoesNotExist:
            return True

    until(gone, PATIENCE, "the state machine was gone")
    with refused("ExecutionDoesNotExist"):
        bench.sfn.describe_execution(executionArn=execution)
    bench.machine("flow", machine(states), bench.role("new"))


# --- starting and stopping ------------------------------------------------------------------------------------------------------------


def test_a_start_is_idempotent_only_while_it_runs(bench: Bench):
    bench.machine("flow", machine({"W": FOREVER}))
    first = bench.sfn.start_execution(stateMachineArn=machine_arn("flow"), name="run", input='{"uid":"1"}')
    again = bench.sfn.start_execution(stateMachineArn=machine_arn("flow"), name="run", input='{ "uid": "1" }')
    assert (again["executionArn"], again["startDate"]) == (first["executionArn"], first["startDate"])
    with refused("ExecutionAlreadyExists", execution_arn("flow")):
        bench.start(machine_arn("flow"), uid="2")
    bench.sfn.stop_execution(executionArn=first["executionArn"])
    with refused("ExecutionAlreadyExists", execution_arn("flow")):
        bench.start(machine_arn("flow"), uid="1")
    assert json.loads(bench.sfn.describe_execution(executionArn=first["executionArn"])["input"]) == {"uid": "1"}


@pytest.mark.parametrize(
    "state",
    [
        FOREVER,
        {"Type": "Parallel", "Branches": [machine({"W": FOREVER}), machine({"V": FOREVER})], "End": True},
        {
            "Type": "Map",
            "Items": [1, 2, 3],
            "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "W", "States": {"W": FOREVER}},
            "End": True,
        },
    ],
    ids=["wait", "parallel", "map"],
)
def test_stop_aborts_at_once(bench: Bench, state: dict):
    for branch in state.get("Branches", []):
        branch.pop("QueryLanguage")
    bench.machine("flow", machine({"S": state}))
    execution = bench.start(machine_arn("flow"))
    bench.reached(execution, "WaitStateEntered")
    bench.sfn.stop_execution(executionArn=execution, error="Windlass.Cancelled", cause="by ann")
    done = bench.sfn.describe_execution(executionArn=execution)
    assert (done["status"], done["error"], done["cause"]) == ("ABORTED", "Windlass.Cancelled", "by ann")
    last = bench.history(execution)[-1]
    assert last["type"] == "ExecutionAborted"
    assert last["executionAbortedEventDetails"] == {"error": "Windlass.Cancelled", "cause": "by ann"}
    bench.sfn.stop_execution(executionArn=execution)


def test_a_stop_right_after_the_start_counts(bench: Bench):
    bench.machine("flow", machine({"W": FOREVER}))
    for number in range(5):
        execution = bench.start(machine_arn("flow"), f"run-{number}")
        bench.sfn.stop_execution(executionArn=execution)
        assert bench.sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_a_stop_ends_a_retry_interval(bench: Bench):
    bench.control.fault("Throttle", "ssm", count=-1)
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 86400, "MaxAttempts": 3}]
    bench.machine("flow", machine({"T": LIST | {"Retry": retry}}), bench.role("exec", allow("ssm:*")))
    execution = bench.start(machine_arn("flow"))
    bench.reached(execution, "TaskFailed")
    bench.sfn.stop_execution(executionArn=execution)
    assert bench.sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_list_executions_by_machine_version_and_status(bench: Bench):
    bench.machine("flow", machine({"A": PASS}), publish=True)
    bench.ended(bench.start(machine_arn("flow"), "one"))
    bench.ended(bench.start(machine_arn("flow:1"), "two"))

    def names(**filters: str) -> list[str]:
        pages = bench.sfn.get_paginator("list_executions").paginate(**filters, PaginationConfig={"PageSize": 1})
        return [execution["name"] for page in pages for execution in page["executions"]]

    assert names(stateMachineArn=machine_arn("flow")) == ["two", "one"]
    assert names(stateMachineArn=machine_arn("flow:1")) == ["two"]
    assert names(stateMachineArn=machine_arn("flow"), statusFilter="RUNNING") == []


def test_a_history_comes_in_pages(bench: Bench):
    done = bench.run({"A": {"Type": "Pass", "Next": "B"}, "B": PASS})
    whole = bench.sfn.get_execution_history(executionArn=done["executionArn"])["events"]
    pages = bench.sfn.get_paginator("get_execution_history").paginate(
        executionArn=done["executionArn"], reverseOrder=True, PaginationConfig={"PageSize": 2}
    )
    events = [page["events"] for page in pages]
    assert [len(page) for page in events] == [2, 2, 2]
    assert [event["id"] for page in events for event in page] == [event["id"] for event in reversed(whole)]
    bare = bench.sfn.get_execution_history(executionArn=done["executionArn"], includeExecutionData=False)["events"]
    assert "input" not in bare[0]["executionStartedEventDetails"]


def test_costs_in_events_are_those_of_aws(bench: Bench):
    role = bench.role("exec", allow("ssm:ListCommands"))
    states = {
        "W": {"Type": "Wait", "Seconds": 1, "Next": "T"},
        "T": LIST | {"Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "W"}], "Default": "P"},
        "P": PASS,
    }
    states["T"].pop("End")
    types = bench.types(bench.run(states, role)["executionArn"])
    assert len(types) == 1 + 2 + 5 + 2 + 2 + 1  # start, Wait, Task, Choice, Pass, end


# --- events and callbacks -------------------------------------------------------------------------------------------------------------


def test_status_events_reach_a_queue(bench: Bench):
    queue = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = bench.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"], "detail": {"status": ["FAILED"]}}
    bench.events.put_rule(Name="status", EventPattern=json.dumps(pattern))
    bench.events.put_targets(Rule="status", Targets=[{"Id": "inbox", "Arn": arn}])
    bench.machine("flow", machine({"F": {"Type": "Fail", "Error": "No", "Cause": "because"}}), publish=True)
    done = bench.ended(bench.start(machine_arn("flow:1")))
    (message,) = until(lambda: bench.sqs.receive_message(QueueUrl=queue).get("Messages"), PATIENCE, "the event")
    event = json.loads(message["Body"])
    assert event["source"] == "aws.states"
    assert event["resources"] == [done["executionArn"]]
    assert event["detail"]["stateMachineVersionArn"] == machine_arn("flow:1")
    assert (event["detail"]["status"], event["detail"]["error"], event["detail"]["cause"]) == ("FAILED", "No", "because")
    assert event["detail"]["stopDate"] == round(done["stopDate"].timestamp() * 1000)


@pytest.fixture
def asking(bench: Bench) -> tuple[str, str]:
    """An execution that waits for a task token, and the token."""
    queue = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Arguments": {"QueueUrl": queue, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
        "TimeoutSeconds": 86400,
        "End": True,
    }
    bench.machine("ask", machine({"Ask": task}), bench.role("exec", allow("sqs:SendMessage")))
    execution = bench.start(machine_arn("ask"))
    (message,) = until(lambda: bench.sqs.receive_message(QueueUrl=queue).get("Messages"), PATIENCE, "the message")
    return execution, json.loads(message["Body"])["token"]


def test_an_answered_task_is_closed(bench: Bench, asking: tuple[str, str]):
    execution, token = asking
    bench.reached(execution, "TaskSubmitted")
    bench.sfn.send_task_success(taskToken=token, output='{"approved":true}')
    assert json.loads(bench.ended(execution)["output"]) == {"approved": True}
    with refused("TaskTimedOut"):
        bench.sfn.send_task_success(taskToken=token, output="{}")
    with refused("InvalidToken"):
        bench.sfn.send_task_success(taskToken="not-a-token", output="{}")


def test_a_rejection_is_the_tasks_error(bench: Bench, asking: tuple[str, str]):
    execution, token = asking
    bench.sfn.send_task_failure(taskToken=token, error="Windlass.Rejected", cause="ann: not today")
    done = bench.ended(execution)
    assert (done["status"], done["error"], done["cause"]) == ("FAILED", "Windlass.Rejected", "ann: not today")


def test_a_stopped_executions_task_is_closed(bench: Bench, asking: tuple[str, str]):
    execution, token = asking
    bench.sfn.stop_execution(executionArn=execution)
    assert bench.sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"
    with refused("TaskTimedOut"):
        bench.sfn.send_task_success(taskToken=token, output="{}")


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
    task = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Arguments": {"QueueUrl": queue, "MessageBody": "x"}, "End": True}
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
    )
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Arguments": {"StateMachineArn": machine_arn("child"), "Input": {}},
        "Output": "{% $states.result.Output.answer %}",
        "End": True,
    }
    assert bench.run({"T": task}, role)["output"] == "42"


# --- Distributed Map ------------------------------------------------------------------------------------------------------------------


def distributed(items: list, state: dict, **more: object) -> dict:
    """A Distributed Map whose children run one state."""
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "Each", "States": {"Each": state}}
    return {"Map": {"Type": "Map", "Label": "nodes", "Items": items, "ItemProcessor": processor, "End": True, **more}}


FAIL_ODD = {
    "Type": "Choice",
    "Choices": [{"Condition": "{% $states.input % 2 = 1 %}", "Next": "No"}],
    "Default": "Yes",
}


def odd_fails(items: list, **more: object) -> dict:
    """A Distributed Map whose odd items fail."""
    states = distributed(items, FAIL_ODD, **more)
    states["Map"]["ItemProcessor"]["States"] |= {
        "No": {"Type": "Fail", "Error": "Odd", "Cause": "odd"},
        "Yes": PASS,
    }
    return states


def map_run(bench: Bench, execution: str) -> str:
    """The map run that an execution has started."""
    bench.reached(execution, "MapRunStarted")
    (started,) = [event for event in bench.history(execution) if event["type"] == "MapRunStarted"]
    return started["mapRunStartedEventDetails"]["mapRunArn"]


def test_children_are_executions_of_their_own(bench: Bench):
    role = bench.role("exec", allow("states:StartExecution"))
    done = bench.run(distributed([1, 2, 3], PASS | {"Output": "{% $states.input * 10 %}"}), role)
    assert json.loads(done["output"]) == [10, 20, 30]
    arn = map_run(bench, done["executionArn"])
    assert arn.startswith(f"arn:aws:states:{REGION}:{ACCOUNT_ID}:mapRun:flow/nodes:")
    children = bench.sfn.list_executions(mapRunArn=arn)["executions"]
    assert {(child["status"], child["mapRunArn"], child["stateMachineArn"]) for child in children} == {
        ("SUCCEEDED", arn, machine_arn("flow/nodes"))
    }
    described = [bench.sfn.describe_execution(executionArn=child["executionArn"]) for child in children]
    assert sorted((child["input"], child["output"]) for child in described) == [("1", "10"), ("2", "20"), ("3", "30")]
    assert bench.types(children[0]["executionArn"]) == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
    assert [item["name"] for item in bench.sfn.list_executions(stateMachineArn=machine_arn("flow"))["executions"]] == ["run"]
    assert len(bench.history(done["executionArn"])) == 2 + 6  # start and end, and six for a Distributed Map
    counts = bench.sfn.describe_map_run(mapRunArn=arn)["itemCounts"]
    assert (counts["total"], counts["succeeded"], counts["pending"], counts["running"]) == (3, 3, 0, 0)


def test_children_of_a_version_are_found_too(bench: Bench):
    bench.machine("flow", machine(distributed([1], PASS)), bench.role("exec", allow("states:StartExecution")), publish=True)
    execution = bench.start(machine_arn("flow:1"))
    bench.ended(execution)
    (child,) = bench.sfn.list_executions(mapRunArn=map_run(bench, execution))["executions"]
    assert child["executionArn"].startswith(f"arn:aws:states:{REGION}:{ACCOUNT_ID}:execution:flow/nodes:")


def test_children_cannot_read_outer_variables(bench: Bench):
    states = {"A": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "Map"}, **distributed([1], PASS | {"Output": "{% $outer %}"})}
    done = bench.run(states, bench.role("exec", allow("states:StartExecution")))
    assert (done["status"], done["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    states = {
        "A": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "Map"},
        **distributed([1], PASS, ItemSelector={"item": "{% $states.context.Map.Item.Value %}", "given": "{% $outer %}"}),
    }
    done = bench.run(states, bench.role("more", allow("states:StartExecution")), name="selected")
    assert json.loads(done["output"]) == [{"item": 1, "given": 1}]


def test_a_failure_beyond_tolerance_fails_the_map(bench: Bench):
    done = bench.run(odd_fails([2, 3, 4]), bench.role("exec", allow("states:StartExecution")))
    assert (done["status"], done["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    arn = map_run(bench, done["executionArn"])
    described = bench.sfn.describe_map_run(mapRunArn=arn)
    assert (described["status"], described["itemCounts"]["failed"]) == ("FAILED", 1)
    (failed,) = bench.sfn.list_executions(mapRunArn=arn, statusFilter="FAILED")["executions"]
    description = bench.sfn.describe_execution(executionArn=failed["executionArn"])
    assert (description["error"], description["cause"], description["input"]) == ("Odd", "odd", "3")
    assert "MapRunFailed" in bench.types(done["executionArn"])


@pytest.mark.parametrize(
    ("tolerance", "status"),
    [
        ({"ToleratedFailureCount": 1}, "FAILED"),
        ({"ToleratedFailureCount": 2}, "SUCCEEDED"),
        ({"ToleratedFailurePercentage": 40}, "FAILED"),
        ({"ToleratedFailurePercentage": 50}, "SUCCEEDED"),
    ],
)
def test_failures_are_tolerated_as_far_as_said(bench: Bench, tolerance: dict, status: str):
    done = bench.run(odd_fails([1, 2, 3, 4], **tolerance), bench.role("exec", allow("states:StartExecution")))
    assert done["status"] == status


def test_a_failing_map_aborts_the_other_children(bench: Bench):
    states = odd_fails([1, 2, 4])
    states["Map"]["ItemProcessor"]["States"]["Yes"] = FOREVER
    done = bench.run(states, bench.role("exec", allow("states:StartExecution")))
    assert done["error"] == "States.ExceedToleratedFailureThreshold"
    arn = map_run(bench, done["executionArn"])

    def ended() -> bool:
        return not bench.sfn.list_executions(mapRunArn=arn, statusFilter="RUNNING")["executions"]

    until(ended, PATIENCE, "no child ran any more")


def test_a_stopped_parent_aborts_its_map_run(bench: Bench):
    bench.machine("flow", machine(distributed([1, 2, 3], FOREVER, MaxConcurrency=2)), bench.role("exec", allow("states:StartExecution")))
    execution = bench.start(machine_arn("flow"))
    arn = map_run(bench, execution)
    until(lambda: len(bench.sfn.list_executions(mapRunArn=arn)["executions"]) == 2, PATIENCE, "two children")
    bench.sfn.stop_execution(executionArn=execution)
    assert bench.sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"
    until(lambda: bench.sfn.describe_map_run(mapRunArn=arn)["status"] == "ABORTED", PATIENCE, "the map run was aborted")
    children = bench.sfn.list_executions(mapRunArn=arn)["executions"]
    assert [child["status"] for child in children] == ["ABORTED", "ABORTED"]


def test_list_executions_needs_one_arn(bench: Bench):
    with refused("ValidationException"):
        bench.sfn.list_executions()
    with refused("ResourceNotFound"):
        bench.sfn.list_executions(mapRunArn=f"arn:aws:states:{REGION}:{ACCOUNT_ID}:mapRun:flow/nodes:none")
