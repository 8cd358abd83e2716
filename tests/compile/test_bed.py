"""The golden definitions, run: what a step makes of what nodes and Systems Manager do."""

import base64
import json
import re
from urllib.parse import unquote

import pytest
from conftest import Account, node_id

from testbed.waiting import until

JSON = json.dumps({"Name": "C", "Free": 7})


def test_every_node_succeeds(account: Account):
    account.nodes(1, 2, 3)
    for number in (1, 2, 3):
        account.rule(number, ".", stdout=JSON, duration=30)
    ended = account.deploy("01-hello").run()
    assert (ended.status, ended.cause) == ("SUCCEEDED", None)
    assert ended.output == {"steps": {"report": {"succeeded": 3, "failed": 0}}}
    (report,) = ended.reports
    (command,) = account.commands()
    assert (report["step"], report["attempt"], report["plugin"]) == ("report", 1, "report")
    assert (report["commandId"], command["Comment"]) == (command["CommandId"], "windlass:0123456789abcdef:report#1")
    assert report["counts"] == {"total": 3, "succeeded": 3, "failed": 0}
    assert {(node["id"], node["name"], node["status"], node["exitCode"], node["stdout"]) for node in report["nodes"]} == {
        (node_id(number), f"WEB-0{number}", "Success", 0, JSON) for number in (1, 2, 3)
    }


def test_one_node_exits_5(account: Account):
    account.nodes(1, 2, 3)
    account.rule(2, ".", exitCode=5, stdout="half", stderr="the disk is full")
    for number in (1, 3):
        account.rule(number, ".", stdout=JSON)
    ended = account.deploy("01-hello").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.ExitCode")
    assert ended.cause == f"1 of 3 nodes failed: WEB-02 ({node_id(2)}): Failed, exit code 5"
    report = ended.report("report")
    assert report["counts"] == {"total": 3, "succeeded": 2, "failed": 1}
    assert report["nodes"][0] | {"stdout": ""} == {"id": node_id(2), "name": "WEB-02", "status": "Failed", "exitCode": 5, "stdout": ""}
    assert report["nodes"][0]["stdout"] == "half"


@pytest.mark.parametrize(
    ("outcome", "error", "status"),
    [
        ("Undeliverable", "Windlass.NodeUnreachable", "Undeliverable"),
        ("AccessDenied", "Windlass.AccessDenied", "AccessDenied"),
        ("Hang", "Windlass.TimedOut", "ExecutionTimedOut"),
    ],
)
def test_what_systems_manager_does_not_count_as_an_error_fails_the_step(account: Account, outcome: str, error: str, status: str):
    account.nodes(1, 2)
    account.rule(1, ".", stdout=JSON)
    account.rule(2, ".", outcome=outcome)
    ended = account.deploy("01-hello").run()
    assert (ended.status, ended.error) == ("FAILED", error), ended.cause
    report = ended.report("report")
    assert [node["status"] for node in report["nodes"]] == [status, "Success"]
    assert report["counts"] == {"total": 2, "succeeded": 1, "failed": 1}


def test_after_the_first_failure_no_further_node_is_sent_to(account: Account):
    """Systems Manager begins with one node, and sends no more once there are more errors than MaxErrors."""
    account.nodes(1, 2, 3)
    account.rule(1, ".", exitCode=5)
    ended = account.deploy("01-hello").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.ExitCode"), ended.cause
    assert [node["status"] for node in ended.report("report")["nodes"]] == ["Failed", "Terminated", "Terminated"]


def test_the_last_of_many_nodes_begins_when_the_others_have_ended(account: Account):
    """Systems Manager brings a command that goes to tags to one node, then to two, then to four: the eighth begins in the fourth round."""
    numbers = range(1, 9)
    account.nodes(*numbers)
    for number in numbers:
        account.rule(number, ".", stdout=JSON, duration=400)
    ended = account.deploy("01-hello").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("report")["counts"] == {"total": 8, "succeeded": 8, "failed": 0}


def test_zero_targets_is_no_success(account: Account):
    account.nodes(1, tags={"OS": "Windows", "Role": "mail"})
    ended = account.deploy("01-hello").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.NoTargets")
    assert ended.cause == "no managed node has these tags: OS in [Windows] and Role in [web]"


def test_an_offline_node_is_unreachable(account: Account):
    account.nodes(1, ping="ConnectionLost")
    ended = account.deploy("01-hello").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.NodeUnreachable"), ended.cause
    assert ended.report("report")["nodes"][0]["status"] in ("Undeliverable", "DeliveryTimedOut")


def test_a_node_that_is_lost_while_it_runs_cancels_the_command_in_time(account: Account):
    """Nobody reports an end: the step's own timeout does, and reads what there is. The next try does not reach the node at all."""
    account.nodes(1)
    account.rule(1, ".", outcome="TerminatedDuringRun", duration=5)
    ended = account.deploy("05-retry").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.NodeUnreachable"), ended.cause
    first = ended.reports[0]
    assert first["error"] == "Windlass.TimedOut"
    assert first["cause"] == "the command had not ended 600 s after it was sent, and was cancelled"
    assert [node["id"] for node in first["nodes"]] == [node_id(1)]
    assert account.control.count("ssm", "CancelCommand") >= 1
    # Both errors are in the first entry, which allows one more try.
    assert [report["attempt"] for report in ended.reports if report["step"] == "install"] == [1, 2]


def test_invocations_that_are_late_are_waited_for(account: Account):
    account.control.eventual(invocationVisibleSeconds=36_000)
    account.nodes(1, 2)
    for number in (1, 2):
        account.rule(number, ".", stdout=JSON, duration=0)
    machine = account.deploy("01-hello")
    execution = machine.start()
    until(lambda: "report: lag" in machine.states(execution), 30, "the invocations were missed")
    account.control.eventual(invocationVisibleSeconds=0)
    ended = machine.end(execution)
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("report")["counts"]["total"] == 2


def test_many_nodes_are_read_page_by_page(account: Account):
    account.nodes(*range(1, 61))
    account.rule(60, ".", exitCode=9)
    for number in range(1, 60):
        account.rule(number, ".", stdout="1")
    ended = account.deploy("04-when").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.ExitCode")
    report = ended.report("count")
    assert report["counts"]["total"] == 60 and len(report["nodes"]) == 50
    assert report["nodes"][0]["id"] == node_id(60), "failed nodes come first"
    assert ended.states.count("count: collect") > 2


# --- what calls meet -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["SendCommand", "ListCommands", "ListCommandInvocations", "GetCommandInvocation"])
def test_throttled_calls_are_made_again(account: Account, operation: str):
    account.nodes(1)
    account.rule(1, ".", stdout=JSON)
    account.control.fault("Throttle", "ssm", operation, count=2)
    ended = account.deploy("01-hello").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert account.control.faults()[0]["hit"] == 2
    assert len(account.commands()) == 1


def test_a_send_without_an_answer_is_found_and_not_repeated(account: Account):
    account.nodes(1)
    account.rule(1, ".", stdout=JSON)
    account.control.fault("ErrorAfter", "ssm", "SendCommand", status=500)
    machine = account.deploy("01-hello")
    ended = machine.run()
    assert ended.status == "SUCCEEDED", ended.cause
    (command,) = account.commands()
    assert ended.report("report")["commandId"] == command["CommandId"]


@pytest.mark.parametrize("kind", ["ResetAfter", "ErrorAfter"])
def test_whatever_way_the_answer_is_lost(account: Account, kind: str):
    account.nodes(1)
    account.rule(1, ".", stdout=JSON)
    account.control.fault(kind, "ssm", "SendCommand", status=503, code="ServiceUnavailable")
    ended = account.deploy("01-hello").run()
    assert (ended.status, len(account.commands())) == ("SUCCEEDED", 1), ended.cause


def test_a_send_that_never_arrived_fails_with_the_reason(account: Account):
    account.nodes(1)
    account.control.fault("ErrorBefore", "ssm", "SendCommand", status=500)
    ended = account.deploy("01-hello").run()
    assert (ended.status, ended.error) == ("FAILED", "Ssm.InternalServerErrorException")
    assert "SendCommand gave no answer" in ended.cause and "it was not sent again" in ended.cause
    assert account.commands() == [] and ended.states.count("report: find") == 3


def test_a_denied_send_says_what_is_missing(account: Account):
    account.nodes(1)
    machine = account.deploy("01-hello")
    for policy in account.iam.list_role_policies(RoleName=machine.role)["PolicyNames"]:
        account.iam.delete_role_policy(RoleName=machine.role, PolicyName=policy)
    ended = machine.run()
    assert (ended.status, ended.error) == ("FAILED", "Ssm.SsmException")
    assert "not authorized to perform: ssm:SendCommand on resource" in ended.cause
    assert ended.report("report")["commandId"] is None


def test_a_denied_poll_cancels_the_command(account: Account):
    account.nodes(1)
    account.rule(1, ".", duration=36_000)
    account.control.fault("Denied", "ssm", "ListCommands", count=-1)
    ended = account.deploy("01-hello").run()
    assert ended.status == "FAILED" and "ListCommands" in ended.cause, ended.cause
    account.control.clear_faults()
    (command,) = account.commands()
    assert command["Status"] in ("Cancelled", "Cancelling")
    assert ended.report("report")["nodes"][0]["id"] == node_id(1)


def test_a_command_that_is_cancelled_by_hand_says_so(account: Account):
    account.nodes(1)
    account.rule(1, ".", duration=3_000)
    machine = account.deploy("01-hello")
    execution = machine.start()
    command = until(lambda: [c for c in account.commands() if c["Status"] == "InProgress"], 30, "the command runs")[0]
    account.ssm.cancel_command(CommandId=command["CommandId"])
    ended = machine.end(execution)
    assert (ended.status, ended.error) == ("FAILED", "Windlass.Cancelled"), ended.cause


# --- output and arguments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("printed", ["", "Name Used\n---- ----", '{"a": 1', "{not json}", "1 2", '{"a": 1}\r\ndone'])
def test_one_nodes_output_must_be_json(account: Account, printed: str):
    account.nodes(1)
    account.rule(1, ".", stdout=printed)
    ended = account.deploy("01-hello").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.InvalidOutput"), ended.cause
    assert f"WEB-01 ({node_id(1)}): not JSON" in ended.cause


@pytest.mark.parametrize(("printed", "told"), [("Name Used", True), ("{not json}", False)])
def test_one_of_several_nodes_output_must_be_json_too(account: Account, printed: str, told: bool):
    account.nodes(1, 2, 3)
    for number in (1, 3):
        account.rule(number, ".", stdout=JSON)
    account.rule(2, ".", stdout=printed)
    ended = account.deploy("01-hello").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.InvalidOutput"), ended.cause
    if told:
        assert f"WEB-02 ({node_id(2)}): not JSON" in ended.cause
        assert ended.report("report")["nodes"][0]["id"] == node_id(2)
    else:
        assert ended.cause == "the output of one of 3 nodes is not JSON"
    assert ended.report("report")["counts"]["total"] == 3


def test_results_of_one_node(account: Account):
    account.nodes(1)
    long = "x" * 20_000
    account.rule(1, "Get-Secret", stdout="hush", stderr="and a warning")
    account.rule(1, "hostname", stdout=long)
    account.rule(1, "free = 7", stdout='[{"free": 7}, "ü"]\r\n', stderr="a warning")
    ended = account.deploy("08-outputs").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert "stdout" not in ended.report("none")["nodes"][0]
    assert ended.report("sum")["output"] == {"none": 1, "text": long, "code": 0, "json": [{"free": 7}, "ü"], "each": []}


def test_results_of_several_nodes(account: Account):
    account.nodes(1, 2)
    for number in (1, 2):
        account.rule(number, "free = 7", stdout=f'{{"free": {number}}}', stderr="a warning")
    ended = account.deploy("08-outputs").run()
    assert ended.status == "SUCCEEDED", ended.cause
    output = ended.report("sum")["output"]
    assert sorted(output.pop("each")) == [1, 2]
    assert output == {"none": 2, "text": None, "code": None, "json": None}
    assert all("output" not in node for node in ended.report("json")["nodes"])


def test_a_reboot_that_a_script_asks_for_is_noted(account: Account):
    account.nodes(1, 2)
    for number in (1, 2):
        account.rule(number, ".", stdout=JSON, stderr="windlass: a reboot is required" if number == 2 else "")
    ended = account.deploy("01-hello").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert {node["name"]: node.get("rebootRequired") for node in ended.report("report")["nodes"]} == {"WEB-01": None, "WEB-02": True}


def test_arguments_travel_as_data(account: Account):
    account.nodes(1, tags={"OS": "Windows", "Role": "web", "Environment": "prod"})
    account.control.put_node(account.nodes(0xABC)[0] | {"id": "i-0123456789abcdef0"})
    account.deploy("03-everything").run(kb="KB123456", count=5)
    (parameters,) = (command["Parameters"] for command in account.commands() if command["Comment"].endswith(":inventory#1"))
    assert parameters["step"] == ["inventory"]
    (encoded,) = parameters["arguments"]
    assert json.loads(unquote(base64.b64decode(encoded).decode("ascii"))) == {"Names": ["KB123456", "ärger"], "Count": 5}


# --- conditions, tries, handlers, calls ---------------------------------------------------------------------------------------------


def test_conditions(account: Account):
    account.nodes(1)
    account.rule(1, "Get-ChildItem", stdout="150")
    machine = account.deploy("04-when")
    skipped = machine.run()
    assert skipped.status == "SUCCEEDED", skipped.cause
    assert skipped.steps() == ["count done", "clean-up skipped", "thorough skipped", "after done"]
    assert skipped.report("after")["output"] == {"cleaned": False, "deep": False}
    cleaned = machine.run("again", clean=True)
    assert cleaned.steps() == ["count done", "clean-up done", "thorough skipped", "after done"]
    assert cleaned.report("after")["output"] == {"cleaned": True, "deep": False}


def test_each_entry_of_retry_counts_for_itself(account: Account):
    account.nodes(1)
    account.rule(1, "msiexec", exitCode=1603, times=2)
    account.rule(1, "msiexec", outcome="Undeliverable", times=1)
    ended = account.deploy("05-retry").run()
    assert ended.status == "SUCCEEDED", ended.cause
    tries = [(report["attempt"], report.get("error")) for report in ended.reports if report["step"] == "install"]
    assert tries == [(1, "Windlass.ExitCode"), (2, "Windlass.ExitCode"), (3, "Windlass.NodeUnreachable"), (4, None)]
    comments = [command["Comment"] for command in account.commands() if ":install#" in command["Comment"]]
    assert comments == [f"windlass:0123456789abcdef:install#{number}" for number in (1, 2, 3, 4)]


def test_an_entry_that_is_used_up_fails(account: Account):
    account.nodes(1)
    account.rule(1, "msiexec", exitCode=1603)
    ended = account.deploy("05-retry").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.ExitCode")
    assert [report["attempt"] for report in ended.reports] == [1, 2, 3], "States.ALL is for what no entry before it names"


def test_a_call_is_tried_again_as_a_whole(account: Account):
    account.nodes(1)
    account.rule(1, "Copy-Item", exitCode=1, times=3)
    ended = account.deploy("05-retry").run()
    assert ended.status == "SUCCEEDED", ended.cause
    inner = [(report["attempt"], report["part"]) for report in ended.reports if report["step"] == "move/copy"]
    assert inner == [(1, "failed"), (2, "failed"), (1, "failed"), (2, "done")]
    comments = [command["Comment"].rpartition("#")[2] for command in account.commands() if ":move/copy#" in command["Comment"]]
    assert comments == ["1.1", "1.2", "2.1", "2.2"], "no two commands of a run share a comment"
    assert [(report["attempt"], report["part"]) for report in ended.reports if report["step"] == "move"] == [(1, "failed"), (2, "done")]


def test_a_call_that_is_tried_again_knows_nothing_of_its_first_try(account: Account):
    """The second try ends before the step that the first one came to."""
    account.nodes(1)
    account.rule(1, "First-Step", times=1)
    account.rule(1, "First-Step", exitCode=8)
    account.rule(1, "Second-Step", exitCode=9)
    ended = account.deploy("12-call-again").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.steps() == ["go/first done", "go/second failed", "go failed", "go/first failed", "go failed", "go/go-on done", "sum done"]
    assert ended.report("sum")["output"] == {"first": "Windlass.ExitCode", "second": None}


def test_a_handler_in_place_runs_and_the_workflow_goes_on(account: Account):
    account.nodes(1)
    account.rule(1, "Stop-Website", exitCode=3)
    ended = account.deploy("06-handlers").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.steps() == ["drain failed", "drain/undo done", "drain/told done", "move/copy done", "move done", "sum done"]
    told = f"Windlass.ExitCode on WEB-01 ({node_id(1)}); undone on 1"
    assert ended.report("sum")["output"] == {"drained": 0, "failedWith": "Windlass.ExitCode", "told": told, "seen": None}


def test_two_entries_share_a_block(account: Account):
    account.nodes(1)
    account.rule(1, "Stop-Website", outcome="Undeliverable")
    ended = account.deploy("06-handlers").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.steps()[:2] == ["drain failed", "drain/noted done"]
    assert ended.report("drain/noted")["output"] == f"1 of 1 nodes failed: WEB-01 ({node_id(1)}): Undeliverable"


def test_a_handler_that_fails_hands_its_failure_on(account: Account):
    account.nodes(1)
    account.rule(1, "Copy-Item", exitCode=4)
    ended = account.deploy("06-handlers").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.steps() == ["drain done", "move/copy failed", "move/copy/stop failed", "move failed", "move/seen done", "sum done"]
    assert ended.report("move")["error"] == "Ops.GaveUp"
    assert ended.report("sum")["output"]["seen"] == "move/copy/stop: after Windlass.ExitCode"


def test_an_error_that_no_entry_names_ends_the_run(account: Account):
    account.nodes(1)
    account.rule(1, "Stop-Website", outcome="AccessDenied")
    ended = account.deploy("06-handlers").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.AccessDenied")
    assert ended.states[-1] == "drain: fail"


def test_blocks_in_blocks(account: Account):
    account.nodes(1)
    account.nodes(2, 3, tags={"OS": "Windows", "Role": "sql"})
    ended = account.deploy("07-calls").run()
    assert ended.status == "SUCCEEDED", ended.cause
    steps = ["look", "pause", "deeper/dig", "deeper"]
    assert ended.steps() == [f"{call}{step} done" for call in ("first", "second") for step in [*(f"/{s}" for s in steps), ""]] + ["sum done"]
    assert ended.report("sum")["output"] == 3, "one web server, two SQL servers"
    assert {node["id"] for node in ended.report("second/deeper/dig")["nodes"]} == {node_id(2), node_id(3)}


def test_a_call_that_takes_too_long_cancels_what_runs_in_it(account: Account):
    account.nodes(1)
    account.nodes(2, tags={"OS": "Windows", "Role": "sql"})
    account.rule(2, "Get-Date", duration=3_000, times=1)
    ended = account.deploy("07-calls").run()
    assert ended.status == "SUCCEEDED", ended.cause
    second = [(report["attempt"], report["part"], report.get("error")) for report in ended.reports if report["step"] == "second"]
    assert second == [(1, "failed", "Windlass.TimedOut"), (2, "done", None)]
    late = next(report for report in ended.reports if report["step"] == "second/look")
    assert "has run longer than its timeout" in late["cause"]
    assert [command["Status"] for command in account.commands() if ":second/look#" in command["Comment"]] == ["Cancelled", "Success"]


def test_a_step_inside_of_a_call_that_is_late_is_not_tried_again(account: Account):
    """Its retry and its handler would run past the call's time."""
    account.nodes(1)
    account.rule(1, r"\$Seen", outcome="TerminatedDuringRun", duration=1)
    ended = account.deploy("07-calls").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.TimedOut"), ended.cause
    assert [step for step in ended.steps() if step.startswith("first/deeper")] == ["first/deeper/dig failed", "first/deeper failed"]


def test_steps_without_scripts(account: Account):
    ended = account.deploy("02-no-scripts").run()
    assert (ended.status, ended.error, ended.cause) == ("FAILED", "Ops.Stopped", "stopped for because")
    assert ended.report("say")["output"] == {"text": "for because", "empty": "", "list": [[1, 2]]}
    assert ended.steps() == ["say done", "settle done", "stop failed"]


def test_names_at_their_limits(account: Account):
    account.nodes(1, tags={"OS": "Windows", "Role": "web", "Größe": "{% 1 %}"})
    ended = account.deploy("11-names").run()
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("a--b")["output"] == {"": "", "{%": [[1], "x"]}
    comments = [command["Comment"] for command in account.commands()]
    assert all(re.fullmatch(r"windlass:[0-9a-f]{16}:.+#1", comment) and len(comment) <= 100 for comment in comments)


def test_an_execution_that_somebody_else_starts_has_an_id_of_its_own(account: Account):
    account.nodes(1)
    account.rule(1, ".", stdout=JSON)
    machine = account.deploy("01-hello")
    for name in ("one", "two"):
        execution = account.sfn.start_execution(stateMachineArn=machine.arn, name=name, input="{}")["executionArn"]
        assert machine.end(execution).status == "SUCCEEDED"
    comments = {command["Comment"] for command in account.commands()}
    assert len(comments) == 2 and all(re.fullmatch(r"windlass:[0-9a-f]{16}:report#1", comment) for comment in comments)
