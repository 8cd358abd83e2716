"""The agent on a node: substitution, preconditions, control flow between steps, restarts. Rules from the agent's source."""

import re

import pytest
from ssm_bench import Bench, command_document, powershell

STEP = {"step": {"type": "String", "default": "a"}}


def outputs(bench: Bench, command: str, node: str) -> list[tuple[str, str]]:
    """(StatusDetails, Output) of each step, once the command has ended."""
    bench.finished(command)
    plugins = bench.invocations(command, Details=True)[node]["CommandPlugins"]
    return [(plugin["StatusDetails"], plugin["Output"]) for plugin in plugins]


def run(bench: Bench, node: dict, *steps: dict, arguments: dict | None = None, **more) -> list[tuple[str, str]]:
    """Runs a document with these steps on one node and answers what became of each."""
    (node_id,) = bench.nodes(node)
    command = bench.send(bench.document(command_document(*steps, **more)), [node_id], Parameters=arguments or {})
    return outputs(bench, command, node_id)


@pytest.mark.parametrize(
    ("line", "arguments", "expected"),
    [
        ("x {{ who }} y", {"who": ["a b"]}, "x a b y"),
        ("x {{who}}{{  who  }} y", {"who": ["z"]}, "x zz y"),
        ("{{ who }}", {"who": ["{{ many }}"]}, "{{ many }}"),
        ("{{ who }}", {"who": ["$$x"]}, "$$x"),
        ("<{{ who }}>", {"who": ["$$x"]}, "<$x>"),
        ("<{{ many }}>", {"many": ["a", "b"]}, '<["a", "b"]>'),
        ("<{{ number }}{{ yes }}>", {}, "<7true>"),
        ("{{ who.is }} {{who is}} { { who } }", {"who": ["z"]}, "{{ who.is }} {{who is}} { { who } }"),
    ],
)
def test_parameters_are_replaced_as_text_once(bench: Bench, line: str, arguments: dict, expected: str):
    parameters = {
        "who": {"type": "String", "default": "nobody"},
        "many": {"type": "StringList", "default": []},
        "number": {"type": "Integer", "default": 7},
        "yes": {"type": "Boolean", "default": True},
    }
    rules = [{"match": f"^{re.escape(expected)}$", "stdout": "as expected"}, {"stdout": "something else"}]
    ran = run(bench, {"rules": rules}, powershell("main", line), arguments=arguments, parameters=parameters)
    assert ran == [("Success", "as expected")]


def test_parameters_are_replaced_in_every_string_of_the_document(bench: Bench):
    parameters = {"limit": {"type": "String", "default": "5"}}
    ran = run(bench, {"rules": [{"duration": 6}]}, powershell("main", timeout="{{ limit }}"), parameters=parameters)
    assert ran[0][0] == "ExecutionTimedOut"


def test_a_list_parameter_is_the_script(bench: Bench):
    (node,) = bench.nodes({"rules": [{"match": "^first\nsecond$", "stdout": "both lines"}]})
    command = bench.send("AWS-RunPowerShellScript", [node], Parameters={"commands": ["first", "second"]})
    assert outputs(bench, command, node) == [("Success", "both lines")]
    assert bench.result(command, node)["PluginName"] == "aws:runPowerShellScript"


def test_a_list_parameter_within_the_list_of_commands_is_malformed_on_the_node(bench: Bench):
    parameters = {"commands": {"type": "StringList"}}
    ran = run(bench, {}, powershell("main", "{{ commands }}"), arguments={"commands": ["a"]}, parameters=parameters)
    assert ran[0][0] == "Failed" and "Invalid format in plugin properties" in ran[0][1]


@pytest.mark.parametrize(
    ("precondition", "expected"),
    [
        (["platformType", "Windows"], "ran"),
        (["Windows", "platformType"], "ran"),
        (["platformType", "windows"], "ran"),
        (["{{ step }}", "a"], "ran"),
        (["a", "{{ step }}"], "ran"),
        (["{{ step }}", "b"], "skipped"),
        (["{{ step }}", "A"], "skipped"),
        (["platformType", "{{ step }}"], "failed"),
        (["a", "a"], "failed"),
        (["a", "b"], "failed"),
        (["platformType", "platformType"], "failed"),
        (["{{ step }}", "{{ssm:/windlass/step}}"], "failed"),
        (["{{ step }}"], "failed"),
        (["{{ step }}", "a", "b"], "failed"),
    ],
)
def test_preconditions(bench: Bench, precondition: list[str], expected: str):
    ran = run(bench, {}, powershell("main", precondition=precondition), powershell("other"), parameters=STEP)
    details, output = ran[0]
    told = {
        "ran": ("Success", "WEB-01\n"),
        "skipped": ("Success", "Step execution skipped due to unsatisfied preconditions: "),
        "failed": ("Failed", "Unrecognized precondition(s): "),
    }[expected]
    assert details == told[0] and output.startswith(told[1])
    assert ran[1] == ("Success", "WEB-01\n")


def test_an_unknown_precondition_operator_fails_the_step(bench: Bench):
    step = powershell("main") | {"precondition": {"NumberEquals": ["1", "1"]}}
    ((details, output),) = run(bench, {}, step)
    assert details == "Failed" and 'unrecognized operator: "NumberEquals"' in output


def test_a_shell_script_is_skipped_on_windows_and_runs_on_linux(bench: Bench):
    windows, linux = bench.nodes({}, {"platform": "Linux", "computerName": "db-01"})
    shell = {"action": "aws:runShellScript", "name": "shell", "inputs": {"runCommand": ["ls"]}}
    document = bench.document(command_document(powershell("ps", precondition=["platformType", "Windows"]), shell))
    command = bench.send(document, [windows, linux])
    on_windows, on_linux = outputs(bench, command, windows), outputs(bench, command, linux)
    assert on_windows[0] == ("Success", "WEB-01\n")
    assert on_windows[1] == ("Success", "Step execution skipped due to unsupported plugin: aws:runShellScript. Step name: shell")
    assert on_linux[0][1].startswith("Step execution skipped due to unsatisfied preconditions: '\"StringEquals\": [platformType, Windows]'")
    assert on_linux[1] == ("Success", "db-01\n")


def test_powershell_without_a_guard_runs_on_linux_if_it_is_there(bench: Bench):
    without, with_it = bench.nodes({"platform": "Linux"}, {"platform": "Linux", "powershell": True})
    command = bench.send(bench.document(), [without, with_it])
    bench.finished(command)
    assert bench.details(command) == {without: "Failed", with_it: "Success"}
    result = bench.result(command, without)
    assert result["ResponseCode"] == 1 and "/usr/bin/pwsh: no such file or directory" in result["StandardErrorContent"]


def test_a_failed_step_does_not_stop_the_next_ones(bench: Bench):
    rules = [{"match": "bad", "exitCode": 1}]
    ran = run(bench, {"rules": rules}, powershell("bad", "bad"), powershell("good", "good"))
    assert [details for details, _ in ran] == ["Failed", "Success"]
    assert ran[1][1] == "WEB-01\n"


@pytest.mark.parametrize(
    ("rule", "inputs", "expected"),
    [
        ({"exitCode": 1}, {"onFailure": "exit"}, ["Failed", "skipped", "ran"]),
        ({"exitCode": 1}, {"onFailure": "successAndExit"}, ["Success", "skipped", "ran"]),
        ({"exitCode": 0}, {"onSuccess": "exit"}, ["Success", "skipped", "ran"]),
        ({"exitCode": 168}, {}, ["Success", "skipped", "ran"]),
        ({"exitCode": 169}, {}, ["Failed", "skipped", "ran"]),
        ({"exitCode": 0}, {"onFailure": "exit"}, ["Success", "ran", "ran"]),
    ],
)
def test_a_step_can_end_the_document_but_for_its_final_step(bench: Bench, rule: dict, inputs: dict, expected: list):
    steps = (powershell("first", "first", **inputs), powershell("second", "2"), powershell("last", "3", finallyStep=True))
    ran = run(bench, {"rules": [{"match": "first", **rule}]}, *steps)
    assert ran[0][0] == expected[0]
    assert ["ran" if output == "WEB-01\n" else "skipped" for _, output in ran[1:]] == expected[1:]
    assert all("skipped due to prior step" in output for _, output in ran[1:] if output != "WEB-01\n")


@pytest.mark.parametrize(("timeout", "seconds"), [("4", 3_600), ("172801", 3_600), ("soon", 3_600), ("6.9", 6), ("172800", 172_800)])
def test_a_timeout_out_of_bounds_is_an_hour(bench: Bench, timeout: str, seconds: int):
    ids = bench.nodes({})
    document = bench.document(command_document(powershell("main", timeout=timeout)))
    sent = bench.ssm.send_command(DocumentName=document, InstanceIds=ids, TimeoutSeconds=30)["Command"]
    assert (sent["ExpiresAfter"] - sent["RequestedDateTime"]).total_seconds() == pytest.approx(30 + seconds, abs=0.01)


def test_a_restart_takes_the_other_commands_of_the_node_with_it_and_they_run_again(bench: Bench):
    rules = [
        {"match": "restart", "times": 1, "exitCode": 3010, "duration": 5},
        {"match": "other", "times": 1, "duration": 1_000, "stdout": "never"},
        {"match": "other", "duration": 1, "stdout": "run ${runs}"},
    ]
    (node,) = bench.nodes({"rules": rules, "rebootSeconds": 20})
    other = bench.send(bench.document(command_document(powershell("main", "other", timeout=3_600)), name="other"), [node])
    restart = bench.send(bench.document(command_document(powershell("main", "restart")), name="restart"), [node])
    assert outputs(bench, other, node) == [("Success", "run 2")]
    assert bench.finished(restart)["Status"] == "Success"


def test_only_the_step_that_asked_for_the_restart_runs_again(bench: Bench):
    rules = [
        {"match": "install", "times": 1, "exitCode": 3010, "stdout": "1st "},
        {"stdout": "runs: ${runs}"},
    ]
    steps = (powershell("before", "x"), powershell("install", "install"), powershell("after", "y"))
    ran = run(bench, {"rules": rules, "rebootSeconds": 10}, *steps)
    assert ran == [("Success", "runs: 1"), ("Success", "1st runs: 2"), ("Success", "runs: 1")]


def test_a_machine_that_restarts_by_itself_is_not_reached_meanwhile_and_has_a_newer_boot_time(bench: Bench):
    rules = [{"match": "restart", "reboot": 5}, {"stdout": "${bootTime}"}]
    (node,) = bench.nodes({"rules": rules, "rebootSeconds": 400})
    first = bench.node(node)["bootTime"]
    restart = bench.send(bench.document(command_document(powershell("main", "restart")), name="restart"), [node])
    assert bench.finished(restart)["Status"] == "Success"
    bench.passed(5)
    after = bench.send(bench.document(command_document(powershell("main", "when"))), [node])
    bench.until(lambda: bench.details(after) == {node: "Delayed"}, "the machine to be down")
    ((details, output),) = outputs(bench, after, node)
    assert details == "Success" and float(output) > first
    assert float(output) == pytest.approx(bench.node(node)["bootTime"], abs=0.01)


def test_linux_asks_for_a_restart_with_194_and_fails_with_3010(bench: Bench):
    rules = [{"match": "restart", "times": 1, "exitCode": 194}, {"match": "windows", "exitCode": 3010}]
    (node,) = bench.nodes({"platform": "Linux", "powershell": True, "rules": rules, "rebootSeconds": 10})
    restart = bench.send(bench.document(command_document(powershell("main", "restart")), name="restart"), [node])
    windows = bench.send(bench.document(command_document(powershell("main", "windows")), name="windows"), [node])
    assert bench.finished(restart)["Status"] == "Success"
    assert bench.finished(windows)["Status"] == "Failed"


def test_rules_know_the_node_and_the_command(bench: Bench):
    facts = "${computerName} ${nodeId} ${commandId} ${other}"
    (node,) = bench.nodes({"computerName": "WEB-07", "rules": [{"stdout": facts, "stderr": "${runs}"}]})
    command = bench.send(bench.document(), [node])
    bench.finished(command)
    result = bench.result(command, node)
    assert result["StandardOutputContent"] == f"WEB-07 {node} {command} ${{other}}"
    assert result["StandardErrorContent"] == "1"
