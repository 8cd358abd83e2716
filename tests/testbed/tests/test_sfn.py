"""Step Functions where LocalStack needed mending, or where Windlass rests on it: definitions, versions, idempotency, stopping,
histories, status events, callbacks."""

import json

import pytest

from aws_bench import PATIENCE, Bench, allow, bench, execution_arn, machine, machine_arn, policy, refused  # noqa: F401
from testbed.aws import ACCOUNT_ID, REGION
from testbed.waiting import until

PASS = {"Type": "Pass", "End": True}
FOREVER = {"Type": "Wait", "Seconds": 86400, "End": True}
LIST = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ssm:listCommands", "Arguments": {}, "End": True}


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


@pytest.mark.parametrize("name", ["with space", "star*", "slash/", "colon:"])
def test_names_follow_awss_rules(bench: Bench, name: str):
    with refused("InvalidName"):
        bench.machine(name, machine({"A": PASS}), bench.role("exec"))
    arn = bench.machine("flow", machine({"A": PASS}))["stateMachineArn"]
    with refused("InvalidName"):
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
    until(lambda: bench.ended(bench.start(machine_arn("flow"), f"later-{next(numbers)}"))["output"] == '"new"', PATIENCE, "the update")


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


def open_queue(bench: Bench, url: str, arn: str, rule: str = "status") -> None:
    """Lets EventBridge bring a rule's events to a queue."""
    source = {"ArnEquals": {"aws:SourceArn": f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/{rule}"}}
    statement = allow("sqs:SendMessage", arn, **source) | {"Principal": {"Service": "events.amazonaws.com"}}
    bench.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy(statement))})


def test_status_events_reach_a_queue(bench: Bench):
    queue = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = bench.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"], "detail": {"status": ["FAILED"]}}
    bench.events.put_rule(Name="status", EventPattern=json.dumps(pattern))
    bench.events.put_targets(Rule="status", Targets=[{"Id": "inbox", "Arn": arn}])
    open_queue(bench, queue, arn)
    bench.machine("flow", machine({"F": {"Type": "Fail", "Error": "No", "Cause": "because"}}), publish=True)
    done = bench.ended(bench.start(machine_arn("flow:1")))
    (message,) = until(lambda: bench.sqs.receive_message(QueueUrl=queue).get("Messages"), PATIENCE, "the event")
    event = json.loads(message["Body"])
    assert event["source"] == "aws.states"
    assert event["resources"] == [done["executionArn"]]
    assert event["detail"]["stateMachineVersionArn"] == machine_arn("flow:1")
    assert (event["detail"]["status"], event["detail"]["error"], event["detail"]["cause"]) == ("FAILED", "No", "because")
    assert event["detail"]["stopDate"] == round(done["stopDate"].timestamp() * 1000)


def status_events(bench: Bench, pattern: dict) -> str:
    """A queue that gets the status events of a pattern; answers its URL."""
    queue = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:inbox"
    bench.events.put_rule(Name="status", EventPattern=json.dumps({"source": ["aws.states"], **pattern}))
    bench.events.put_targets(Rule="status", Targets=[{"Id": "inbox", "Arn": arn}])
    open_queue(bench, queue, arn)
    return queue


def received(bench: Bench, queue: str, number: int) -> list[dict]:
    """The details of this many events, in the order in which they came."""
    found: list[dict] = []

    def enough() -> bool:
        answer = bench.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        found.extend(json.loads(message["Body"])["detail"] for message in answer.get("Messages", []))
        return len(found) >= number

    until(enough, PATIENCE, f"{number} events")
    return found


def test_every_status_has_its_event(bench: Bench):
    queue = status_events(bench, {})
    bench.machine("slow", machine({"W": FOREVER}, TimeoutSeconds=30))
    late = bench.ended(bench.start(machine_arn("slow"), "late", uid="7"))
    stopped = bench.start(machine_arn("slow"), "stopped")
    bench.sfn.stop_execution(executionArn=stopped, error="Windlass.Cancelled", cause="by ann")
    bench.run({"A": PASS | {"Output": {"a": 1}}}, name="good")
    events = {(event["name"], event["status"]): event for event in received(bench, queue, 6)}
    assert set(events) == {
        ("late", "RUNNING"), ("late", "TIMED_OUT"), ("stopped", "RUNNING"), ("stopped", "ABORTED"), ("run", "RUNNING"), ("run", "SUCCEEDED")
    }  # fmt: skip
    # docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    assert events["late", "TIMED_OUT"] == {
        "executionArn": execution_arn("slow", "late"), "stateMachineArn": machine_arn("slow"), "stateMachineVersionArn": None,
        "stateMachineAliasArn": None, "name": "late", "status": "TIMED_OUT", "startDate": round(late["startDate"].timestamp() * 1000),
        "stopDate": round(late["stopDate"].timestamp() * 1000), "input": '{"uid":"7"}', "inputDetails": {"included": True}, "output": None,
        "outputDetails": None, "error": None, "cause": None, "redriveCount": 0, "redriveDate": None, "redriveStatus": "REDRIVABLE",
        "redriveStatusReason": None,
    }  # fmt: skip
    assert (events["stopped", "ABORTED"]["error"], events["stopped", "ABORTED"]["cause"]) == ("Windlass.Cancelled", "by ann")
    assert (events["run", "SUCCEEDED"]["output"], events["run", "SUCCEEDED"]["outputDetails"]) == ('{"a":1}', {"included": True})
    assert (events["run", "RUNNING"]["stopDate"], events["run", "RUNNING"]["redriveStatus"]) == (None, "NOT_REDRIVABLE")


def test_an_event_leaves_out_what_is_too_long_for_it(bench: Bench):
    queue = status_events(bench, {"detail": {"status": ["SUCCEEDED"]}})
    bench.run({"A": PASS | {"Output": "done"}}, long='"' * 90_000)  # escaped three times as long
    (event,) = received(bench, queue, 1)
    assert (event["input"], event["inputDetails"]) == (None, {"included": False})
    assert (event["output"], event["outputDetails"]) == ('"done"', {"included": True})


def test_children_of_a_map_have_status_events(bench: Bench):
    queue = status_events(bench, {"detail": {"status": ["SUCCEEDED"]}})
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "E", "States": {"E": PASS}}
    state = {"Type": "Map", "Label": "each", "Items": [1, 2], "ItemProcessor": processor, "End": True}
    bench.run({"M": state}, bench.role("exec", allow("states:StartExecution")))
    machines = sorted(event["stateMachineArn"] for event in received(bench, queue, 3))
    assert machines == [machine_arn("flow"), machine_arn("flow/each"), machine_arn("flow/each")]


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
