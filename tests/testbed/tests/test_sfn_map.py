"""Distributed Map: its children as executions, its counts, its tolerance."""

import json

import pytest

from aws_bench import PATIENCE, Bench, allow, bench, machine, machine_arn, refused  # noqa: F401
from testbed.aws import ACCOUNT_ID, REGION
from testbed.waiting import until

PASS = {"Type": "Pass", "End": True}
FOREVER = {"Type": "Wait", "Seconds": 86400, "End": True}


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


def test_children_need_the_right_to_start_them(bench: Bench):
    done = bench.run(distributed([1], PASS), bench.role("exec"))
    assert (done["status"], done["error"]) == ("FAILED", "States.Permissions")
    assert f"is not authorized to perform: states:StartExecution on resource: {machine_arn('flow')}" in done["cause"]
