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
        ({"ToleratedFailureCount": "{% 2 - 1 %}"}, "FAILED"),
        ({"ToleratedFailureCount": "{% 1 + 1 %}"}, "SUCCEEDED"),
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


# --- batches and results --------------------------------------------------------------------------------------------------------------


def test_items_come_in_batches(bench: Bench):
    selector = {"v": "{% $states.context.Map.Item.Value %}", "i": "{% $states.context.Map.Item.Index %}"}
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"site": "{% $states.input.site %}"}}
    states = distributed([7, 8, 9], PASS, ItemBatcher=batcher, ItemSelector=selector)
    done = bench.run(states, bench.role("exec", allow("states:StartExecution")), site="HAM")
    assert json.loads(done["output"]) == [
        {"BatchInput": {"site": "HAM"}, "Items": [{"v": 7, "i": 0}, {"v": 8, "i": 1}]},
        {"BatchInput": {"site": "HAM"}, "Items": [{"v": 9, "i": 2}]},
    ]
    arn = map_run(bench, done["executionArn"])
    described = bench.sfn.describe_map_run(mapRunArn=arn)
    assert (described["itemCounts"]["succeeded"], described["executionCounts"]["succeeded"]) == (3, 2)
    assert sorted(child["itemCount"] for child in bench.sfn.list_executions(mapRunArn=arn)["executions"]) == [1, 2]


def test_a_batch_is_bounded_in_bytes(bench: Bench):
    states = distributed(["x" * 100] * 4, PASS, ItemBatcher={"MaxInputBytesPerBatch": 250})
    done = bench.run(states, bench.role("exec", allow("states:StartExecution")))
    assert [len(batch["Items"]) for batch in json.loads(done["output"])] == [2, 2]


def test_a_jsonpath_map_takes_its_bounds_from_paths(bench: Bench):
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Each",
        "States": {"Each": PASS},
    }
    state = {
        "Type": "Map", "ItemsPath": "$.items", "MaxConcurrencyPath": "$.most", "ToleratedFailureCountPath": "$.failures",
        "ItemBatcher": {"MaxItemsPerBatchPath": "$.size", "BatchInput": {"site.$": "$.site"}}, "ItemProcessor": processor, "End": True,
    }  # fmt: skip
    arn = bench.machine("flow", {"StartAt": "Map", "States": {"Map": state}}, bench.role("exec", allow("states:StartExecution")))
    execution = bench.start(arn["stateMachineArn"], items=[1, 2, 3], most=1, failures=2, size=2, site="HAM")
    assert json.loads(bench.ended(execution)["output"]) == [
        {"BatchInput": {"site": "HAM"}, "Items": [1, 2]},
        {"BatchInput": {"site": "HAM"}, "Items": [3]},
    ]
    described = bench.sfn.describe_map_run(mapRunArn=map_run(bench, execution))
    assert (described["maxConcurrency"], described["toleratedFailureCount"]) == (1, 2)


def test_a_tolerated_failure_gives_its_executions_data(bench: Bench):
    done = bench.run(odd_fails([2, 3], ToleratedFailureCount=1), bench.role("exec", allow("states:StartExecution")))
    succeeded, failed = json.loads(done["output"])
    assert succeeded == 2
    assert (failed["Status"], failed["Error"], failed["Cause"], failed["Input"]) == ("FAILED", "Odd", "odd", "3")
    (child,) = bench.sfn.list_executions(mapRunArn=map_run(bench, done["executionArn"]), statusFilter="FAILED")["executions"]
    assert (failed["ExecutionArn"], failed["Name"]) == (child["executionArn"], child["name"])


@pytest.mark.parametrize("tolerance", [1, 0], ids=["tolerated", "failing"])
def test_results_are_written_to_a_bucket(bench: Bench, tolerance: int):
    s3 = bench.client("s3")
    s3.create_bucket(Bucket=f"results-{tolerance}", CreateBucketConfiguration={"LocationConstraint": REGION})
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": f"results-{tolerance}", "Prefix": "maps"}}
    role = bench.role("exec", allow("states:StartExecution"), allow("s3:PutObject", f"arn:aws:s3:::results-{tolerance}/maps/*"))
    done = bench.run(odd_fails([2, 3], ToleratedFailureCount=tolerance, MaxConcurrency=1, ResultWriter=writer), role)
    arn = map_run(bench, done["executionArn"])
    key = f"maps/{arn.rsplit(':', 1)[-1]}/manifest.json"
    if tolerance:
        assert json.loads(done["output"]) == {"MapRunArn": arn, "ResultWriterDetails": {"Bucket": f"results-{tolerance}", "Key": key}}
    else:
        assert done["error"] == "States.ExceedToleratedFailureThreshold"

    def read(name: str) -> object:
        return json.load(s3.get_object(Bucket=f"results-{tolerance}", Key=name)["Body"])

    manifest = read(key)
    assert (manifest["DestinationBucket"], manifest["MapRunArn"]) == (f"results-{tolerance}", arn)
    (good,) = read(manifest["ResultFiles"]["SUCCEEDED"][0]["Key"])
    (bad,) = read(manifest["ResultFiles"]["FAILED"][0]["Key"])
    assert (good["Status"], good["Input"], good["Output"], bad["Status"], bad["Error"]) == ("SUCCEEDED", "2", "2", "FAILED", "Odd")


def test_results_need_the_right_to_write_them(bench: Bench):
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Arguments": {"Bucket": "results", "Prefix": "maps"}}
    done = bench.run(distributed([1], PASS, ResultWriter=writer), bench.role("exec", allow("states:StartExecution")))
    assert done["error"] == "States.ResultWriterFailed"
    assert "is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::results/maps/" in done["cause"]


def test_results_are_shaped_without_a_bucket(bench: Bench):
    state = PASS | {"Output": "{% [$states.input, $states.input] %}"}
    states = distributed([1, 2], state, ResultWriter={"WriterConfig": {"Transformation": "FLATTEN", "OutputType": "JSON"}})
    assert bench.run(states, bench.role("exec", allow("states:StartExecution")))["output"] == "[1,1,2,2]"


# --- looking in -----------------------------------------------------------------------------------------------------------------------


def test_map_runs_and_children_are_listed_in_pages(bench: Bench):
    states = {"A": distributed([1, 2, 3], PASS)["Map"], "B": distributed([4], PASS)["Map"] | {"Label": "second"}}
    del states["A"]["End"]
    states["A"]["Next"] = "B"
    states["B"]["ItemProcessor"] = states["B"]["ItemProcessor"] | {"StartAt": "Other", "States": {"Other": PASS}}
    done = bench.run(states, bench.role("exec", allow("states:StartExecution")))
    runs = bench.sfn.get_paginator("list_map_runs").paginate(executionArn=done["executionArn"], PaginationConfig={"PageSize": 1})
    labels = [[run["stateMachineArn"].rsplit("/", 1)[-1] for run in page["mapRuns"]] for page in runs]
    assert labels == [["nodes"], ["second"]]
    first = bench.sfn.list_map_runs(executionArn=done["executionArn"])["mapRuns"][0]["mapRunArn"]
    pages = list(bench.sfn.get_paginator("list_executions").paginate(mapRunArn=first, PaginationConfig={"PageSize": 2}))
    assert [len(page["executions"]) for page in pages] == [2, 1]
    child = bench.sfn.describe_execution(executionArn=pages[0]["executions"][0]["executionArn"])
    assert (child["mapRunArn"], child["redriveStatus"]) == (first, "NOT_REDRIVABLE")
    assert bench.sfn.list_map_runs(executionArn=child["executionArn"])["mapRuns"] == []
    with refused("ResourceNotFound"):
        bench.sfn.describe_map_run(mapRunArn=first + "0")


def test_counts_are_live(bench: Bench):
    states = distributed([1, 2, 3], FOREVER, MaxConcurrency="{% $states.input.most %}")
    bench.machine("flow", machine(states), bench.role("exec", allow("states:StartExecution")))
    execution = bench.start(machine_arn("flow"), most=2)
    arn = map_run(bench, execution)

    def counts() -> dict:
        return bench.sfn.describe_map_run(mapRunArn=arn)["itemCounts"]

    until(lambda: counts()["running"] == 2, PATIENCE, "two children")
    assert (counts()["pending"], counts()["total"]) == (1, 3)
    child = bench.sfn.list_executions(mapRunArn=arn)["executions"][0]["executionArn"]
    bench.sfn.stop_execution(executionArn=child, error="Windlass.Cancelled")
    until(lambda: (counts()["running"], counts()["aborted"]) == (2, 1), PATIENCE, "the third child took its place")
    bench.sfn.stop_execution(executionArn=execution)
    until(lambda: counts()["aborted"] == 3, PATIENCE, "all were aborted")


def test_a_child_has_a_context_of_its_own(bench: Bench):
    state = PASS | {"Output": "{% {'id': $states.context.Execution.Id, 'machine': $states.context.StateMachine.Id} %}"}
    done = bench.run(distributed([1], state), bench.role("exec", allow("states:StartExecution")))
    (child,) = bench.sfn.list_executions(mapRunArn=map_run(bench, done["executionArn"]))["executions"]
    assert json.loads(done["output"]) == [{"id": child["executionArn"], "machine": machine_arn("flow/nodes")}]
    done = bench.run(
        distributed([1], PASS | {"Output": "{% $states.context.Map.Item.Index %}"}),
        bench.role("other", allow("states:StartExecution")),
        name="outer",
    )
    assert done["error"] == "States.ExceedToleratedFailureThreshold"


@pytest.mark.matrix
@pytest.mark.parametrize("config", [{"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, {"Mode": "INLINE"}], ids=["distributed", "inline"])
def test_more_items_than_pythons_recursion_limit_one_after_the_other(bench: Bench, config: dict):
    states = distributed(list(range(1100)), PASS | {"Output": 1}, MaxConcurrency=1)
    states["Map"]["ItemProcessor"]["ProcessorConfig"] = config
    arn = bench.machine("flow", machine(states), bench.role("exec", allow("states:StartExecution")))["stateMachineArn"]
    execution = bench.start(arn)
    done = until(lambda: bench.sfn.describe_execution(executionArn=execution)["status"] != "RUNNING", 120, "the map") and bench.ended(execution)
    assert len(json.loads(done["output"])) == 1100
