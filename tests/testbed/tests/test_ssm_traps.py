"""The traps of Systems Manager that catch workflow engines, each as AWS documents it. One test a trap."""

import pytest
from ssm_bench import Bench, command_document, node_id, powershell, refused


def test_tag_targets_that_match_nothing_are_a_success_with_zero_targets(bench: Bench):
    document = bench.document()
    sent = bench.ssm.send_command(DocumentName=document, Targets=[{"Key": "tag:Role", "Values": ["nobody"]}])["Command"]
    assert (sent["Status"], sent["TargetCount"]) == ("Pending", 0)
    ended = bench.finished(sent["CommandId"])
    assert (ended["Status"], ended["StatusDetails"]) == ("Success", "NoInstancesInTag")
    assert (ended["TargetCount"], ended["CompletedCount"], ended["ErrorCount"]) == (0, 0, 0)


def test_send_command_by_targets_answers_zero_targets_before_it_has_looked_for_them(bench: Bench):
    bench.nodes({}, {}, {})
    document = bench.document()
    sent = bench.ssm.send_command(DocumentName=document, Targets=[{"Key": "tag:Role", "Values": ["web"]}])["Command"]
    assert sent["TargetCount"] == 0
    assert bench.finished(sent["CommandId"])["TargetCount"] == 3


def test_four_undeliverable_and_one_success_are_a_success(bench: Bench):
    lost = [{"ping": "ConnectionLost"}] * 4
    ids = bench.nodes({}, *lost)
    command = bench.send(bench.document(), ids)
    ended = bench.finished(command)
    assert (ended["Status"], ended["StatusDetails"]) == ("Success", "Success")
    assert (ended["TargetCount"], ended["CompletedCount"], ended["ErrorCount"]) == (5, 5, 0)
    assert list(bench.details(command).values()) == ["Success"] + ["Undeliverable"] * 4


@pytest.mark.parametrize("outcome", ["Undeliverable", "AccessDenied"])
def test_what_was_not_delivered_does_not_count_towards_max_errors(bench: Bench, outcome: str):
    never = {"rules": [{"outcome": outcome}]}
    ids = bench.nodes(never, never, {})
    command = bench.send(bench.document(), ids, MaxErrors="0", MaxConcurrency="1")
    ended = bench.finished(command)
    assert (ended["Status"], ended["ErrorCount"], ended["CompletedCount"]) == ("Success", 0, 3)
    assert bench.details(command) == {ids[0]: outcome, ids[1]: outcome, ids[2]: "Success"}


def test_delivery_timeouts_do_not_count_towards_max_errors_but_the_command_is_incomplete(bench: Bench):
    ids = bench.nodes({"rules": [{"outcome": "Offline"}]}, {})
    document = bench.document(command_document(powershell("main", timeout=5)))
    command = bench.send(document, ids, TimeoutSeconds=30)
    ended = bench.finished(command)
    assert (ended["ErrorCount"], ended["DeliveryTimedOutCount"], ended["StatusDetails"]) == (0, 1, "Incomplete")
    assert bench.details(command) == {ids[0]: "DeliveryTimedOut", ids[1]: "Success"}


def test_invalid_platform_does_not_count_towards_max_errors(bench: Bench):
    ids = bench.nodes({"platform": "Linux"}, {})
    document = bench.document(command_document(powershell("main", precondition=["platformType", "Windows"])))
    command = bench.send(document, Targets=[{"Key": "tag:Role", "Values": ["web"]}])
    ended = bench.finished(command)
    assert (ended["Status"], ended["ErrorCount"], ended["CompletedCount"]) == ("Success", 0, 2)
    assert bench.details(command) == {ids[0]: "InvalidPlatform", ids[1]: "Success"}


def test_an_invocation_does_not_exist_right_after_it_was_sent(bench: Bench):
    bench.control.eventual(invocationVisibleSeconds=10**9)
    ids = bench.nodes({})
    command = bench.send(bench.document(), ids)
    with refused("InvocationDoesNotExist"):
        bench.ssm.get_command_invocation(CommandId=command, InstanceId=ids[0])
    assert bench.ssm.list_command_invocations(CommandId=command)["CommandInvocations"] == []
    assert bench.command(command)["TargetCount"] == 1
    bench.control.eventual(invocationVisibleSeconds=0)
    bench.finished(command)
    assert bench.result(command, ids[0])["Status"] == "Success"


def test_sending_the_same_command_again_runs_it_twice(bench: Bench):
    ids = bench.nodes({"rules": [{"times": 1, "stdout": "first"}, {"stdout": "second"}]})
    document = bench.document()
    commands = [bench.send(document, ids, Comment="run/step/1") for _ in range(2)]
    assert len(set(commands)) == 2
    for command in commands:
        bench.finished(command)
    assert [bench.result(command, ids[0])["StandardOutputContent"] for command in commands] == ["first", "second"]


def test_a_comment_finds_an_orphaned_command_among_those_of_its_document(bench: Bench):
    ids = bench.nodes({"rules": [{"outcome": "Hang"}]})
    document = bench.document(command_document(powershell("main", timeout=172_800)))
    command = bench.send(document, ids, Comment="windlass:run:step#1")
    bench.send(document, ids, Comment="windlass:other:step#1")
    executing = bench.ssm.list_commands(
        Filters=[{"key": "DocumentName", "value": document}, {"key": "ExecutionStage", "value": "Executing"}]
    )["Commands"]
    assert [c["CommandId"] for c in executing if c["Comment"] == "windlass:run:step#1"] == [command]


def test_exit_3010_restarts_the_node_and_runs_the_script_again(bench: Bench):
    rules = [{"times": 1, "exitCode": 3010, "stdout": "installing\n"}, {"stdout": "run ${runs}\n"}]
    ids = bench.nodes({"rules": rules, "rebootSeconds": 30})
    booted = bench.node(ids[0])["bootTime"]
    command = bench.send(bench.document(), ids)
    assert bench.finished(command)["Status"] == "Success"
    assert bench.result(command, ids[0])["StandardOutputContent"] == "installing\nrun 2\n"
    assert bench.node(ids[0])["bootTime"] > booted


def test_a_script_that_always_exits_3010_is_given_up_after_fifteen_resumes_without_a_word(bench: Bench):
    ids = bench.nodes({"rules": [{"exitCode": 3010, "stdout": "${runs} "}], "rebootSeconds": 1})
    document = bench.document(command_document(powershell("main", timeout=60)))
    command = bench.send(document, ids, TimeoutSeconds=30)
    ended = bench.finished(command)
    assert (ended["Status"], ended["StatusDetails"], ended["ErrorCount"]) == ("TimedOut", "DeliveryTimedOut", 0)
    runs = bench.result(command, ids[0])["StandardOutputContent"].split()
    assert runs == [str(n) for n in range(1, 17)]


def test_exit_1641_is_a_failure_and_restarts_nothing(bench: Bench):
    ids = bench.nodes({"rules": [{"exitCode": 1641}]})
    booted = bench.node(ids[0])["bootTime"]
    command = bench.send(bench.document(), ids)
    assert bench.finished(command)["Status"] == "Failed"
    result = bench.result(command, ids[0])
    assert (result["StatusDetails"], result["ResponseCode"]) == ("Failed", 1641)
    assert bench.node(ids[0])["bootTime"] == booted


def test_a_skipped_plugin_counts_as_a_success(bench: Bench):
    ids = bench.nodes({})
    steps = [powershell(name, precondition=["{{ step }}", name]) for name in ("drain", "undrain")]
    parameters = {"step": {"type": "String", "allowedValues": ["drain", "undrain"]}}
    command = bench.send(bench.document(command_document(*steps, parameters=parameters)), ids, Parameters={"step": ["drain"]})
    assert bench.finished(command)["Status"] == "Success"
    ran, skipped = bench.invocations(command, Details=True)[ids[0]]["CommandPlugins"]
    assert (ran["Status"], ran["Output"]) == ("Success", "WEB-01\n")
    assert (skipped["Name"], skipped["Status"], skipped["ResponseCode"]) == ("undrain", "Success", 0)
    assert skipped["Output"].startswith("Step execution skipped due to unsatisfied preconditions")


def test_output_has_three_limits_and_says_when_it_was_cut(bench: Bench):
    long = [{"stdout": "o" * 30_000, "stderr": "e" * 10_000, "exitCode": 1}]
    ids = bench.nodes({"rules": long})
    command = bench.send(bench.document(), ids)
    bench.finished(command)
    result = bench.result(command, ids[0])
    assert len(result["StandardOutputContent"]) == 24_000
    assert result["StandardOutputContent"].endswith("--output truncated--")
    assert len(result["StandardErrorContent"]) == 8_000
    assert result["StandardErrorContent"].endswith("--output truncated--")
    (plugin,) = bench.invocations(command, Details=True)[ids[0]]["CommandPlugins"]
    assert len(plugin["Output"]) <= 2_500
    assert "---Output truncated---" in plugin["Output"] and plugin["Output"].endswith("---Error truncated----")


def test_completed_count_includes_what_was_never_delivered(bench: Bench):
    ids = bench.nodes({"ping": "ConnectionLost"}, {"ping": "ConnectionLost"})
    ended = bench.finished(bench.send(bench.document(), ids))
    assert (ended["Status"], ended["CompletedCount"], ended["ErrorCount"]) == ("Failed", 2, 0)


def test_a_parameter_is_replaced_anywhere_in_a_script_as_text(bench: Bench):
    rules = [{"match": r"^Write-Output 'a'; Remove-Item x; '' # a'; Remove-Item x; '$", "stdout": "injected"}]
    ids = bench.nodes({"rules": rules})
    steps = powershell("main", "Write-Output '{{ name }}' # {{name}}")
    document = bench.document(command_document(steps, parameters={"name": {"type": "String"}}))
    command = bench.send(document, ids, Parameters={"name": ["a'; Remove-Item x; '"]})
    bench.finished(command)
    assert bench.result(command, ids[0])["StandardOutputContent"] == "injected"


def test_one_unmanaged_id_refuses_the_whole_command(bench: Bench):
    ids = bench.nodes({})
    with refused("InvalidInstanceId", node_id(99), "not in a valid state for account"):
        bench.send(bench.document(), [*ids, node_id(99)])
    assert bench.ssm.list_commands()["Commands"] == []


def test_more_than_fifty_ids_are_refused(bench: Bench):
    ids = bench.nodes(*[{}] * 51)
    document = bench.document()
    with refused("ValidationException", "instanceIds", "less than or equal to 50"):
        bench.send(document, ids)
    assert bench.finished(bench.send(document, ids[:50]))["TargetCount"] == 50


def test_a_command_outlives_whoever_sent_it_until_it_is_cancelled(bench: Bench):
    ids = bench.nodes({"rules": [{"outcome": "Hang"}]})
    command = bench.send(bench.document(command_document(powershell("main", timeout=172_800))), ids)
    bench.until(lambda: bench.details(command) == {ids[0]: "InProgress"}, "the script to run")
    bench.ssm.cancel_command(CommandId=command)
    ended = bench.finished(command)
    assert (ended["Status"], bench.details(command)) == ("Cancelled", {ids[0]: "Cancelled"})
