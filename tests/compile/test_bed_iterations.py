"""Steps on each node and for each item, run: children, waves, failures that are allowed and those that are not."""

import json
from typing import Any

import pytest
from conftest import Account, Machine, node_id

GOOD = json.dumps({"status": 200})


def listed(*numbers: int) -> dict[str, Any]:
    """The nodes as Windlass lists them when it starts a run."""
    return {"workflow": [{"id": node_id(number), "name": f"WEB-{number:02}"} for number in numbers]}


def farm(account: Account, *numbers: int) -> None:
    """Nodes that answer well."""
    account.nodes(*numbers)
    for number in numbers:
        account.rule(number, "Install-Update", stdout=GOOD)


def spoil(account: Account, number: int, **rule: Any) -> None:
    """A node that does not."""
    (node,) = (node for node in account.control.nodes() if node["id"] == node_id(number))
    account.control.put_node(node | {"rules": [{"match": "Install-Update", **rule}, *node["rules"]]})


def children(machine: Machine, execution: str) -> list[dict[str, Any]]:
    """The children of an execution, oldest first."""
    sfn = machine.account.sfn
    runs = sfn.list_map_runs(executionArn=execution)["mapRuns"]
    found = [child for run in runs for child in sfn.list_executions(mapRunArn=run["mapRunArn"])["executions"]]
    return sorted(found, key=lambda child: child["startDate"])


def comments(account: Account, step: str) -> list[str]:
    """Who a step's commands were for, in the order in which they were sent."""
    return [c["Comment"].partition(":roll/")[2].partition("@")[2] for c in account.commands() if f":roll/{step}#" in c["Comment"]]


def test_each_node_by_itself(account: Account):
    farm(account, 1, 2, 3, 4, 5)
    machine = account.deploy("17-for-each-node")
    execution = machine.start(nodes=listed(1, 2, 3, 4, 5))
    ended = machine.end(execution)
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("sum")["output"] == {"good": 5, "bad": 0, "which": []}
    assert ended.output == {"steps": {"roll": {"succeeded": 5, "failed": 0}}}
    assert ended.report("roll")["counts"] == {"total": 5, "succeeded": 5, "failed": 0}
    # Waves of one, of half, and of the rest.
    assert ended.states.count("roll: nodes") == 3 and ended.states.count("roll: pause") == 2
    assert [child["status"] for child in children(machine, execution)] == 5 * ["SUCCEEDED"]
    for step in ("drain", "install", "back"):
        assert comments(account, step) == [node_id(number) for number in (1, 2, 3, 4, 5)], step
    assert all(command["TargetCount"] == 1 for command in account.commands())
    assert {c["Comment"] for c in account.commands()} >= {f"windlass:0123456789abcdef:roll/drain#1@{node_id(1)}"}


def test_a_child_says_which_node_it_is_for(account: Account):
    """What whoever follows a run builds on: docs/decisions/compiler.md."""
    farm(account, 1)
    machine = account.deploy("17-for-each-node")
    execution = machine.start(nodes=listed(1))
    machine.end(execution)
    (child,) = children(machine, execution)
    assert child["executionArn"].split(":")[6] == "windlass_test_ops_for-each-node/roll"
    found = account.sfn.describe_execution(executionArn=child["executionArn"])
    given = json.loads(found["input"])
    assert given["node"] == {"id": node_id(1), "name": "WEB-01"} and given["run"]["id"] == "0123456789abcdef"
    assert given["steps_before"] == {"output": {"site": "dc1"}, "skipped": False}
    assert json.loads(found["output"]) == {"id": node_id(1), "status": "Succeeded"}
    reports = machine.end(child["executionArn"]).steps()
    assert reports == ["roll/drain done", "roll/install done", "roll/verify skipped", "roll/back done"]


def test_as_many_may_fail_as_are_allowed(account: Account):
    farm(account, 1, 2, 3, 4)
    spoil(account, 2, exitCode=7)
    machine = account.deploy("17-for-each-node")
    execution = machine.start(nodes=listed(1, 2, 3, 4))
    ended = machine.end(execution)
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("sum")["output"] == {"good": 3, "bad": 1, "which": ["WEB-02"]}
    assert ended.report("roll")["nodes"] == [{"id": node_id(2), "name": "WEB-02", "status": "Failed"}]
    failed = [child for child in children(machine, execution) if child["status"] == "FAILED"]
    found = account.sfn.describe_execution(executionArn=failed[0]["executionArn"])
    assert found["error"] == "Windlass.ExitCode"
    assert json.loads(found["cause"]) == {
        "step": "roll/install",
        "node": f"WEB-02 ({node_id(2)})",
        "error": "Windlass.ExitCode",
        "cause": f"1 of 1 nodes failed: WEB-02 ({node_id(2)}): Failed, exit code 7",
    }
    # It was tried again, and put back all the same.
    assert comments(account, "install").count(node_id(2)) == 2 and node_id(2) in comments(account, "back")


@pytest.mark.parametrize("width", [1, 2])
def test_one_more_ends_it_and_nothing_more_begins(account: Account, width: int):
    """One by one Step Functions itself counts; two at a time each child looks before it begins, and none is stopped."""
    farm(account, *range(1, 9))
    for number in range(1, 9):
        spoil(account, number, stdout=json.dumps({"status": 500}))
    machine = account.deploy("17-for-each-node")
    execution = machine.start(nodes=listed(*range(1, 9)), width=width)
    ended = machine.end(execution)
    assert ended.status == "SUCCEEDED", ended.cause
    (report,) = (report for report in ended.reports if report["step"] == "roll")
    assert (report["part"], report["error"]) == ("failed", "Web.Unhealthy")
    assert "nodes failed, 1 may; WEB-0" in report["cause"] and " answered 500" in report["cause"]
    assert ended.report("roll/told")["output"] == report["cause"]
    begun = len(comments(account, "drain"))
    assert (begun == 2) if width == 1 else (2 <= begun <= 3), begun
    # Whoever was begun was put back.
    assert sorted(comments(account, "back")) == sorted(comments(account, "drain"))
    assert not [child for child in children(machine, execution) if child["status"] == "ABORTED"]


def test_nodes_that_are_offline_are_left_out(account: Account):
    farm(account, 1, 2)
    account.nodes(3, ping="ConnectionLost")
    ended = account.deploy("17-for-each-node").run(nodes=listed(1, 3, 2))
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("sum")["output"] == {"good": 2, "bad": 0, "which": []}
    assert node_id(3) not in comments(account, "drain")


def test_nothing_that_is_listed_is_no_success(account: Account):
    account.nodes(1)
    ended = account.deploy("17-for-each-node").run()
    assert (ended.status, ended.error) == ("FAILED", "Windlass.NoTargets")
    assert ended.cause.startswith("no managed node was listed for this step when the run started: none has these tags: ")


def test_a_role_that_may_start_no_children_says_so(account: Account):
    farm(account, 1)
    machine = account.deploy("17-for-each-node")
    for policy in account.iam.list_role_policies(RoleName=machine.role)["PolicyNames"]:
        account.iam.delete_role_policy(RoleName=machine.role, PolicyName=policy)
    ended = machine.run(nodes=listed(1))
    assert ended.status == "FAILED" and "states:StartExecution" in ended.cause, ended.cause


def test_each_item(account: Account):
    account.nodes(1, 2)
    ended = account.deploy("18-for-each").run(nodes=listed(1, 2))
    assert ended.status == "SUCCEEDED", ended.cause
    assert ended.report("sum")["output"] == [2, 1, 1, 0]
    assert ended.report("sites")["nodes"] == [{"id": "2", "name": "item 2", "status": "Failed"}]
    sent = sorted(c["Comment"].partition(":")[2].partition(":")[2] for c in account.commands())
    assert sent == ["deep/say#1@0", "sites/look#1@0", "sites/look#1@1", "sites/look#1@2"]
