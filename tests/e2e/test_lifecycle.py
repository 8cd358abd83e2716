"""Edits, deletions and rebuilds: what stays, what goes, and what never happens twice."""

from conftest import NAMESPACE, in_aws, path_of, show

from testbed import waiting
from testbed.product import condition, has_ended


def long_workflow(world, name, script="Get-Date\n", **spec):
    return world.workflow(name, [{"name": "work", "powershell": {"script": script}, "timeout": "12h"}], **spec)


def test_everything_owned_goes_and_nothing_else(world):
    world.nodes(1)
    before = in_aws(world.bed)
    name = world.name("whole")
    workflow = world.deploy(world.workflow(name))
    assert world.finish(world.run(name))["phase"] == "Succeeded"
    during = in_aws(world.bed)
    assert {kind: len(during[kind]) - len(before[kind]) for kind in before} == {"roles": 1, "policies": 1, "documents": 1, "machines": 1}
    assert {item["type"] for item in workflow["status"]["ownedObjects"]} == {
        "AWS::IAM::Role",
        "AWS::SSM::Document",
        "AWS::StepFunctions::StateMachine",
    }
    world.delete("wwf", name)
    world.product.until_gone("wwf", name, NAMESPACE)
    assert in_aws(world.bed) == before


def test_deletion_waits_for_a_run_in_flight(world):
    (node,) = world.nodes(1)
    world.rule(node, duration=36_000, exitCode=0)
    name = world.name("drain")
    world.deploy(long_workflow(world, name))
    first, late = world.run(name), world.run(name)
    world.start(first)
    world.delete("wwf", name)
    found = world.product.until(
        "wwf", name, NAMESPACE, lambda found: condition(found, "Ready", "reason") == "Draining", "to wait for its run"
    )
    assert first["metadata"]["name"] in condition(found, "Ready", "message"), show(found["status"])
    world.product.apply(late)
    world.until_run(late, lambda run: run.get("status", {}).get("message"), "to say why it does not start")
    assert len(world.executions(name)) == 1, "nothing new is started"
    world.product.kubectl(
        "patch", "wrun", first["metadata"]["name"], "-n", NAMESPACE, "--type=merge", "-p", '{"spec":{"desiredState":"Cancelled"}}'
    )
    world.product.until_gone("wwf", name, NAMESPACE)
    assert world.product.get("wrun", late["metadata"]["name"], NAMESPACE)["status"].get("startedAt") is None


def test_an_edit_leaves_a_run_on_its_version_with_its_rights(world):
    """The old version's role may reach the old nodes until its run has ended; then that right goes."""
    old, = world.nodes(1)
    other = {**old, "id": old["id"][:-1] + "f", "computerName": "OTHER", "tags": {"Role": world.role + "-new", "OS": "Windows"}}
    world.bed.control.put_node(other)
    world.rule(old, match="First", duration=600, exitCode=0, stdout="first")
    name = world.name("edit")
    steps = [
        {"name": "one", "powershell": {"script": "First\n"}, "timeout": "2h"},
        {"name": "two", "powershell": {"script": "Second\n"}},
    ]
    world.deploy(world.workflow(name, steps))
    run = world.run(name)
    started = world.start(run)
    world.until_command(name, lambda command: command["Status"] == "InProgress", "the first step runs")
    edited = world.workflow(name, [{"name": "one", "powershell": {"script": "Third\n"}}], targets={"tags": {"Role": [world.role + "-new"]}})
    world.deploy(edited)
    role = next(
        item for item in world.product.get("wwf", name, NAMESPACE)["status"]["ownedObjects"] if item["type"] == "AWS::IAM::Role"
    )
    policies = lambda: world.bed.boto3("iam").list_role_policies(RoleName=role["name"])["PolicyNames"]  # noqa: E731
    assert len(policies()) == 2, "the union of both versions' rights while a run of the old one is under way"
    ended = world.until_run(run, has_ended, "to end", timeout=90)
    assert ended["status"]["phase"] == "Succeeded", show(ended["status"])
    assert ended["status"]["stateMachineVersionArn"] == started["status"]["stateMachineVersionArn"]
    assert [step["path"] for step in ended["status"]["steps"]] == ["one", "two"], "the old version's steps"
    waiting.until(lambda: len(policies()) == 1, 60, "the old version's rights to go")
    again = world.finish(world.run(name))
    assert again["phase"] == "Succeeded" and again["steps"][0]["nodes"][0]["id"] == other["id"], show(again)


def test_a_run_made_again_does_not_run_again(world):
    world.nodes(1)
    name = world.name("again")
    world.deploy(world.workflow(name))
    run = world.run(name)
    assert world.finish(run)["phase"] == "Succeeded"
    world.delete("wrun", run["metadata"]["name"])
    world.product.until_gone("wrun", run["metadata"]["name"], NAMESPACE)
    status = world.finish(run)
    assert status["phase"] == "AlreadyRan", show(status)
    assert len(world.executions(name)) == 1 and len(world.commands(name)) == 1
    assert status["steps"][0]["phase"] == "Succeeded", "the old result is shown"


def test_deleting_a_run_cancels_it(world):
    (node,) = world.nodes(1)
    world.rule(node, duration=36_000, exitCode=0)
    name = world.name("dropped")
    world.deploy(long_workflow(world, name))
    run = world.run(name)
    world.start(run)
    world.until_command(name, lambda command: command["Status"] == "InProgress", "the command runs")
    world.delete("wrun", run["metadata"]["name"])
    world.product.until_gone("wrun", run["metadata"]["name"], NAMESPACE)
    assert [execution["status"] for execution in world.executions(name)] == ["ABORTED"]
    world.until_command(name, lambda command: command["Status"] == "Cancelled", "the command is cancelled")


def test_ttl_removes_a_finished_run(world):
    world.nodes(1)
    name = world.name("ttl")
    world.deploy(world.workflow(name))
    run = world.run(name, ttlAfterFinished="2m")
    world.finish(run)
    world.product.until_gone("wrun", run["metadata"]["name"], NAMESPACE)


def test_a_run_after_its_not_after_does_not_start(world):
    world.nodes(1)
    name = world.name("late")
    world.deploy(world.workflow(name))
    status = world.finish(world.run(name, notAfter="2020-01-01T00:00:00Z"))
    assert status["phase"] == "Failed" and "startedAt" not in status, show(status)
    assert world.executions(name) == []


def test_a_foreign_object_of_our_name_is_left_alone(world):
    """Only our tags prove that an object is ours: one that has our name and not our tags is never changed or deleted."""
    states = world.bed.boto3("stepfunctions")
    name = world.name("foreign")
    role = world.bed.boto3("iam").create_role(
        RoleName=f"foreign-{world.number}",
        AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"states.amazonaws.com"},"Action":"sts:AssumeRole"}]}',
    )["Role"]["Arn"]
    definition = '{"StartAt":"a","States":{"a":{"Type":"Pass","End":true}}}'
    foreign = states.create_state_machine(name=f"windlass_demo_ops_{name}", definition=definition, roleArn=role)["stateMachineArn"]
    world.product.apply(world.workflow(name))
    found = world.product.until("wwf", name, NAMESPACE, lambda found: condition(found, "Stalled") == "True", "to be refused")
    assert foreign in condition(found, "Ready", "message"), show(found["status"])
    assert states.describe_state_machine(stateMachineArn=foreign)["definition"] == definition
    world.delete("wwf", name)
    world.product.until_gone("wwf", name, NAMESPACE)
    assert states.describe_state_machine(stateMachineArn=foreign)["status"] == "ACTIVE", "what is not ours stays"
    states.delete_state_machine(stateMachineArn=foreign)


def test_the_examples_apply(world):
    """Every manifest under examples/ is accepted by the API server."""
    files = sorted(path for path in path_of("examples").rglob("*.yaml"))
    assert files
    for file in files:
        world.product.kubectl("apply", "--dry-run=server", "-f", str(file))
