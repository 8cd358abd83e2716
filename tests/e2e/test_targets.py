"""Nodes that are listed when a run starts: a fleet's, and a part that a run names."""

import json

from conftest import NAMESPACE, show
from test_fleets import by_role, fleet, until_says


def on_fleet(world, name, nodes=None, **spec):
    """A fleet of the test's nodes, and a workflow on it, Ready."""
    world.product.apply(fleet(name, nodes or by_role(world)))
    until_says(world, name, "Listed")
    return world.deploy(world.workflow(name, targets={"fleetRef": {"name": name}}, **spec))


def reached(world, name):
    """Ids of the nodes that a workflow's commands went to."""
    ssm = world.bed.boto3("ssm")
    found = [ssm.list_command_invocations(CommandId=command["CommandId"])["CommandInvocations"] for command in world.commands(name)]
    return sorted(invocation["InstanceId"] for invocations in found for invocation in invocations)


def listed_in_input(world, name):
    """The nodes in the one execution's input."""
    (execution,) = world.executions(name)
    found = world.bed.boto3("stepfunctions").describe_execution(executionArn=execution["executionArn"])
    return json.loads(found["input"])["nodes"]


def label(node):
    return f"{node['computerName']} ({node['id']})"


def test_a_run_on_a_fleet_keeps_to_the_nodes_that_were_there(world):
    nodes = world.nodes(3)
    linux = world.nodes(4)[3]
    world.bed.control.put_node({**linux, "platform": "Linux"})
    name = world.name("farm")
    on_fleet(world, name)
    status = world.finish(world.run(name))
    assert status["phase"] == "Succeeded", show(status)
    (target,) = status["targets"]
    assert (target["set"], target["fleet"], target["count"], target["offline"]) == ("workflow", name, 3, 0), show(target)
    assert target["nodes"] == [label(node) for node in nodes]
    assert reached(world, name) == [node["id"] for node in nodes]
    assert listed_in_input(world, name) == {"workflow": [{"id": node["id"], "name": node["computerName"]} for node in nodes]}
    assert status["progress"]["nodes"] == "3/3"


def test_an_edited_fleet_is_followed_by_its_workflow(world):
    nodes = world.nodes(2)
    name = world.name("farm")
    on_fleet(world, name, {"instanceIds": [nodes[0]["id"]]})
    world.product.apply(fleet(name, {"instanceIds": [nodes[1]["id"]]}))
    # Without waiting for the workflow: its role allows the one node until it has taken the change over.
    status = world.finish(world.run(name))
    assert status["phase"] == "Succeeded", show(status)
    assert reached(world, name) == [nodes[1]["id"]]
    found = world.product.get("wwf", name, NAMESPACE)
    assert found["metadata"]["generation"] == 1
    assert [(seen["name"], seen["generation"]) for seen in found["status"]["fleets"]] == [(name, 2)]


def test_a_fleet_that_comes_later(world):
    world.nodes(1)
    name = world.name("farm")
    world.product.apply(world.workflow(name, targets={"fleetRef": {"name": name}}))
    stalled = world.product.until(
        "wwf", name, NAMESPACE, lambda found: "there is no WindowsFleet" in show(found.get("status", {})), "to miss its fleet"
    )
    assert f"spec.targets.fleetRef: there is no WindowsFleet {name}" in show(stalled["status"])
    world.product.apply(fleet(name, by_role(world)))
    world.product.until_ready("wwf", name, NAMESPACE)
    assert world.finish(world.run(name))["phase"] == "Succeeded"


def test_a_run_on_a_part_of_the_nodes(world):
    nodes = world.nodes(3)
    site = {"Site": f"site-{world.number}"}
    world.bed.control.put_node({**nodes[2], "tags": {**nodes[2]["tags"], **site}})
    name = world.name("part")
    world.deploy(world.workflow(name))
    status = world.finish(world.run(name, targets={"nodeIds": [nodes[1]["id"]]}))
    assert status["phase"] == "Succeeded", show(status)
    assert status["targets"][0]["nodes"] == [label(nodes[1])]
    assert reached(world, name) == [nodes[1]["id"]]
    status = world.finish(world.run(name, targets={"tags": {"Site": [site["Site"]]}}))
    assert status["phase"] == "Succeeded", show(status)
    assert reached(world, name) == [nodes[1]["id"], nodes[2]["id"]]


def test_a_part_that_is_none(world):
    nodes = world.nodes(1)
    name = world.name("part")
    world.deploy(world.workflow(name))
    stranger = "i-0000000000badbad0"
    status = world.finish(world.run(name, targets={"nodeIds": [nodes[0]["id"], stranger]}))
    failure = status["failure"]
    assert (status["phase"], failure["layer"], failure["error"]) == ("Failed", "Manifest", "Windlass.NoTargets"), show(status)
    assert failure["cause"] == (
        "nothing was run: spec.targets names nodes that its workflow does not target, or that are no managed Windows nodes: " + stranger
    )
    status = world.finish(world.run(name, targets={"tags": {"Role": ["another"]}}))
    assert status["failure"]["cause"].startswith("nothing was run: its workflow targets nodes with these tags: OS in [Windows] and Role in")
    assert world.executions(name) == [] and world.commands(name) == []


def test_a_start_that_dies_keeps_to_the_nodes_of_its_execution(world):
    """Killed after StartExecution and before that was written down; a node joins meanwhile."""
    nodes = world.nodes(2)
    name = world.name("dies")
    on_fleet(world, name)
    proxy, product = world.bed.proxy, world.product
    # The first write says what is about to be started, the second that it was.
    proxy.rule("hold", resource="windlass.dev/workflowruns/status", skip=1)
    run = world.run(name)
    product.apply(run)
    held = proxy.wait_held()
    product.kill()
    proxy.drop(held["id"])
    proxy.reset()
    world.bed.control.put_node({**nodes[0], "id": f"i-{world.number:08x}{9:09x}", "computerName": "LATE"})
    product.start()
    status = world.until_run(run, lambda found: found["status"]["phase"] == "Succeeded", "to succeed")["status"]
    assert status["targets"][0]["nodes"] == [label(node) for node in nodes], show(status)
    assert reached(world, name) == [node["id"] for node in nodes]
    assert len(world.executions(name)) == 1


def test_a_start_that_dies_before_it_lists_anew(world):
    """Killed before StartExecution: what is listed then is what the status says and what the execution is given."""
    nodes = world.nodes(2)
    name = world.name("dies")
    on_fleet(world, name)
    proxy, product = world.bed.proxy, world.product
    proxy.rule("holdAfter", resource="windlass.dev/workflowruns/status")
    run = world.run(name)
    product.apply(run)
    held = proxy.wait_held()
    product.kill()
    proxy.drop(held["id"])
    proxy.reset()
    assert world.executions(name) == []
    late = {**nodes[0], "id": f"i-{world.number:08x}{9:09x}", "computerName": "LATE"}
    world.bed.control.put_node(late)
    product.start()
    status = world.until_run(run, lambda found: found["status"]["phase"] == "Succeeded", "to succeed")["status"]
    assert status["targets"][0]["nodes"] == [label(node) for node in (*nodes, late)], show(status)
    assert [node["id"] for node in listed_in_input(world, name)["workflow"]] == reached(world, name)
