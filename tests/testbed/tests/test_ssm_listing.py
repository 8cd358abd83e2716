"""ListCommands, ListCommandInvocations and GetCommandInvocation: filters, pages, details."""

from datetime import timedelta

import pytest
from ssm_bench import Bench, client, command_document, node_id, powershell, refused

UNKNOWN = "00000000-0000-0000-0000-000000000000"


def listed(bench: Bench, *filters: tuple[str, str], **more) -> list[str]:
    """Command ids, newest first."""
    wanted = {"Filters": [{"key": key, "value": value} for key, value in filters]} if filters else {}
    return [command["CommandId"] for command in bench.ssm.list_commands(**wanted, **more)["Commands"]]


def test_commands_are_listed_newest_first_and_in_pages_that_newer_ones_do_not_shift(bench: Bench):
    ids = bench.nodes({})
    document = bench.document()
    commands = [bench.send(document, ids) for _ in range(7)][::-1]
    first = bench.ssm.list_commands(MaxResults=3)
    bench.send(document, ids)
    second = bench.ssm.list_commands(MaxResults=3, NextToken=first["NextToken"])
    third = bench.ssm.list_commands(MaxResults=3, NextToken=second["NextToken"])
    pages = [[c["CommandId"] for c in page["Commands"]] for page in (first, second, third)]
    assert pages == [commands[:3], commands[3:6], commands[6:]]
    assert "NextToken" not in third


def test_filters_of_commands(bench: Bench):
    first, second = bench.nodes({"rules": [{"match": "bad", "exitCode": 1}]}, {"rules": [{"outcome": "Hang"}]})
    good, bad = bench.document(name="good"), bench.document(command_document(powershell("main", "bad")), name="bad")
    endless = bench.document(command_document(powershell("main", timeout=172_800)), name="endless")
    succeeded, failed, hanging = bench.send(good, [first]), bench.send(bad, [first]), bench.send(endless, [second])
    nobody = bench.send(good, Targets=[{"Key": "tag:Role", "Values": ["nobody"]}])
    for command in (succeeded, failed, nobody):
        bench.finished(command)
    bench.until(lambda: bench.command(hanging)["Status"] == "InProgress", "the script to run")
    assert listed(bench, ("DocumentName", "good")) == [nobody, succeeded]
    assert listed(bench, ("ExecutionStage", "Executing")) == [hanging]
    assert listed(bench, ("ExecutionStage", "Complete")) == [nobody, failed, succeeded]
    assert listed(bench, ("Status", "Failed")) == [failed]
    assert listed(bench, ("Status", "Success")) == [nobody, succeeded]
    assert listed(bench, ("Status", "NoInstancesInTag")) == [nobody]
    assert listed(bench, ("Status", "Success"), ("DocumentName", "bad")) == []
    assert listed(bench, InstanceId=second) == [hanging]
    assert listed(bench, CommandId=failed) == [failed]
    requested = bench.command(failed)["RequestedDateTime"]
    just_before, just_after = (requested + timedelta(milliseconds=n) for n in (-2, 2))
    assert failed in listed(bench, ("InvokedAfter", just_before.isoformat()))
    assert failed not in listed(bench, ("InvokedAfter", just_after.isoformat()))
    assert listed(bench, ("InvokedBefore", just_before.isoformat())) == [succeeded]
    assert listed(bench, ("InvokedBefore", "2000-01-01T00:00:00Z")) == []


def test_filters_of_invocations(bench: Bench):
    ids = bench.nodes({}, {"rules": [{"exitCode": 1}]}, {"ping": "ConnectionLost"}, {})
    command = bench.send(bench.document(), ids, MaxErrors="100%")
    bench.finished(command)
    bench.invocations(command)

    def nodes(status: str) -> list[str]:
        filters = [{"key": "Status", "value": status}]
        return [i["InstanceId"] for i in bench.ssm.list_command_invocations(CommandId=command, Filters=filters)["CommandInvocations"]]

    assert nodes("Success") == [ids[0], ids[3]]
    assert nodes("Undeliverable") == [ids[2]]
    assert nodes("Failed") == [ids[1], ids[2]]
    assert nodes("Terminated") == []
    of_one = bench.ssm.list_command_invocations(InstanceId=ids[1])["CommandInvocations"]
    assert [(i["CommandId"], i["InstanceId"]) for i in of_one] == [(command, ids[1])]


def test_invocations_come_in_pages(bench: Bench):
    ids = bench.nodes(*[{}] * 60)
    command = bench.send(bench.document(), Targets=[{"Key": "tag:Role", "Values": ["web"]}], MaxConcurrency="100%")
    bench.finished(command)
    bench.invocations(command)
    pages = bench.ssm.get_paginator("list_command_invocations").paginate(CommandId=command)
    found = [[i["InstanceId"] for i in page["CommandInvocations"]] for page in pages]
    assert [len(page) for page in found] == [50, 10]
    assert sum(found, []) == ids


def test_plugins_are_listed_only_on_request(bench: Bench):
    ids = bench.nodes({})
    command = bench.send(bench.document(), ids)
    bench.finished(command)
    assert bench.invocations(command)[ids[0]]["CommandPlugins"] == []
    (plugin,) = bench.invocations(command, Details=True)[ids[0]]["CommandPlugins"]
    assert (plugin["Name"], plugin["Output"], plugin["ResponseCode"]) == ("main", "WEB-01\n", 0)
    assert plugin["ResponseStartDateTime"] < plugin["ResponseFinishDateTime"]


@pytest.mark.parametrize(
    ("stdout", "stderr", "expected"),
    [
        (10, 0, "o" * 10),
        (2_499, 0, "o" * 2_499),
        (2_500, 0, "o" * (2_500 - 23) + "\n---Output truncated---"),
        (10, 10, "o" * 10 + "\n----------ERROR-------\n" + "e" * 10),
        (3_000, 10, "o" * (2_500 - 24 - 23 - 10) + "\n---Output truncated---\n----------ERROR-------\n" + "e" * 10),
        (10, 3_000, "o" * 10 + "\n----------ERROR-------\n" + "e" * (2_500 - 24 - 23 - 10) + "\n---Error truncated----"),
    ],
)
def test_output_of_a_plugin_is_cut_at_2500(bench: Bench, stdout: int, stderr: int, expected: str):
    ids = bench.nodes({"rules": [{"stdout": "o" * stdout, "stderr": "e" * stderr}]})
    command = bench.send(bench.document(), ids)
    bench.finished(command)
    (plugin,) = bench.invocations(command, Details=True)[ids[0]]["CommandPlugins"]
    assert plugin["Output"] == expected


@pytest.mark.parametrize(("length", "cut"), [(23_999, False), (24_000, True)])
def test_standard_output_is_cut_at_24000_bytes(bench: Bench, length: int, cut: bool):
    ids = bench.nodes({"rules": [{"stdout": "o" * length}]})
    command = bench.send(bench.document(), ids)
    bench.finished(command)
    content = bench.result(command, ids[0])["StandardOutputContent"]
    assert len(content) == length and content.endswith("--output truncated--") == cut


def test_a_document_of_several_steps_needs_the_name_of_the_step(bench: Bench):
    ids = bench.nodes({"rules": [{"match": "two", "exitCode": 5, "stdout": "second"}]})
    document = bench.document(command_document(powershell("step-one", "one"), powershell("step-two", "two")))
    command = bench.send(document, ids)
    bench.finished(command)
    one, two = (bench.result(command, ids[0], name) for name in ("step-one", "step-two"))
    assert (one["Status"], one["PluginName"], one["StandardOutputContent"]) == ("Success", "step-one", "WEB-01\n")
    assert (two["Status"], two["ResponseCode"], two["StandardOutputContent"]) == ("Failed", 5, "second")
    whole = bench.result(command, ids[0])
    assert (whole["Status"], whole["PluginName"], whole["StandardOutputContent"]) == ("Failed", "", "")
    with refused("InvalidPluginName"):
        bench.ssm.get_command_invocation(CommandId=command, InstanceId=ids[0], PluginName="step-three")
    with refused("InvalidPluginName"):
        bench.ssm.get_command_invocation(CommandId=command, InstanceId=ids[0], PluginName="aws:runPowerShellScript")


def test_what_is_not_there(bench: Bench):
    ids = bench.nodes({}, {})
    command = bench.send(bench.document(), ids[:1])
    bench.invocations(command)
    with refused("InvocationDoesNotExist"):
        bench.ssm.get_command_invocation(CommandId=command, InstanceId=ids[1])
    with refused("InvocationDoesNotExist"):
        bench.ssm.get_command_invocation(CommandId=UNKNOWN, InstanceId=ids[0])
    with refused("InvalidCommandId"):
        bench.ssm.list_commands(CommandId=UNKNOWN)
    with refused("InvalidCommandId"):
        bench.ssm.list_command_invocations(CommandId=UNKNOWN)


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("list_commands", {"Filters": [{"key": "Status", "value": "Undeliverable"}]}, "ValidationException"),
        ("list_commands", {"Filters": [{"key": "ExecutionStage", "value": "Done"}]}, "ValidationException"),
        ("list_commands", {"Filters": [{"key": "InvokedAfter", "value": "yesterday"}]}, "ValidationException"),
        ("list_commands", {"Filters": [{"key": "Colour", "value": "blue"}]}, "ValidationException"),
        ("list_commands", {"MaxResults": 51}, "ValidationException"),
        ("list_commands", {"NextToken": "###"}, "InvalidNextToken"),
        ("list_commands", {"CommandId": "short"}, "ValidationException"),
        ("list_command_invocations", {"Filters": [{"key": "ExecutionStage", "value": "Executing"}]}, "InvalidFilterKey"),
        ("list_command_invocations", {"Filters": [{"key": "Status", "value": "NoInstancesInTag"}]}, "ValidationException"),
        ("list_command_invocations", {"MaxResults": 0}, "ValidationException"),
        ("get_command_invocation", {"CommandId": UNKNOWN, "InstanceId": "web-01"}, "ValidationException"),
        ("get_command_invocation", {"CommandId": UNKNOWN}, "ValidationException"),
    ],
)
def test_listings_refuse_what_aws_refuses(bench: Bench, operation: str, request_: dict, code: str):
    with refused(code):
        getattr(bench.ssm, operation)(**request_)


def test_a_command_sent_to_another_region_is_not_in_this_one(bench: Bench):
    ids = bench.nodes({})
    command = bench.send(bench.document(), ids)
    assert listed(bench) == [command]
    other = client(bench.ssm.meta.endpoint_url, "eu-central-1")
    assert other.list_commands()["Commands"] == []
    with refused("InvalidDocument"):
        other.send_command(DocumentName="windlass-test", InstanceIds=[node_id(1)])
