"""Runs that look first: Preview and WhatIf."""

import base64
import json
from urllib.parse import unquote

from conftest import NAMESPACE, show

from testbed import waiting
from testbed.product import condition, has_ended

TAKES = "[CmdletBinding(SupportsShouldProcess)]\nparam([string] $Service = 'W3SVC')\nRestart-Service $Service\n"


def test_a_preview_says_what_would_run_and_runs_nothing(world):
    nodes = world.nodes(3)
    world.bed.control.put_node({**nodes[1], "ping": "ConnectionLost"})
    name = world.name("preview")
    steps = [
        {"name": "drain", "powershell": {"script": "Get-Date\n"}, "onError": [{"errors": ["States.ALL"], "block": "undo"}]},
        {"name": "settle", "when": "{% $params.settle %}", "wait": {"for": "2m"}},
        {"name": "one", "targets": {"nodeIds": [nodes[0]["id"]]}, "powershell": {"script": "Get-Date\n"}},
    ]
    blocks = [{"name": "undo", "steps": [{"name": "restore", "powershell": {"script": "Get-Date\n"}}]}]
    parameters = [{"name": "settle", "type": "Boolean", "default": True}]
    world.deploy(world.workflow(name, steps, blocks=blocks, parameters=parameters))
    run = world.run(name, mode="Preview")
    status = world.finish(run)
    assert status["phase"] == "Previewed", show(status)
    assert status["message"] == "3 steps would run on 3 nodes, 1 of them offline now; nothing was run"
    assert status["preview"] == {
        "parameters": {"settle": True},
        "steps": [
            {"path": "drain", "type": "powershell", "nodes": 3},
            {"path": "drain/restore", "type": "powershell", "nodes": 3, "afterFailure": True},
            {"path": "settle", "type": "wait", "when": "{% $params.settle %}"},
            {"path": "one", "type": "powershell", "nodes": 1},
        ],
    }
    sets = {target["set"]: target for target in status["targets"]}
    assert sets["workflow"]["nodes"] == [f"{node['computerName']} ({node['id']})" for node in nodes]
    assert (sets["workflow"]["offline"], sets["one"]["count"]) == (1, 1)
    assert world.executions(name) == [] and world.commands(name) == []
    found = world.product.get("wrun", run["metadata"]["name"], NAMESPACE)
    assert (condition(found, "Started"), condition(found, "Succeeded")) == ("False", "True")
    assert not found["metadata"].get("finalizers")


def test_a_preview_of_nobody_fails(world):
    name = world.name("preview")
    world.deploy(world.workflow(name))
    status = world.finish(world.run(name, mode="Preview"))
    assert (status["phase"], status["failure"]["error"]) == ("Failed", "Windlass.NoTargets"), show(status)


def test_what_if_reaches_the_scripts(world):
    nodes = world.nodes(1)
    world.rule(nodes[0], stdout="What if: Performing the operation", duration=1)
    name = world.name("asks")
    world.deploy(world.workflow(name, [{"name": "restart", "powershell": {"script": TAKES, "parameters": {"Service": "WAS"}}}]))
    status = world.finish(world.run(name, mode="WhatIf"))
    assert status["phase"] == "Succeeded", show(status)
    assert status["steps"][0]["nodes"][0]["output"] == "What if: Performing the operation"
    (command,) = world.commands(name)
    given = json.loads(unquote(base64.b64decode(command["Parameters"]["arguments"][0]).decode()))
    assert given == {"Service": "WAS", "WhatIf": True}


def test_what_would_act_all_the_same_is_refused_by_name(world):
    world.nodes(1)
    name = world.name("acts")
    steps = [
        {"name": "asks", "powershell": {"script": TAKES}},
        {"name": "acts", "powershell": {"script": "Stop-Computer\n"}},
    ]
    world.deploy(world.workflow(name, steps))
    status = world.finish(world.run(name, mode="WhatIf"))
    failure = status["failure"]
    assert (status["phase"], failure["layer"], failure["error"]) == ("Failed", "Manifest", "WhatIfUnsupported"), show(status)
    assert failure["cause"] == (
        "nothing was run: mode WhatIf would not keep these steps from acting: "
        "acts (its script does not say [CmdletBinding(SupportsShouldProcess)])"
    )
    assert world.executions(name) == []


def test_how_far_a_step_is_shows_while_it_runs(world):
    """On `kubectl get wrun`: the message and the column of nodes."""
    nodes = world.nodes(2)
    world.rule(nodes[0], duration=5)
    world.rule(nodes[1], duration=36_000)
    name = world.name("far")
    world.deploy(world.workflow(name, [{"name": "work", "powershell": {"script": "Get-Date\n"}, "timeout": "1d"}]))
    run = world.run(name, targets={"nodeIds": [node["id"] for node in nodes]})
    world.product.apply(run)
    found = world.until_run(run, lambda found: "1 of 2" in found.get("status", {}).get("message", ""), "to show one of two nodes done")
    assert found["status"]["message"] == "at step work: 1 of 2 nodes done", show(found["status"])
    assert found["status"]["steps"][0]["nodeCounts"] == {"total": 2, "succeeded": 1, "failed": 0}
    world.product.kubectl("patch", "wrun", run["metadata"]["name"], "-n", NAMESPACE, "--type", "merge", "-p", '{"spec":{"desiredState":"Cancelled"}}')
    assert world.until_run(run, has_ended, "to end")["status"]["phase"] == "Cancelled"
    waiting.until(lambda: world.commands(name)[0]["Status"] == "Cancelled", 30, "its command to be cancelled")
