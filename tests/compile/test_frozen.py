"""Nodes that were listed when the run started: sent to by id, and to no others."""

import base64
import json
from urllib.parse import unquote

from conftest import Account, Ended, Machine, node_id

from testbed.waiting import until

SQL = {"OS": "Windows", "Role": "sql"}


def nodes(*numbers: int) -> list[dict[str, str]]:
    """A set, as the controller puts it into the input."""
    return [{"id": node_id(number), "name": f"WEB-{number:02}"} for number in numbers]


def start(machine: Machine, **sets: list[dict[str, str]]) -> str:
    """Starts an execution with these sets."""
    given = {"run": {"id": "0123456789abcdef", "uid": "u", "name": "run", "namespace": "ops"}, "params": {}, "nodes": sets}
    return machine.account.sfn.start_execution(stateMachineArn=machine.arn, name="run", input=json.dumps(given))["executionArn"]


def ended(account: Account, case: str, **sets: list[dict[str, str]]) -> Ended:
    """What an execution with these sets comes to."""
    machine = account.deploy(case)
    return machine.end(start(machine, **sets))


def sent(account: Account) -> list[tuple[str, list[str]]]:
    """Step and nodes of each command, in order."""
    found = []
    for command in account.commands():
        invocations = account.ssm.list_command_invocations(CommandId=command["CommandId"])["CommandInvocations"]
        found.append((command["Comment"].split(":")[2], sorted(invocation["InstanceId"] for invocation in invocations)))
    return found


def farm(account: Account, web: int) -> None:
    """A fleet of web servers that print JSON, the two nodes that the case names, and one for SQL."""
    account.nodes(*range(1, web + 1))
    for number in range(1, web + 1):
        account.rule(number, ".", stdout='{"free": 7}')
    for named in ("i-0123456789abcdef0", "mi-0123456789abcdef0"):
        account.control.put_node({"id": named, "computerName": named.upper(), "tags": {"OS": "Windows", "Role": "web"}})
    account.nodes(900, tags=SQL)


NAMED = [{"id": "i-0123456789abcdef0", "name": "A"}, {"id": "mi-0123456789abcdef0", "name": "B"}]


def test_a_fleet_is_what_was_listed(account: Account):
    farm(account, 3)
    run = ended(account, "30-fleet", workflow=nodes(1, 3), named=NAMED)
    assert run.status == "SUCCEEDED", run.cause
    assert sent(account) == [
        ("work#1", [node_id(1), node_id(3)]),
        ("named#1", ["i-0123456789abcdef0", "mi-0123456789abcdef0"]),
        ("tagged#1", [node_id(900)]),
    ]
    assert run.report("work")["counts"] == {"total": 2, "succeeded": 2, "failed": 0}


def test_one_listed_node_gives_its_output_whole(account: Account):
    farm(account, 2)
    run = ended(account, "30-fleet", workflow=nodes(2), named=NAMED)
    assert run.status == "SUCCEEDED", run.cause
    assert "work: read" in run.states


def test_many_nodes_go_fifty_a_command(account: Account):
    farm(account, 101)
    run = ended(account, "30-fleet", workflow=nodes(*range(1, 102)), named=NAMED)
    assert run.status == "SUCCEEDED", run.cause
    work = [ids for step, ids in sent(account) if step.startswith("work#1")]
    assert [step for step, _ in sent(account)][:3] == ["work#1", "work#1+1", "work#1+2"]
    assert work == [[node_id(number) for number in range(first, last)] for first, last in ((1, 51), (51, 101), (101, 102))]
    report = run.report("work")
    assert report["counts"] == {"total": 101, "succeeded": 101, "failed": 0}
    assert len(report["nodes"]) == 50
    assert run.output["steps"]["work"] == {"succeeded": 101, "failed": 0}


def test_after_a_command_that_failed_no_further_node_is_sent_to(account: Account):
    farm(account, 60)
    account.control.put_node({**next(node for node in account.control.nodes() if node["id"] == node_id(7)), "rules": [{"match": ".", "exitCode": 5}]})
    run = ended(account, "30-fleet", workflow=nodes(*range(1, 61)), named=NAMED)
    assert (run.status, run.error) == ("FAILED", "Windlass.ExitCode")
    assert run.cause.endswith("; 10 of them were not sent to after that"), run.cause
    assert [step for step, _ in sent(account)] == ["work#1"]
    counts = run.report("work")["counts"]
    assert counts["total"] == 60 and counts["failed"] >= 1, counts
    assert run.report("work")["nodes"][0]["status"] == "Failed"


def test_a_node_that_is_gone_or_lost_its_tags_is_refused_by_name(account: Account):
    """The role asks for the tags all the same: being listed once is no right to be sent to."""
    farm(account, 2)
    run = ended(account, "30-fleet", workflow=nodes(1, 2, 77), named=NAMED)
    assert (run.status, run.error) == ("FAILED", "Ssm.SsmException")
    assert f"not authorized to perform: ssm:SendCommand on resource: arn:aws:ec2:eu-west-1:111122223333:instance/{node_id(77)}" in run.cause
    assert account.commands() == []


def test_nothing_listed_sends_nothing(account: Account):
    """Started past Windlass: the fleet is not made up from whatever carries its tags now."""
    farm(account, 2)
    for sets in ({}, {"workflow": []}):
        account.control.reset()
        farm(account, 2)
        run = ended(account, "30-fleet", **sets)
        assert (run.status, run.error, run.cause) == ("FAILED", "Windlass.NoTargets", "no nodes were listed when the run started")
        assert account.commands() == []


def test_a_run_keeps_a_workflow_by_tags_to_a_part(account: Account):
    account.nodes(1, 2, 3)
    for number in (1, 2, 3):
        account.rule(number, ".", stdout='{"free": 7}')
    run = ended(account, "01-hello", workflow=nodes(2, 3))
    assert run.status == "SUCCEEDED", run.cause
    assert sent(account) == [("report#1", [node_id(2), node_id(3)])]


def test_an_entry_under_a_steps_own_path_comes_first(account: Account):
    farm(account, 3)
    run = ended(account, "30-fleet", workflow=nodes(1, 2, 3), work=nodes(3), named=NAMED, tagged=[{"id": node_id(900), "name": "SQL"}])
    assert run.status == "SUCCEEDED", run.cause
    assert sent(account)[0] == ("work#1", [node_id(3)])


def arguments(account: Account, command: dict) -> str:
    """A command's arguments, as the wrapper reads them."""
    encoded = command["Parameters"].get("arguments", [""])[0]
    return unquote(base64.b64decode(encoded).decode())


def test_a_run_that_asks_what_would_happen_says_so_to_scripts_that_take_it(account: Account):
    account.nodes(1)
    machine = account.deploy("31-what-if")
    for what_if, bare, given in ((True, '{"WhatIf":true}', '{"Days":14,"WhatIf":true}'), (False, "", '{"Days":14}')):
        run = {"id": f"{what_if}", "uid": "u", "name": "run", "namespace": "ops", "whatIf": what_if}
        ended = machine.end(machine.start(f"run-{what_if}", run=run))
        assert ended.status == "SUCCEEDED", ended.cause
        commands = [command for command in account.commands() if f":{what_if}:" in command["Comment"]]
        assert [arguments(account, command).replace(" ", "") for command in commands] == [bare, given, ""]


def test_how_far_a_command_is_shows_while_it_runs(account: Account):
    account.nodes(1, 2)
    account.rule(1, ".", stdout='{"free": 7}', duration=10)
    account.rule(2, ".", stdout='{"free": 7}', duration=3000)
    machine = account.deploy("01-hello")
    execution = start(machine, workflow=nodes(1, 2))

    def shown() -> dict | None:
        polls = [
            json.loads(event["stateExitedEventDetails"]["output"])
            for event in machine.history(execution)
            if event.get("stateExitedEventDetails", {}).get("name") == "report: poll"
        ]
        return next((poll for poll in polls if poll["counts"]["succeeded"] == 1), None)

    assert until(shown, 60, "one of two nodes to be done") == {"status": "InProgress", "counts": {"total": 2, "succeeded": 1, "failed": 0}}
    assert machine.end(execution).status == "SUCCEEDED"
