"""Every StatusDetails of commands and invocations, and what counts: concurrency, error limits, timeouts, cancel."""

import pytest
from ssm_bench import Bench, command_document, hybrid_id, node_id, powershell

LONG = 172_800
HANG = {"rules": [{"outcome": "Hang"}]}
FAIL = {"rules": [{"exitCode": 7, "stdout": "before\n", "stderr": "broken\n"}]}


def endless(bench: Bench) -> str:
    return bench.document(command_document(powershell("main", timeout=LONG)))


def brief(bench: Bench) -> str:
    return bench.document(command_document(powershell("main", timeout=5)))


def counts(command: dict) -> tuple:
    return tuple(command[n] for n in ("TargetCount", "CompletedCount", "ErrorCount", "DeliveryTimedOutCount"))


def test_success(bench: Bench):
    ids = bench.nodes({}, {"id": hybrid_id(2)})
    command = bench.send(bench.document(), ids)
    ended = bench.finished(command)
    assert (ended["Status"], ended["StatusDetails"], counts(ended)) == ("Success", "Success", (2, 2, 0, 0))
    result = bench.result(command, ids[0])
    assert (result["Status"], result["ResponseCode"], result["PluginName"]) == ("Success", 0, "main")
    assert (result["StandardOutputContent"], result["StandardErrorContent"]) == ("WEB-01\n", "")
    assert result["ExecutionElapsedTime"] == "PT1S"
    assert result["ExecutionStartDateTime"] < result["ExecutionEndDateTime"]


def test_failed(bench: Bench):
    ids = bench.nodes(FAIL)
    command = bench.send(bench.document(), ids)
    ended = bench.finished(command)
    assert (ended["Status"], ended["StatusDetails"], counts(ended)) == ("Failed", "Failed", (1, 1, 1, 0))
    result = bench.result(command, ids[0])
    assert (result["Status"], result["ResponseCode"], result["StandardOutputContent"]) == ("Failed", 7, "before\n")
    assert result["StandardErrorContent"] == "broken\nfailed to run commands: exit status 7"


def test_pending_and_in_progress(bench: Bench):
    ids = bench.nodes({"latency": 600, "rules": [{"duration": 600}]}, {})
    command = bench.send(endless(bench), ids, MaxConcurrency="1")
    bench.until(lambda: bench.command(command)["StatusDetails"] == "InProgress", "the command to be delivered")
    assert bench.details(command) == {ids[0]: "InProgress", ids[1]: "Pending"}
    result = bench.result(command, ids[1])
    assert (result["Status"], result["ResponseCode"], result["StandardOutputContent"]) == ("Pending", -1, "")
    assert (result["ExecutionStartDateTime"], result["ExecutionElapsedTime"]) == ("", "")
    assert bench.finished(command)["CompletedCount"] == 2


def test_delayed_until_the_agent_is_there_again(bench: Bench):
    ids = bench.nodes({"rules": [{"outcome": "Offline"}]})
    command = bench.send(endless(bench), ids)
    bench.until(lambda: bench.details(command) == {ids[0]: "Delayed"}, "delivery to be tried")
    assert (bench.command(command)["Status"], bench.command(command)["StatusDetails"]) == ("InProgress", "Delayed")
    bench.change(ids[0], rules=[])
    assert bench.finished(command)["Status"] == "Success"


def test_delivery_timed_out(bench: Bench):
    ids = bench.nodes({"rules": [{"outcome": "Offline"}]})
    command = bench.send(brief(bench), ids, TimeoutSeconds=30)
    ended = bench.finished(command)
    assert (ended["Status"], ended["StatusDetails"], counts(ended)) == ("TimedOut", "DeliveryTimedOut", (1, 1, 0, 1))
    invocation = bench.invocations(command)[ids[0]]
    assert (invocation["Status"], invocation["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    assert bench.result(command, ids[0])["ResponseCode"] == -1


def test_a_command_that_could_not_start_in_time_does_not_run_when_the_agent_is_back(bench: Bench):
    ids = bench.nodes({"rules": [{"outcome": "Offline"}]})
    document = bench.document(command_document(powershell("main", timeout=400)))
    command = bench.send(document, ids, TimeoutSeconds=30)
    bench.passed(31)
    bench.change(ids[0], rules=[{"stdout": "too late"}])
    assert bench.finished(command)["StatusDetails"] == "DeliveryTimedOut"
    assert bench.result(command, ids[0])["StandardOutputContent"] == ""


def test_execution_timed_out(bench: Bench):
    ids = bench.nodes({"rules": [{"duration": 6, "stdout": "so far\n"}]}, {"platform": "Linux", "powershell": True, **HANG})
    command = bench.send(brief(bench), ids)
    ended = bench.finished(command)
    assert (ended["Status"], ended["StatusDetails"], counts(ended)) == ("TimedOut", "ExecutionTimedOut", (2, 2, 2, 0))
    results = [bench.result(command, node) for node in ids]
    assert [(r["Status"], r["StatusDetails"], r["ResponseCode"]) for r in results] == [
        ("TimedOut", "ExecutionTimedOut", -1),
        ("TimedOut", "ExecutionTimedOut", 137),
    ]
    assert results[0]["StandardOutputContent"] == "so far\n"


def test_undeliverable(bench: Bench):
    ids = bench.nodes({"ping": "ConnectionLost"}, {"ping": "Inactive"}, {"rules": [{"outcome": "Undeliverable"}]})
    command = bench.send(bench.document(), ids)
    ended = bench.finished(command)
    assert (ended["Status"], counts(ended)) == ("Failed", (3, 3, 0, 0))
    for invocation in bench.invocations(command).values():
        assert (invocation["Status"], invocation["StatusDetails"]) == ("Failed", "Undeliverable")
    assert bench.result(command, ids[0])["ResponseCode"] == -1


def test_a_target_id_without_a_node_is_undeliverable(bench: Bench):
    bench.nodes({})
    command = bench.send(bench.document(), Targets=[{"Key": "InstanceIds", "Values": [node_id(1), node_id(9)]}])
    assert bench.finished(command)["Status"] == "Success"
    assert bench.details(command) == {node_id(1): "Success", node_id(9): "Undeliverable"}


def test_access_denied(bench: Bench):
    ids = bench.nodes({"rules": [{"outcome": "AccessDenied"}]})
    command = bench.send(bench.document(), ids)
    ended = bench.finished(command)
    assert (ended["Status"], counts(ended)) == ("Failed", (1, 1, 0, 0))
    invocation = bench.invocations(command)[ids[0]]
    assert (invocation["Status"], invocation["StatusDetails"]) == ("Failed", "AccessDenied")


def test_invalid_platform(bench: Bench):
    ids = bench.nodes({"platform": "Linux"})
    document = bench.document(command_document(powershell("main", precondition=["platformType", "Windows"])))
    command = bench.send(document, Targets=[{"Key": "tag:Role", "Values": ["web"]}])
    assert bench.finished(command)["Status"] == "Failed"
    invocation = bench.invocations(command)[ids[0]]
    assert (invocation["Status"], invocation["StatusDetails"]) == ("Failed", "InvalidPlatform")


def test_terminated_when_there_were_more_errors_than_max_errors(bench: Bench):
    ids = bench.nodes({}, FAIL, FAIL, {}, {})
    command = bench.send(bench.document(), ids, MaxConcurrency="1", MaxErrors="1")
    ended = bench.finished(command)
    assert (ended["Status"], ended["StatusDetails"], counts(ended)) == ("Failed", "Failed", (5, 5, 2, 0))
    assert list(bench.details(command).values()) == ["Success", "Failed", "Failed", "Terminated", "Terminated"]
    assert bench.result(command, ids[4])["StandardOutputContent"] == ""


def test_what_runs_already_when_the_error_limit_is_reached_goes_on(bench: Bench):
    ids = bench.nodes(FAIL, {"rules": [{"duration": 60}]}, {})
    command = bench.send(bench.document(), ids, MaxConcurrency="2")
    bench.finished(command)
    assert bench.details(command) == {ids[0]: "Failed", ids[1]: "Success", ids[2]: "Terminated"}


@pytest.mark.parametrize(
    ("limit", "failing", "status"),
    [("10%", 2, "Incomplete"), ("10%", 3, "Failed"), ("2", 2, "Incomplete"), ("2", 3, "Failed"), ("100%", 20, "Incomplete")],
)
def test_max_errors_is_a_number_or_a_share_of_the_targets(bench: Bench, limit: str, failing: int, status: str):
    ids = bench.nodes(*[FAIL] * failing, *[{}] * (20 - failing))
    ended = bench.finished(bench.send(bench.document(), ids, MaxErrors=limit))
    assert (ended["StatusDetails"], ended["Status"], ended["ErrorCount"]) == (status, "Failed", failing)


@pytest.mark.parametrize(("limit", "at_once"), [("1", 1), ("3", 3), ("25%", 2), ("1%", 1), ("100%", 8)])
def test_max_concurrency_is_a_number_or_a_share_of_the_targets(bench: Bench, limit: str, at_once: int):
    ids = bench.nodes(*[HANG] * 8)
    command = bench.send(endless(bench), ids, MaxConcurrency=limit)
    running = bench.until(lambda: [d for d in bench.details(command).values() if d == "InProgress"], "scripts to run")
    assert len(running) == at_once


def test_a_command_by_targets_begins_with_one_node(bench: Bench):
    ids = bench.nodes(*[{"rules": [{"duration": 400}]}] * 7)
    command = bench.send(endless(bench), Targets=[{"Key": "tag:Role", "Values": ["web"]}])
    running = bench.until(lambda: [n for n, d in bench.details(command).items() if d == "InProgress"], "the first node")
    assert running == ids[:1]
    starts = sorted(bench.result(command, node)["ExecutionStartDateTime"] for node in ids if bench.finished(command))
    rounds = [starts.index(s) for s in starts]
    assert rounds == [0, 1, 1, 3, 3, 3, 3]


def test_cancelling_then_cancelled(bench: Bench):
    ids = bench.nodes(HANG, HANG, {})
    command = bench.send(endless(bench), ids, MaxConcurrency="2")
    bench.until(lambda: list(bench.details(command).values()).count("InProgress") == 2, "two scripts to run")
    bench.change(ids[1], rules=[], ping="ConnectionLost")  # its agent will not hear of it
    bench.ssm.cancel_command(CommandId=command)
    assert bench.details(command)[ids[2]] == "Cancelled"
    assert (bench.command(command)["Status"], bench.details(command)[ids[1]]) == ("Cancelling", "Cancelling")
    bench.until(lambda: bench.details(command)[ids[0]] == "Cancelled", "the first agent to obey")
    result = bench.result(command, ids[0])
    assert (result["Status"], result["ResponseCode"]) == ("Cancelled", -1)
    bench.change(ids[1], ping="Online")
    ended = bench.finished(command)
    assert (ended["Status"], ended["StatusDetails"], counts(ended)) == ("Cancelled", "Cancelled", (3, 3, 0, 0))


def test_cancel_can_name_nodes(bench: Bench):
    ids = bench.nodes({"rules": [{"duration": 500}]}, HANG)
    command = bench.send(endless(bench), ids)
    bench.ssm.cancel_command(CommandId=command, InstanceIds=[ids[1]])
    bench.until(lambda: bench.details(command)[ids[1]] == "Cancelled", "the second to be cancelled")
    assert bench.details(command)[ids[0]] == "InProgress"
    bench.finished(command)
    assert bench.details(command)[ids[0]] == "Success"


def test_cancel_before_the_targets_were_found(bench: Bench):
    bench.control.eventual(targetResolutionSeconds=400)
    bench.nodes({})
    command = bench.send(bench.document(), Targets=[{"Key": "tag:Role", "Values": ["web"]}])
    bench.ssm.cancel_command(CommandId=command)
    assert bench.finished(command)["Status"] == "Cancelled"


def test_a_node_that_dies_during_the_run_says_nothing_more(bench: Bench):
    ids = bench.nodes({"rules": [{"outcome": "TerminatedDuringRun", "duration": 2}]})
    command = bench.send(brief(bench), ids, TimeoutSeconds=600)
    bench.until(lambda: bench.node(ids[0])["ping"] == "ConnectionLost", "the node to die")
    assert bench.details(command) == {ids[0]: "InProgress"}
    ended = bench.finished(command)
    assert (ended["StatusDetails"], counts(ended)) == ("DeliveryTimedOut", (1, 1, 0, 1))


def test_failed_wins_over_timed_out_wins_over_success_among_the_steps_of_a_node(bench: Bench):
    rules = [{"match": "slow", "outcome": "Hang"}, {"match": "bad", "exitCode": 1}]
    ids = bench.nodes({"rules": rules})
    steps = {name: powershell(name, name, timeout=5) for name in ("slow", "bad", "good")}
    both = bench.document(command_document(*steps.values()), name="all-three")
    slow = bench.document(command_document(steps["slow"], steps["good"]), name="two")
    first, second = bench.send(both, ids), bench.send(slow, ids)
    assert (bench.finished(first)["StatusDetails"], bench.finished(second)["StatusDetails"]) == ("Failed", "ExecutionTimedOut")
    plugins = bench.invocations(first, Details=True)[ids[0]]["CommandPlugins"]
    assert [p["StatusDetails"] for p in plugins] == ["ExecutionTimedOut", "Failed", "Success"]
