"""What runs meet on nodes and in Systems Manager, and what their status says of it."""

import json

import pytest

from conftest import show


def one_step(script="Get-Date\n", **step):
    return [{"name": "work", "powershell": {"script": script}, **step}]


def test_all_nodes_succeed(world):
    nodes = world.nodes(5)
    for node in nodes:
        world.rule(node, exitCode=0, stdout=json.dumps({"free": 7}), duration=1)
    name = world.name("good")
    world.deploy(world.workflow(name, [{"name": "work", "powershell": {"script": "Get-Date | ConvertTo-Json\n", "output": "Json"}}]))
    status = world.finish(world.run(name))
    assert status["phase"] == "Succeeded", show(status)
    (step,) = status["steps"]
    assert step["path"] == "work" and step["phase"] == "Succeeded" and step["attempts"] == 1, show(step)
    assert step["nodeCounts"] == {"total": 5, "succeeded": 5, "failed": 0}
    assert {(node["computerName"], node["status"], node["exitCode"]) for node in step["nodes"]} == {
        (node["computerName"], "Success", 0) for node in nodes
    }
    assert all(json.loads(node["output"]) == {"free": 7} for node in step["nodes"]), show(step)
    assert status["progress"] == {"steps": "1/1", "nodes": "5/5"}
    assert "failure" not in status
    assert len(world.commands(name)) == 1


def test_one_node_exits_5(world):
    nodes = world.nodes(3)
    world.rule(nodes[1], exitCode=5, stderr="the disk is full", duration=1)
    name = world.name("exit")
    world.deploy(world.workflow(name))
    status = world.finish(world.run(name))
    failure = status["failure"]
    assert status["phase"] == "Failed", show(status)
    assert failure["step"] == "work" and failure["layer"] == "Script" and failure["error"] == "Windlass.ExitCode", show(failure)
    assert nodes[1]["computerName"] in failure["node"] and nodes[1]["id"] in failure["node"]
    assert "5" in failure["cause"] and "the disk is full" in failure["cause"]
    assert failure["hint"]
    (step,) = status["steps"]
    assert step["phase"] == "Failed" and step["nodeCounts"] == {"total": 3, "succeeded": 2, "failed": 1}, show(step)
    assert step["nodes"][0]["id"] == nodes[1]["id"], "failed nodes come first"
    assert step["nodes"][0]["exitCode"] == 5 and "the disk is full" in step["nodes"][0]["errorOutput"]


def test_zero_targets(world):
    name = world.name("nobody")
    world.deploy(world.workflow(name))
    status = world.finish(world.run(name))
    failure = status["failure"]
    assert status["phase"] == "Failed", "Systems Manager calls a command that reaches nobody a success; Windlass does not"
    assert (failure["error"], failure["layer"]) == ("Windlass.NoTargets", "Manifest"), show(failure)
    assert world.role in failure["cause"] + failure["hint"], show(failure)


def test_undeliverable_beside_success(world):
    nodes = world.nodes(3)
    for node in nodes[:2]:
        world.rule(node, outcome="Undeliverable")
    name = world.name("undeliverable")
    world.deploy(world.workflow(name))
    status = world.finish(world.run(name))
    failure = status["failure"]
    assert status["phase"] == "Failed", "Systems Manager reports this as Success"
    assert (failure["error"], failure["layer"]) == ("Windlass.NodeUnreachable", "Node"), show(failure)
    assert status["steps"][0]["nodeCounts"] == {"total": 3, "succeeded": 1, "failed": 2}, show(status)


def test_offline_node(world):
    nodes = world.nodes(2)
    world.bed.control.put_node({**nodes[0], "ping": "ConnectionLost"})
    name = world.name("offline")
    world.deploy(world.workflow(name, one_step(timeout="2m")))
    status = world.finish(world.run(name), timeout=90)
    failure = status["failure"]
    assert (failure["error"], failure["layer"]) == ("Windlass.NodeUnreachable", "Node"), show(status)
    assert nodes[0]["id"] in failure["node"], show(failure)


def test_access_denied_on_the_node(world):
    nodes = world.nodes(2)
    world.rule(nodes[0], outcome="AccessDenied")
    name = world.name("denied")
    world.deploy(world.workflow(name))
    status = world.finish(world.run(name))
    failure = status["failure"]
    assert (failure["error"], failure["layer"]) == ("Windlass.AccessDenied", "Node"), show(status)
    assert nodes[0]["id"] in failure["node"], show(failure)


def test_execution_role_lacks_a_right(world):
    world.nodes(1)
    name = world.name("norights")
    workflow = world.deploy(world.workflow(name))
    role = next(item for item in workflow["status"]["ownedObjects"] if item["type"] == "AWS::IAM::Role")
    iam = world.bed.boto3("iam")
    for policy in iam.list_role_policies(RoleName=role["name"])["PolicyNames"]:
        iam.delete_role_policy(RoleName=role["name"], PolicyName=policy)
    status = world.finish(world.run(name))
    failure = status["failure"]
    assert status["phase"] == "Failed" and failure["layer"] == "IAM", show(status)
    assert "ssm:SendCommand" in failure["cause"] and "arn:aws:ssm:eu-west-1:111122223333:document/" in failure["cause"], show(failure)
    assert failure["step"] == "work"


def test_script_timeout_cancels_the_command(world):
    (node,) = world.nodes(1)
    world.rule(node, outcome="Hang")
    name = world.name("hang")
    world.deploy(world.workflow(name, one_step(timeout="1m")))
    status = world.finish(world.run(name), timeout=90)
    failure = status["failure"]
    assert failure["error"] == "Windlass.TimedOut", show(status)
    assert failure["step"] == "work"
    for command in world.commands(name):
        assert command["Status"] not in ("Pending", "InProgress", "Cancelling"), command


def test_cancel_stops_execution_and_commands(world):
    nodes = world.nodes(2)
    for node in nodes:
        world.rule(node, duration=36_000, exitCode=0)
    name = world.name("cancel")
    world.deploy(world.workflow(name, one_step(timeout="12h")))
    run = world.run(name)
    world.start(run)
    world.until_command(name, lambda command: command["Status"] == "InProgress", "the command runs on the nodes")
    world.product.kubectl(
        "patch", "wrun", run["metadata"]["name"], "-n", "ops", "--type=merge", "-p", '{"spec":{"desiredState":"Cancelled"}}'
    )
    status = world.until_run(run, lambda run: run["status"]["phase"] == "Cancelled", "to be cancelled")["status"]
    assert status["finishedAt"]
    assert [execution["status"] for execution in world.executions(name)] == ["ABORTED"]
    world.until_command(name, lambda command: command["Status"] == "Cancelled", "the command is cancelled")
    invocations = world.bed.boto3("ssm").list_command_invocations()["CommandInvocations"]
    mine = [item for item in invocations if item["InstanceId"] in {node["id"] for node in nodes}]
    assert mine and all(item["Status"] == "Cancelled" for item in mine), mine


def test_two_runs_at_once(world):
    nodes = world.nodes(2)
    for node in nodes:
        world.rule(node, duration=20, exitCode=0)
    name = world.name("twice")
    world.deploy(world.workflow(name))
    first, second = world.run(name), world.run(name)
    world.product.apply(first, second)
    for run in (first, second):
        assert world.finish(run)["phase"] == "Succeeded"
    assert len(world.executions(name)) == 2 and len(world.commands(name)) == 2


def test_retry_and_on_error(world):
    (node,) = world.nodes(1)
    world.rule(node, match="Stop-Thing", exitCode=7, stderr="busy", times=1)
    world.rule(node, match="Break-Thing", exitCode=9, stderr="broken")
    name = world.name("handlers")
    world.deploy(
        world.workflow(
            name,
            [
                {
                    "name": "stop",
                    "powershell": {"script": "Stop-Thing\n"},
                    "retry": [{"errors": ["Windlass.ExitCode"], "attempts": 2, "interval": "10s"}],
                },
                {
                    "name": "break",
                    "powershell": {"script": "Break-Thing\n"},
                    "onError": [{"errors": ["Windlass.ExitCode"], "steps": [{"name": "mend", "call": {"block": "repair"}}]}],
                },
                {"name": "skip", "when": "{% $steps.stop.failed > 0 %}", "powershell": {"script": "Get-Date\n"}},
                {"name": "sum", "pass": {"result": "{% $steps.stop.succeeded %}"}},
            ],
            blocks=[{"name": "repair", "steps": [{"name": "fix", "powershell": {"script": "Repair-Thing\n"}}]}],
        )
    )
    status = world.finish(world.run(name))
    assert status["phase"] == "Succeeded", show(status)
    steps = {step["path"]: step for step in status["steps"]}
    assert (steps["stop"]["phase"], steps["stop"]["attempts"]) == ("Succeeded", 2), show(status)
    assert steps["break"]["phase"] == "Handled" and steps["skip"]["phase"] == "Skipped", show(status)
    assert steps["break/mend/fix"]["phase"] == "Succeeded", sorted(steps)
    assert json.loads(steps["sum"]["output"]) == 1


def test_fail_step(world):
    name = world.name("fail")
    world.deploy(world.workflow(name, [{"name": "stop", "fail": {"error": "Web.Unhealthy", "cause": "{% 'answer ' & $string(1 + 1) %}"}}]))
    status = world.finish(world.run(name))
    failure = status["failure"]
    assert (status["phase"], failure["step"], failure["error"], failure["cause"]) == ("Failed", "stop", "Web.Unhealthy", "answer 2"), show(
        status
    )


THROTTLED = [
    ("ssm", "SendCommand"),
    ("ssm", "ListCommands"),
    ("ssm", "ListCommandInvocations"),
    ("ssm", "GetCommandInvocation"),
    ("stepfunctions", "StartExecution"),
    ("stepfunctions", "DescribeExecution"),
    ("stepfunctions", "GetExecutionHistory"),
    ("iam", "CreateRole"),
    ("iam", "PutRolePolicy"),
    ("ssm", "CreateDocument"),
    ("stepfunctions", "CreateStateMachine"),
]


@pytest.mark.parametrize(("service", "operation"), THROTTLED, ids=[operation for _, operation in THROTTLED])
def test_throttled(world, service, operation):
    world.nodes(2)
    name = world.name("throttled")
    world.bed.control.fault("Throttle", service, operation, count=2)
    world.deploy(world.workflow(name))
    status = world.finish(world.run(name))
    assert status["phase"] == "Succeeded", show(status)
    assert len(world.executions(name)) == 1 and len(world.commands(name)) == 1


def test_parameters_reach_the_script_as_data(world):
    (node,) = world.nodes(1)
    name = world.name("data")
    script = "param([string] $Text)\n$Text\n"
    world.deploy(
        world.workflow(
            name,
            [{"name": "work", "powershell": {"script": script, "parameters": {"Text": "{% $params.text %}"}}}],
            parameters=[{"name": "text", "type": "String", "required": True}],
        )
    )
    nasty = "'; Remove-Item C:\\ -Recurse; $(whoami) `\"{{ step }} – ünïcode"
    status = world.finish(world.run(name, parameters={"text": nasty}))
    assert status["phase"] == "Succeeded", show(status)
    (command,) = world.commands(name)
    assert nasty not in json.dumps(command["Parameters"]), "arguments travel encoded"
