"""Containers, run: branches, cases, and what runs after a failure and at the end."""

import pytest
from conftest import Account, node_id

from testbed.waiting import until

DISK = '{"free": 7}'


def checks(account: Account, free: str = DISK) -> None:
    """One node with a disk and a state."""
    account.nodes(1)
    account.rule(1, "Get-Free", stdout=free)
    account.rule(1, "Get-State", stdout="fine")


# --- parallel ------------------------------------------------------------------------------------------------------------------------


def test_branches_give_their_results(account: Account):
    checks(account)
    ended = account.deploy("13-parallel").run(late=True)
    # The race waits for its slow branch.
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("sum")["output"] == {"free": 7, "state": "fine", "inner": "fine!", "skipped": True}
    assert {"checks/free done", "checks/state done", "checks/deeper/one done", "checks/deeper done"} <= set(ended.steps())
    assert ended.steps()[-1] == "sum done" and ended.steps().index("checks done") > ended.steps().index("checks/deeper done")


def test_a_branch_that_fails_does_not_stop_the_others_where_they_continue(account: Account):
    checks(account, '{"free": 0}')
    account.rule(1, "Get-State", stdout="fine", duration=60)
    ended = account.deploy("13-parallel").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("checks")["error"] == "Ops.Full"
    noted = "checks/enough: site dc1 has no work left: $work; fine"
    assert ended.report("checks/noted")["output"] == noted
    assert ended.report("sum")["output"] == {"free": 0, "state": "fine", "inner": "fine!", "skipped": False}


def test_a_branch_that_fails_stops_the_others(account: Account):
    checks(account)
    account.rule(1, "Race-Step", exitCode=3, times=2)
    ended = account.deploy("13-parallel").run()
    assert ended.status == "SUCCEEDED", ended.cause
    failed = [report for report in ended.reports if report["step"] == "race"]
    assert [(report["attempt"], report["part"], report["error"]) for report in failed] == [
        (1, "failed", "Windlass.ExitCode"),
        (2, "failed", "Windlass.ExitCode"),
    ]
    assert failed[0]["cause"] == f"1 of 1 nodes failed: WEB-01 ({node_id(1)}): Failed, exit code 3"
    assert ended.report("race/who")["output"] == f"race/try on WEB-01 ({node_id(1)})"
    assert "race/long done" not in ended.steps()
    comments = [command["Comment"] for command in account.commands() if "race/try" in command["Comment"]]
    assert comments == ["windlass:0123456789abcdef:race/try#1.1", "windlass:0123456789abcdef:race/try#2.1"]


def test_branches_have_the_time_that_the_step_has(account: Account):
    checks(account)
    account.control.put_node(account.nodes(1)[0] | {"rules": [{"match": "Get-State", "duration": 30_000}, {"match": "Get-Free", "stdout": DISK}]})
    ended = account.deploy("13-parallel").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.TimedOut"), ended.cause
    assert [command["Status"] for command in account.commands() if "checks/state" in command["Comment"]] == ["Cancelled"]


# --- switch --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "case", "stay", "moved"), [("dc1", "first", None, None), ("dc2", "second", None, None), ("dc3", None, "stay at dc3", None)]
)
def test_the_first_case_that_holds_runs(account: Account, site: str, case: str | None, stay: str | None, moved: str | None):
    account.nodes(1)
    ended = account.deploy("14-switch").run(site=site)
    assert ended.status == "SUCCEEDED", ended.cause
    output = ended.report("sum")["output"]
    assert (output["case"], output["stay"], output.get("moved"), output["maybe"]) == (case, stay, moved, None)
    assert ended.report("choose").get("case") == case
    assert ("choose/inner/run done" in ended.steps()) == (case is not None)


def test_no_case_runs_nothing(account: Account):
    account.nodes(1)
    ended = account.deploy("14-switch").run(site="nowhere")
    assert "maybe/say done" in ended.steps() and ended.report("sum")["output"]["maybe"] == "nowhere"


def test_a_case_that_fails_is_tried_again_and_handled(account: Account):
    account.nodes(1)
    ended = account.deploy("14-switch").run(site="dc1", fail=True)
    assert ended.status == "SUCCEEDED", ended.cause
    assert [step for step in ended.steps() if step.startswith("choose")] == 2 * [
        "choose/inner/halt failed",
        "choose/inner failed",
        "choose failed",
    ] + ["choose/excuse done"]


# --- onFailure and finally -----------------------------------------------------------------------------------------------------------


def test_the_end_runs_after_success(account: Account):
    account.nodes(1)
    ended = account.deploy("15-ends").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.output == {"steps": {"drain": {"succeeded": 1, "failed": 0}, "last": {"succeeded": 1, "failed": 0}}}
    assert ended.steps() == ["drain done", "undo/inner done", "undo done", "check skipped", "last done", "told done", "clear done"]
    assert ended.report("told")["output"] == {"failed": False, "drained": 1, "inner": 7, "paged": None}


def test_a_failure_is_told_and_the_end_runs_all_the_same(account: Account):
    account.nodes(1)
    account.rule(1, "Start-Website", exitCode=9)
    ended = account.deploy("15-ends").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.ExitCode")
    assert ended.cause == f"1 of 1 nodes failed: WEB-01 ({node_id(1)}): Failed, exit code 9"
    paged = f"last on WEB-01 ({node_id(1)}): Windlass.ExitCode"
    assert ended.report("page")["output"] == paged
    assert ended.report("told")["output"] == {"failed": True, "drained": 1, "inner": 7, "paged": paged}
    assert ended.steps()[-3:] == ["mend done", "told done", "clear done"]


def test_what_no_state_can_catch_is_told_too(account: Account):
    """An expression that fails ends an execution wherever it stands; not so here."""
    account.nodes(1)
    ended = account.deploy("15-ends").run(broken=True)
    assert (ended.status, ended.error) == ("FAILED", "Windlass.QueryEvaluationError"), ended.cause
    assert "check: pass" in ended.cause
    assert ended.steps()[-4:] == ["page done", "mend done", "told done", "clear done"]
    # What the steps gave is lost with them.
    paged = ended.report("page")["output"]
    assert paged == "the workflow: States.QueryEvaluationError"
    assert ended.report("told")["output"] == {"failed": True, "drained": None, "inner": None, "paged": paged}


def test_a_failure_after_a_failure_changes_nothing(account: Account):
    account.nodes(1)
    account.rule(1, "Start-Website", exitCode=9)
    account.rule(1, "Repair-Website", exitCode=8)
    account.rule(1, "Clear-Temp", exitCode=7)
    ended = account.deploy("15-ends").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.ExitCode")
    assert "exit code 9" in ended.cause
    assert ended.steps()[-4:] == ["page done", "mend failed", "told done", "clear failed"]


def test_an_end_that_fails_fails_the_run(account: Account):
    account.nodes(1)
    account.rule(1, "Clear-Temp", outcome="AccessDenied")
    ended = account.deploy("15-ends").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.AccessDenied"), ended.cause


def test_a_run_that_is_stopped_in_a_branch_leaves_its_command(account: Account):
    """Nothing in the state machine can cancel it: it is found by its comment."""
    account.nodes(1)
    account.rule(1, "Get-State", duration=3_000)
    account.rule(1, "Get-Free", stdout=DISK)
    machine = account.deploy("13-parallel")
    execution = machine.start()
    until(lambda: [c for c in account.commands() if "checks/state" in c["Comment"] and c["Status"] == "InProgress"], 30, "the command runs")
    account.sfn.stop_execution(executionArn=execution)
    assert machine.end(execution).status == "ABORTED"
    left = [command["Comment"] for command in account.commands() if command["Status"] == "InProgress"]
    assert left == ["windlass:0123456789abcdef:checks/state#1"]
