"""Manifests with mistakes in them, each with the message that its author reads: from the API server, or in the object's status."""

import json
import re

import pytest

from conftest import NAMESPACE, in_aws, show

from testbed.aws import ACCOUNT_ID
from testbed.product import condition, is_ready

SHELL = {"script": "Get-Date\n"}
TYPES = "powershell, notify, wait, pass, fail, call, parallel, switch, forEachNode, forEach"
TOO_LONG = "99999999d"
"""Accepted by the schema's pattern, and no duration all the same: an object that does not parse."""
NOT_A_SPAN = '"99999999d" is not a duration: write a whole number and a unit, as in 90s, 10m, 2h or 3d, of one year at most'


def step(name="work", **fields):
    return {"name": name, **(fields or {"powershell": SHELL})}


def block(name, *called):
    return {"name": name, "steps": [step(f"to-{other}", call={"block": other}) for other in called]}


# What the API server refuses: the spec, and what kubectl prints.
REFUSED = {
    "two step types": ({"steps": [step(powershell=SHELL, wait={"for": "1m"})]}, f"step work needs exactly one of: {TYPES}; found: powershell wait"),
    "no step type": ({"steps": [{"name": "work"}]}, f"step work needs exactly one of: {TYPES}; found: none"),
    "two step types in a block": (
        {"blocks": [{"name": "b", "steps": [step("in", **{"fail": {"error": "E"}, "call": {"block": "b"}})]}]},
        f"step in needs exactly one of: {TYPES}; found: fail call",
    ),
    "duplicate step names": ({"steps": [step("a"), step("a")]}, 'spec.steps[1]: Duplicate value: {"name":"a"}'),
    "no steps": ({"steps": []}, "spec.steps in body should have at least 1 items"),
    "unknown field": ({"setps": []}, 'unknown field "spec.setps"'),
    "misspelt nested field": (
        {"steps": [step(powershell={**SHELL, "ouput": "Json"})]},
        'unknown field "spec.steps[0].powershell.ouput"',
    ),
    "a step type that does not exist": ({"steps": [step(reboot={})]}, 'unknown field "spec.steps[0].reboot"'),
    "no duration": ({"timeout": "10 min"}, "spec.timeout in body should match '^[1-9][0-9]{0,7}(s|m|h|d)$'"),
    "both ways to target": (
        {"targets": {"tags": {"OS": ["Windows"]}, "nodeIds": ["i-0123456789abcdef0"]}},
        "targets needs exactly one of: tags, nodeIds, fleetRef; found: tags nodeIds",
    ),
    "a when that is no expression": ({"steps": [{**step(), "when": "$params.go"}]}, "spec.steps[0].when in body should match"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_the_api_server(world, case):
    spec, message = REFUSED[case]
    name = world.name("refused")
    result = world.product.apply({**world.workflow(name), "spec": {**world.workflow(name)["spec"], **spec}}, check=False)
    assert result.returncode != 0 and message in result.stderr, result.stderr
    assert world.product.get("wwf", name, NAMESPACE) is None


# What the controller refuses: the spec, and the Ready condition's whole message.
STALLED = {
    "unknown block": (
        {"steps": [step(call={"block": "gone"})], "blocks": [{"name": "here", "steps": [step()]}]},
        "spec.steps[0].call.block: there is no block gone; there is: here",
    ),
    "cycle": (
        {"steps": [step(call={"block": "a"})], "blocks": [block("a", "b"), block("b", "a")]},
        "spec.blocks[1].steps[0].call.block: blocks call each other in a circle: a → b → a",
    ),
    "too deep": (
        {"steps": [step(call={"block": "b1"})], "blocks": [*(block(f"b{n}", f"b{n + 1}") for n in range(1, 6)), {"name": "b6", "steps": [step()]}]},
        "spec.blocks[4].steps[0].call.block: calls nest more than 5 deep: b1 → b2 → b3 → b4 → b5 → b6",
    ),
    "bad JSONata": (
        {"steps": [{**step(), "when": "{% $params.go = %}"}], "parameters": [{"name": "go", "type": "Boolean"}]},
        "spec.steps[0].when: not JSONata: ",
    ),
    "unknown step name": (
        {"steps": [step("first"), {**step("second"), "when": "{% $steps.frist.succeeded > 0 %}"}]},
        "spec.steps[1].when: $steps.frist: there is no such step before this one; there is: first",
    ),
    "a step that has not run yet": (
        {"steps": [{**step("first"), "when": "{% $steps.second.succeeded > 0 %}"}, step("second")]},
        "spec.steps[0].when: $steps.second: that step has not run yet here; only steps before this one can be read",
    ),
    "unknown parameter name": (
        {"steps": [{**step(), "when": "{% $params.go %}"}]},
        "spec.steps[0].when: $params.go: there is no such parameter; there is: none",
    ),
    "PowerShell syntax": (
        {"steps": [step(powershell={"script": "Get-Date\nif ($true) {\n  Get-Item C:\\\n"})]},
        "spec.steps[0].powershell.script (line 2, column 12): syntax error: this { is never closed: } is missing",
    ),
    "PowerShell 7": (
        {"steps": [step(powershell={"script": "Get-Date\n  Get-Date && Get-Item x\n"})]},
        "spec.steps[0].powershell.script (line 2, column 12): && is PowerShell 7, and nodes run Windows PowerShell 5.1: "
        "write first; if ($?) { second }",
    ),
    "text that the agent would replace": (
        {"steps": [step(powershell={"script": "Write-Output '{{ region }}'\n"})]},
        "spec.steps[0].powershell.script (line 1, column 15): the agent on the node would replace {{ region }} by a document parameter: "
        "write it apart, as in ('{' + '{ name }' + '}'), or pass the value through parameters",
    ),
    "an argument that the script does not take": (
        {"steps": [step(powershell={**SHELL, "parameters": {"Site": "a"}})]},
        "spec.steps[0].powershell.parameters.Site: the script has no param() block, so it cannot take Site: begin it with param([string] $Site)",
    ),
    "outside the grant": (
        {"targets": {"tags": {"OS": ["Linux"]}}},
        "spec.targets: these targets are outside of what namespace ops may reach: grant ops allows OS in [Windows]; target nodes within that, "
        "or ask the platform team to widen spec.grants[].nodeTags of AwsAccount prod",
    ),
    "a default off its pattern": (
        {"parameters": [{"name": "kb", "type": "String", "pattern": "^KB[0-9]+$", "default": "x"}]},
        'spec.parameters[0].default: parameter kb must match ^KB[0-9]+$, and "x" does not',
    ),
}


@pytest.mark.parametrize("case", STALLED)
def test_refused_by_the_compiler(world, case):
    spec, message = STALLED[case]
    name = world.name("stalled")
    world.product.apply({**world.workflow(name), "spec": {**world.workflow(name)["spec"], **spec}})
    found = stalled(world, "wwf", name)
    said = condition(found, "Ready", "message")
    assert said == message or message.endswith(": ") and said.startswith(message), show(found["status"])
    assert condition(found, "Ready", "reason") == "Invalid"
    assert "ownedObjects" not in found["status"], "nothing was made in AWS"
    world.delete("wwf", name)
    world.product.until_gone("wwf", name, NAMESPACE)


def test_scripts_that_are_too_long_together(world):
    """Each is within what a step may have; the document of both is not within what Systems Manager takes."""
    name = world.name("stalled")
    long = {"script": "Get-Date\n" + "# filling\n" * 3500}
    world.product.apply(world.workflow(name, [step("one", powershell=long), step("two", powershell={"script": long["script"] + "Get-Host\n"})]))
    said = condition(stalled(world, "wwf", name), "Ready", "message")
    assert re.fullmatch(
        r"spec\.steps: the scripts of this workflow come to a document of \d{5} bytes, and Systems Manager takes 65536 "
        r"\(the largest: .*\): shorten them, or keep shared code in a module on the nodes",
        said,
    ), said
    world.delete("wwf", name)


def test_a_corrected_manifest_goes_on(world):
    name = world.name("mended")
    world.product.apply(world.workflow(name, [step(call={"block": "gone"})]))
    stalled(world, "wwf", name)
    world.deploy(world.workflow(name))
    world.delete("wwf", name)
    world.product.until_gone("wwf", name, NAMESPACE)


def test_a_namespace_without_a_grant(world):
    name = world.name("nogrant")
    manifest = world.workflow(name)
    manifest["metadata"]["namespace"] = "stranger"
    world.product.apply(manifest)
    found = stalled(world, "wwf", name, "stranger")
    assert condition(found, "Ready", "reason") == "NoGrant"
    assert condition(found, "Ready", "message") == (
        "no AwsAccount grants namespace stranger anything: ask the platform team for an entry under spec.grants of an AwsAccount "
        "with namespaces: [stranger]"
    )
    world.product.kubectl("delete", "wwf", name, "-n", "stranger")
    manifest["spec"]["accountRef"] = {"name": "prod"}
    world.product.apply(manifest)
    found = stalled(world, "wwf", name, "stranger")
    assert condition(found, "Ready", "message") == (
        "spec.targets: AwsAccount prod grants namespace stranger nothing: ask the platform team for an entry under spec.grants "
        "with namespaces: [stranger]"
    ), "naming the account does not get round its grants"
    world.product.kubectl("delete", "wwf", name, "-n", "stranger")


def test_an_account_that_does_not_exist(world):
    name = world.name("noaccount")
    world.product.apply(world.workflow(name, accountRef={"name": "pord"}))
    found = stalled(world, "wwf", name)
    assert condition(found, "Ready", "reason") == "AccountNotFound"
    assert condition(found, "Ready", "message") == "AwsAccount pord does not exist: create it, or name another under spec.accountRef"
    world.delete("wwf", name)


PARAMETERS = [
    ({}, "spec.parameters.kb: parameter kb is required: give it a value"),
    ({"kb": "5046616"}, 'spec.parameters.kb: parameter kb must match ^KB[0-9]{6,7}$, and "5046616" does not'),
    ({"kb": 5046616}, "spec.parameters.kb: parameter kb must be text (quote it), not 5046616"),
    ({"kb": "KB5046616", "count": 9}, "spec.parameters.count: parameter count must be between 1 and 5, not 9"),
    ({"kb": "KB5046616", "kbb": 1}, "spec.parameters.kbb: the workflow has no parameter kbb; it has: kb, count"),
]


def test_parameters_that_are_not_as_declared(world):
    name = world.name("params")
    declared = [
        {"name": "kb", "type": "String", "required": True, "pattern": "^KB[0-9]{6,7}$"},
        {"name": "count", "type": "Integer", "minimum": 1, "maximum": 5, "default": 1},
    ]
    world.deploy(world.workflow(name, parameters=declared))
    for given, problem in PARAMETERS:
        status = world.finish(world.run(name, parameters=given))
        message = f"the parameters do not suit WindowsWorkflow {name}; nothing was run: {problem}"
        assert (status["phase"], status["message"]) == ("Failed", message), show(status)
        assert status["failure"] == {
            "layer": "Manifest",
            "error": "InvalidParameters",
            "cause": message,
            "hint": "create a new WorkflowRun with parameters as the workflow's spec.parameters describes them",
        }
        assert "startedAt" not in status
    assert world.executions(name) == []


def test_a_run_of_a_workflow_that_does_not_exist(world):
    world.nodes(1)
    name = world.name("missing")
    run = world.run(name)
    world.product.apply(run)
    found = world.until_run(run, lambda run: run.get("status", {}).get("message"), "to say what it waits for")
    assert (found["status"]["phase"], found["status"]["message"]) == (
        "Pending",
        f"waits for WindowsWorkflow {name}, which does not exist in this namespace: create it, or delete this run and name another "
        "under spec.workflowRef",
    )
    world.deploy(world.workflow(name))
    assert world.finish(run)["phase"] == "Succeeded", "it goes on when the workflow comes"


def test_a_run_of_a_workflow_that_is_not_well(world):
    name = world.name("unwell")
    world.product.apply(world.workflow(name, [step(call={"block": "gone"})]))
    stalled(world, "wwf", name)
    run = world.run(name)
    world.product.apply(run)
    message = (
        f"waits until generation 1 of WindowsWorkflow {name} is Ready: Invalid: "
        "spec.steps[0].call.block: there is no block gone; the workflow has no blocks"
    )
    world.until_run(run, lambda run: run.get("status", {}).get("message") == message, "to say what it waits for")
    world.delete("wrun", run["metadata"]["name"])
    world.delete("wwf", name)


def test_account_id_mismatch(world):
    other = "999999999999"
    manifest = account(world, other)
    name = manifest["metadata"]["name"]
    world.product.apply(manifest)
    found = stalled(world, "awsacct", name, None)
    who = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/windlass-controller/windlass"
    assert condition(found, "Ready", "reason") == "AccountMismatch"
    assert condition(found, "Ready", "message") == (
        f"spec.accountId is {other}, but AWS answers that Windlass is {who} in account {ACCOUNT_ID}: correct spec.accountId or "
        "spec.assumeRole.roleArn; nothing is done in either account until they agree"
    )
    assert found["status"]["callerArn"] == who
    workflow = world.name("inmismatch")
    world.product.apply(world.workflow(workflow, accountRef={"name": name}))
    found = world.product.until("wwf", workflow, NAMESPACE, lambda found: condition(found, "Ready") == "False", "to say what it waits for")
    assert condition(found, "Ready", "reason") == "AccountNotReady"
    assert condition(found, "Ready", "message").startswith(f"AwsAccount {name} is not Ready: spec.accountId is {other}, but"), show(found["status"])
    world.delete("wwf", workflow)
    world.product.kubectl("delete", "awsacct", name)


def test_one_bad_object_of_each_kind_beside_good_ones(world):
    """What does not parse is told so and harms nobody: good ones that come later are dealt with as ever, and the bad ones can be mended."""
    world.nodes(1)
    bad, good = world.name("bad"), world.name("good")
    broken = account(world, "999999999999")
    bad_run, good_run = world.run(good, name=world.name("badrun"), ttlAfterFinished=TOO_LONG), world.run(good)
    world.product.apply(broken, world.workflow(bad, timeout=TOO_LONG), bad_run)

    stalled(world, "awsacct", broken["metadata"]["name"], None)
    found = stalled(world, "wwf", bad)
    assert condition(found, "Ready", "reason") == "Invalid"
    unreadable = r"this {} cannot be read: .*{}.*: correct the manifest; nothing was changed in AWS"
    message = condition(found, "Ready", "message")
    assert re.fullmatch(unreadable.format("WindowsWorkflow", re.escape(NOT_A_SPAN)), message), message
    failed = world.until_run(bad_run, lambda run: run.get("status", {}).get("phase") == "Failed", "to be refused")["status"]
    assert failed["failure"]["layer"] == "Manifest"
    assert re.fullmatch(unreadable.format("WorkflowRun", re.escape(NOT_A_SPAN)), failed["message"]), failed["message"]

    world.deploy(world.workflow(good))
    assert world.finish(good_run)["phase"] == "Succeeded"
    other = world.product.account(name=world.name("other"), grants=[{"name": "none", "namespaces": ["nowhere"], "anyNode": True}])
    world.product.apply(other)
    world.product.until_ready("awsacct", other["metadata"]["name"])

    world.deploy(world.workflow(bad, timeout="2h"))
    for kind, name in (("wwf", bad), ("wrun", bad_run["metadata"]["name"])):
        world.delete(kind, name)
        world.product.until_gone(kind, name, NAMESPACE)
    for found in (broken, other):
        world.product.kubectl("delete", "awsacct", found["metadata"]["name"])


def test_what_cannot_be_read_any_more_can_still_go(world):
    """An edit that does not parse takes nothing away, neither from the status nor from AWS; deleted as it is, everything of it goes."""
    world.nodes(1)
    name, grants = world.name("edited"), [{"name": "ops", "namespaces": [NAMESPACE], "nodeTags": {"OS": ["Windows"]}}]
    own = world.product.account(name=world.name("own"), grants=grants)
    world.product.apply(own)
    world.product.until_ready("awsacct", own["metadata"]["name"])
    workflow = world.workflow(name, accountRef={"name": own["metadata"]["name"]})
    before = world.deploy(workflow)["status"]

    workflow["spec"]["timeout"] = TOO_LONG
    world.product.apply(workflow)
    after = stalled(world, "wwf", name)["status"]
    assert condition({"status": after}, "Ready", "reason") == "Invalid"
    changing = ("conditions", "observedGeneration")
    kept = lambda status: {field: value for field, value in status.items() if field not in changing}  # noqa: E731
    assert kept(after) == kept(before)

    # The account waits for it, although nothing of its spec can be read.
    world.product.kubectl("delete", "awsacct", own["metadata"]["name"], "--wait=false")
    waiting = world.product.until(
        "awsacct", own["metadata"]["name"], None, lambda found: condition(found, "Reconciling", "reason") == "InUse", "to wait for the workflow"
    )
    assert f"{NAMESPACE}/{name}" in condition(waiting, "Reconciling", "message")
    late = world.workflow(world.name("late"), accountRef=workflow["spec"]["accountRef"])
    world.product.apply(late)
    refused = lambda found: "is being deleted, so nothing new begins in it" in (condition(found, "Ready", "message") or "")  # noqa: E731
    world.product.until("wwf", late["metadata"]["name"], NAMESPACE, refused, "to be refused")

    world.delete("wwf", name)
    world.product.until_gone("wwf", name, NAMESPACE)
    world.product.until_gone("awsacct", own["metadata"]["name"], None)
    left = [found for names in in_aws(world.bed).values() for found in names if name in found]
    assert left == []
    world.delete("wwf", late["metadata"]["name"])


def account(world, account_id):
    """An account that says another id than AWS does, and grants nothing to the namespace of the tests."""
    manifest = world.product.account(name=world.name("account"), grants=[{"name": "none", "namespaces": ["nowhere"], "anyNode": True}])
    manifest["spec"] |= {"accountId": account_id, "permissionsBoundaryArn": f"arn:aws:iam::{account_id}:policy/org-boundary"}
    return json.loads(json.dumps(manifest))


def stalled(world, kind, name, namespace=NAMESPACE):
    """Waits until an object says that somebody must act, and answers it."""

    def refused(found):
        return found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"] and condition(found, "Stalled") == "True"

    found = world.product.until(kind, name, namespace, refused, "to be refused")
    assert not is_ready(found) and condition(found, "Reconciling") == "False", show(found["status"])
    return found
