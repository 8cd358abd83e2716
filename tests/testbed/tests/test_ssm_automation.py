"""Automation: runbooks of schema 0.3 and their executions.

Sources: API reference (StartAutomationExecution and its errors, StopAutomationExecution, SendAutomationSignal, StepExecution); user
guide, "Systems Manager Automation actions reference", "Handling timeouts in runbooks", "Using conditional statements in runbooks",
"Understanding automation statuses".
"""

import json
import uuid

import pytest
from aws_bench import Bench as AwsBench
from aws_bench import allow
from aws_bench import refused as denied
from ssm_bench import Bench, command_document, node_id, powershell, refused

from testbed.aws import ACCOUNT_ID, REGION
from testbed.waiting import until

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ssm.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def step(name: str, action: str, inputs: dict | None = None, **more) -> dict:
    return {"name": name, "action": f"aws:{action}", "inputs": inputs or {}, **more}


def sleep(name: str, duration: str = "PT1S", **more) -> dict:
    return step(name, "sleep", {"Duration": duration}, **more)


def api(name: str, operation: str, outputs: list | None = None, service: str = "ssm", **inputs) -> dict:
    made = step(name, "executeAwsApi", {"Service": service, "Api": operation, **inputs})
    return made | ({"outputs": outputs} if outputs else {})


FAILS = api("fails", "GetDocument", Name="nobody")


def runbook(*steps: dict, **more) -> str:
    return json.dumps({"schemaVersion": "0.3", "mainSteps": list(steps), **more})


def make(bench, *steps: dict, name: str = "runbook", **more) -> str:
    bench.ssm.create_document(Name=name, Content=runbook(*steps, **more), DocumentType="Automation")
    return name


def look(bench, execution: str) -> dict:
    return bench.ssm.get_automation_execution(AutomationExecutionId=execution)["AutomationExecution"]


def start(bench, name: str, **more) -> str:
    return bench.ssm.start_automation_execution(DocumentName=name, **more)["AutomationExecutionId"]


def ended(bench: Bench, execution: str) -> dict:
    bench.until(lambda: "ExecutionEndTime" in look(bench, execution), f"the end of {execution}")
    return look(bench, execution)


def run(bench: Bench, *steps: dict, arguments: dict | None = None, **more) -> dict:
    given = {"Parameters": arguments} if arguments else {}
    return ended(bench, start(bench, make(bench, *steps, **more), **given))


def statuses(execution: dict) -> dict:
    return {ran["StepName"]: ran["StepStatus"] for ran in execution["StepExecutions"]}


def test_an_execution_goes_through_its_steps_and_has_outputs(bench: Bench):
    (node,) = bench.nodes({"rules": [{"stdout": "patched"}]})
    ran = run(
        bench,
        sleep("first", "PT30S"),
        step("send", "runCommand", {"DocumentName": bench.document(), "InstanceIds": ["{{ node }}"]}),
        parameters={"node": {"type": "String"}},
        outputs=["send.Output", "send.CommandId"],
        arguments={"node": [node]},
    )
    assert (ran["AutomationExecutionStatus"], statuses(ran)) == ("Success", {"first": "Success", "send": "Success"})
    assert ran["Outputs"]["send.Output"] == ["patched"]
    assert ran["Parameters"] == {"node": [node]}
    assert ran["ProgressCounters"]["SuccessSteps"] == ran["ProgressCounters"]["TotalSteps"] == 2
    first = ran["StepExecutions"][0]
    assert (first["ExecutionEndTime"] - first["ExecutionStartTime"]).total_seconds() >= 30
    (command,) = bench.ssm.list_commands()["Commands"]
    assert ran["Outputs"]["send.CommandId"] == [command["CommandId"]]


def test_a_command_that_fails_fails_the_step_and_the_execution(bench: Bench):
    (node,) = bench.nodes({"rules": [{"exitCode": 7, "stderr": "no space"}]})
    ran = run(bench, step("send", "runCommand", {"DocumentName": bench.document(), "InstanceIds": [node]}), sleep("never"))
    assert (ran["AutomationExecutionStatus"], statuses(ran)) == ("Failed", {"send": "Failed", "never": "Pending"})
    failed = ran["StepExecutions"][0]
    assert (failed["ResponseCode"], failed["FailureDetails"]["FailureType"]) == ("7", "Action")
    assert "Failed" in failed["FailureMessage"] and ran["FailureMessage"] == failed["FailureMessage"]
    assert failed["Outputs"]["Status"] == ["Failed"]


def test_an_api_is_called_and_its_answer_selected_from(bench: Bench):
    bench.nodes({"computerName": "WEB-01"}, {"computerName": "WEB-02"})
    selected = [
        {"Name": "First", "Selector": "$.InstanceInformationList[0].ComputerName", "Type": "String"},
        {"Name": "All", "Selector": "$.InstanceInformationList..ComputerName", "Type": "StringList"},
    ]
    ran = run(
        bench,
        api("list", "DescribeInstanceInformation", selected),
        api("who", "get_caller_identity", [{"Name": "Account", "Selector": "$.Account", "Type": "String"}], service="sts"),
        api("write", "PutParameter", Name="/found", Value="{{ list.First }} in {{ who.Account }}", Type="String"),
        outputs=["list.All"],
    )
    assert ran["AutomationExecutionStatus"] == "Success", ran.get("FailureMessage")
    assert ran["Outputs"] == {"list.All": ["WEB-01", "WEB-02"]}
    assert bench.ssm.get_parameter(Name="/found")["Parameter"]["Value"] == f"WEB-01 in {ACCOUNT_ID}"


def test_an_api_that_refuses_fails_the_step_with_its_words(bench: Bench):
    ran = run(bench, FAILS)
    assert "InvalidDocument" in ran["FailureMessage"] and "nobody" in ran["FailureMessage"]


@pytest.mark.parametrize(
    ("more", "expected", "whole"),
    [
        ({}, {"fails": "Failed", "next": "Pending", "other": "Pending"}, "Failed"),
        ({"onFailure": "Abort", "isCritical": False}, {"fails": "Failed", "next": "Pending", "other": "Pending"}, "Success"),
        ({"onFailure": "Continue"}, {"fails": "Failed", "next": "Success", "other": "Success"}, "Failed"),
        ({"onFailure": "Continue", "isCritical": False}, {"fails": "Failed", "next": "Success", "other": "Success"}, "Success"),
        ({"onFailure": "step:other", "isCritical": False}, {"fails": "Failed", "next": "Pending", "other": "Success"}, "Success"),
    ],
)
def test_what_a_failure_means_is_the_steps_to_say(bench: Bench, more: dict, expected: dict, whole: str):
    ran = run(bench, FAILS | more, sleep("next"), sleep("other"))
    assert (statuses(ran), ran["AutomationExecutionStatus"]) == (expected, whole)


def test_a_step_that_takes_too_long_is_timed_out_and_so_is_the_whole(bench: Bench):
    ran = run(bench, sleep("slow", "PT1H", timeoutSeconds=20), sleep("next"))
    assert (ran["AutomationExecutionStatus"], statuses(ran)) == ("TimedOut", {"slow": "TimedOut", "next": "Pending"})


@pytest.mark.parametrize(("value", "taken"), [("windows", "a"), ("linux", "b"), ("solaris", "c")])
def test_a_branch_takes_the_first_choice_that_holds(bench: Bench, value: str, taken: str):
    choices = [
        {"NextStep": "a", "Variable": "{{ os }}", "StringEquals": "windows"},
        {"NextStep": "b", "And": [{"Variable": "{{ os }}", "StartsWith": "lin"}, {"Not": {"Variable": "{{ os }}", "Contains": "sol"}}]},
    ]
    ran = run(
        bench,
        step("choose", "branch", {"Choices": choices, "Default": "c"}),
        sleep("a", isEnd=True), sleep("b", isEnd=True), sleep("c", isEnd=True),
        parameters={"os": {"type": "String", "allowedValues": ["windows", "linux", "solaris"]}},
        arguments={"os": [value]},
    )  # fmt: skip
    assert [name for name, status in statuses(ran).items() if status == "Success"] == ["choose", taken]


def test_a_property_is_asserted_or_waited_for(bench: Bench):
    (node,) = bench.nodes({"ping": "ConnectionLost"})
    online = {
        "Service": "ssm", "Api": "DescribeInstanceInformation", "PropertySelector": "$.InstanceInformationList[0].PingStatus",
        "DesiredValues": ["Online"],
    }  # fmt: skip
    ran = run(bench, step("assert", "assertAwsResourceProperty", online), name="assert")
    assert ran["StepExecutions"][0]["FailureDetails"]["FailureType"] == "Verification"
    execution = start(bench, make(bench, step("wait", "waitForAwsResourceProperty", online, timeoutSeconds=3_000), name="wait"))
    bench.until(lambda: look(bench, execution)["AutomationExecutionStatus"] == "InProgress", "the wait")
    bench.change(node, ping="Online")
    assert ended(bench, execution)["AutomationExecutionStatus"] == "Success"


def test_a_pause_waits_for_a_signal(bench: Bench):
    execution = start(bench, make(bench, step("pause", "pause"), sleep("after")))
    bench.until(lambda: look(bench, execution)["AutomationExecutionStatus"] == "Waiting", "the pause")
    with refused("InvalidAutomationSignalException"):
        bench.ssm.send_automation_signal(AutomationExecutionId=execution, SignalType="Approve")
    bench.ssm.send_automation_signal(AutomationExecutionId=execution, SignalType="Resume")
    assert ended(bench, execution)["AutomationExecutionStatus"] == "Success"


def test_a_stop_cancels_the_step_its_command_and_the_whole(bench: Bench):
    (node,) = bench.nodes({"rules": [{"outcome": "Hang"}]})
    document = bench.document(command_document(powershell("main", timeout=3_600)))
    execution = start(bench, make(bench, step("send", "runCommand", {"DocumentName": document, "InstanceIds": [node]}), sleep("never")))
    (command,) = bench.until(lambda: bench.ssm.list_commands()["Commands"], "the command")
    bench.ssm.stop_automation_execution(AutomationExecutionId=execution)
    ran = ended(bench, execution)
    assert (ran["AutomationExecutionStatus"], statuses(ran)) == ("Cancelled", {"send": "Cancelled", "never": "Pending"})
    assert bench.finished(command["CommandId"])["Status"] == "Cancelled"
    with refused("InvalidAutomationStatusUpdateException"):
        bench.ssm.stop_automation_execution(AutomationExecutionId=execution)


def test_the_same_client_token_is_the_same_execution(bench: Bench):
    """API reference, StartAutomationExecution: IdempotentParameterMismatch for the same token with other parameters."""
    name, token = make(bench, sleep("one"), parameters={"x": {"type": "String", "default": "a"}}), str(uuid.uuid4())
    first = start(bench, name, ClientToken=token)
    assert start(bench, name, ClientToken=token) == first
    with refused("IdempotentParameterMismatch"):
        start(bench, name, ClientToken=token, Parameters={"x": ["b"]})
    assert start(bench, name, ClientToken=str(uuid.uuid4())) != first


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"DocumentName": "nobody"}, "AutomationDefinitionNotFoundException"),
        ({"DocumentName": "a-command"}, "AutomationDefinitionNotFoundException"),
        ({"DocumentVersion": "9"}, "AutomationDefinitionVersionNotFoundException"),
        ({"Parameters": {}}, "ValidationException"),
        ({"Parameters": {"other": ["x"]}}, "InvalidAutomationExecutionParametersException"),
        ({"Parameters": {"size": ["xl"]}}, "InvalidAutomationExecutionParametersException"),
        ({"ClientToken": "short"}, "ValidationException"),
        ({"Targets": [{"Key": "tag:Role", "Values": ["web"]}]}, "InvalidTarget"),
        ({"TargetParameterName": "size", "Parameters": None}, "InvalidTarget"),
        ({"TargetParameterName": "size", "Targets": [{"Key": "colour", "Values": ["x"]}], "Parameters": None}, "InvalidTarget"),
        ({"TargetParameterName": "other", "Targets": [{"Key": "ParameterValues", "Values": ["s"]}]}, "InvalidAutomationExecutionParametersException"),
        ({"TargetParameterName": "size", "Targets": [{"Key": "tag:Role", "Values": ["nobody"]}], "Parameters": None}, "InvalidTarget"),
        ({"TargetLocations": [{"Accounts": [ACCOUNT_ID]}]}, "ValidationException"),
    ],
)
def test_starts_that_are_refused(bench: Bench, request_: dict, code: str):
    """API reference, StartAutomationExecution, Errors. Executions in other accounts are not built, which the bed says."""
    bench.document(name="a-command")
    make(bench, sleep("one"), parameters={"size": {"type": "String", "allowedValues": ["s", "m"]}})
    good = {"DocumentName": "runbook", "Parameters": {"size": ["s"]}}
    with refused(code):
        bench.ssm.start_automation_execution(**{key: value for key, value in (good | request_).items() if value is not None})
    assert start(bench, "runbook", Parameters=good["Parameters"])


def test_an_execution_that_is_not_there(bench: Bench):
    """API reference: AutomationExecutionNotFoundException of all four."""
    nobody = str(uuid.uuid4())
    ssm = bench.ssm
    for call in (ssm.get_automation_execution, ssm.stop_automation_execution, ssm.describe_automation_step_executions):
        with refused("AutomationExecutionNotFoundException"):
            call(AutomationExecutionId=nobody)
    with refused("AutomationExecutionNotFoundException"):
        ssm.send_automation_signal(AutomationExecutionId=nobody, SignalType="Resume")


def test_executions_and_steps_are_listed_filtered_and_in_pages(bench: Bench):
    make(bench, sleep("one"), sleep("two"), name="first-book")
    make(bench, FAILS, name="second-book")
    good = [start(bench, "first-book") for _ in range(3)]
    bad = start(bench, "second-book")
    for execution in (*good, bad):
        ended(bench, execution)
    page = bench.ssm.describe_automation_executions(MaxResults=3)
    rest = bench.ssm.describe_automation_executions(MaxResults=3, NextToken=page["NextToken"])
    both = page["AutomationExecutionMetadataList"] + rest["AutomationExecutionMetadataList"]
    assert [e["AutomationExecutionId"] for e in both] == [bad, *reversed(good)] and "NextToken" not in rest
    failed = bench.ssm.describe_automation_executions(Filters=[{"Key": "ExecutionStatus", "Values": ["Failed"]}])
    assert [e["DocumentName"] for e in failed["AutomationExecutionMetadataList"]] == ["second-book"]
    named = bench.ssm.describe_automation_executions(Filters=[{"Key": "DocumentNamePrefix", "Values": ["first"]}])
    assert len(named["AutomationExecutionMetadataList"]) == 3
    steps = bench.ssm.describe_automation_step_executions(AutomationExecutionId=good[0], MaxResults=1, ReverseOrder=True)
    assert [s["StepName"] for s in steps["StepExecutions"]] == ["two"] and steps["NextToken"]
    with refused("InvalidNextToken"):
        bench.ssm.describe_automation_executions(NextToken="bm93aGVyZQ==")
    with refused("ValidationException", "enum"):
        bench.ssm.describe_automation_executions(Filters=[{"Key": "Colour", "Values": ["blue"]}])


def test_what_runs_at_once_has_a_quota_and_the_rest_waits(bench: Bench):
    bench.control.quotas(automationConcurrent=1, automationQueue=1)
    name = make(bench, step("pause", "pause"))
    first, second = start(bench, name), start(bench, name)
    assert look(bench, second)["AutomationExecutionStatus"] == "Pending"
    with refused("AutomationExecutionLimitExceededException"):
        start(bench, name)
    bench.until(lambda: look(bench, first)["AutomationExecutionStatus"] == "Waiting", "the pause")
    bench.ssm.send_automation_signal(AutomationExecutionId=first, SignalType="Resume")
    bench.until(lambda: look(bench, second)["AutomationExecutionStatus"] == "Waiting", "the queued one")


NODE = {"node": {"type": "String"}}
WEB = [{"Key": "tag:Role", "Values": ["web"]}]


def children(bench: Bench, parent: str) -> dict[str, str]:
    """Status of each child by target."""
    filters = [{"Key": "ParentExecutionId", "Values": [parent]}]
    found = bench.ssm.describe_automation_executions(Filters=filters)["AutomationExecutionMetadataList"]
    return {child["Target"]: child["AutomationExecutionStatus"] for child in found}


def test_targets_make_an_execution_each_until_too_many_have_failed(bench: Bench):
    """User guide, "Run automated operations at scale"."""
    good, bad, other = bench.nodes({}, {"rules": [{"exitCode": 1}]}, {"rules": [{"exitCode": 1}]})
    send = step("send", "runCommand", {"DocumentName": bench.document(), "InstanceIds": ["{{ node }}"]})
    name = make(bench, send, parameters=NODE)
    scale = {"TargetParameterName": "node", "Targets": WEB, "MaxConcurrency": "1"}
    tolerant = ended(bench, start(bench, name, **scale, MaxErrors="2"))
    assert children(bench, tolerant["AutomationExecutionId"]) == {good: "Success", bad: "Failed", other: "Failed"}
    assert (tolerant["AutomationExecutionStatus"], tolerant["StepExecutions"]) == ("Success", [])
    assert tolerant["ResolvedTargets"]["ParameterValues"] == [good, bad, other]
    strict = ended(bench, start(bench, name, **scale))
    assert strict["AutomationExecutionStatus"] == "Failed"
    assert children(bench, strict["AutomationExecutionId"]) == {good: "Success", bad: "Failed"}


def test_values_are_targets_too_and_a_stop_reaches_every_child(bench: Bench):
    values = [{"Key": "ParameterValues", "Values": ["a", "b", "c"]}]
    name = make(bench, step("pause", "pause"), parameters=NODE)
    parent = start(bench, name, TargetParameterName="node", Targets=values, MaxConcurrency="2")
    bench.until(lambda: sorted(children(bench, parent).values()) == ["Waiting", "Waiting"], "two children")
    bench.ssm.stop_automation_execution(AutomationExecutionId=parent)
    assert ended(bench, parent)["AutomationExecutionStatus"] == "Cancelled"
    assert children(bench, parent) == {"a": "Cancelled", "b": "Cancelled"}


REFUSED = {
    "no steps": json.dumps({"schemaVersion": "0.3"}),
    "unknown action": runbook(step("a", "runPowerShellScript")),
    "two steps of one name": runbook(sleep("a"), sleep("a")),
    "next step that is not there": runbook(sleep("a", nextStep="b")),
    "failure step that is not there": runbook(sleep("a", onFailure="step:b")),
    "unknown onFailure": runbook(sleep("a", onFailure="Retry")),
    "choice that is not there": runbook(step("a", "branch", {"Choices": [{"NextStep": "b", "Variable": "x", "StringEquals": "x"}]})),
    "undeclared parameter": runbook(sleep("a", "{{ nobody }}")),
    "output of no step": runbook(sleep("a"), outputs=["b.Output"]),
    "missing input": runbook(step("a", "runCommand")),
    "unknown input": runbook(step("a", "sleep", {"Duration": "PT1S", "Colour": "blue"})),
    "unknown element": runbook(sleep("a"), surprise=1),
    "unknown step element": runbook(sleep("a", surprise=1)),
    "step name with a dash": runbook(sleep("a-b")),
    "parameter without type": runbook(sleep("a"), parameters={"x": {}}),
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_content_that_is_no_runbook_is_refused(bench: Bench, text: str):
    """API reference, CreateDocument: InvalidDocumentContent; the rules are those of the user guide's actions reference."""
    with refused("InvalidDocumentContent"):
        bench.ssm.create_document(Name="refused", Content=text, DocumentType="Automation")


def test_a_command_document_is_no_runbook_and_a_runbook_no_command(bench: Bench):
    """API reference, CreateDocument: InvalidDocumentSchemaVersion; SendCommand: InvalidDocument."""
    with refused("InvalidDocumentSchemaVersion"):
        bench.ssm.create_document(Name="refused", Content=json.dumps(command_document()), DocumentType="Automation")
    with refused("InvalidDocumentSchemaVersion"):
        bench.ssm.create_document(Name="refused", Content=runbook(sleep("a")), DocumentType="Command")
    with refused("InvalidDocument", "Automation"):
        bench.send(make(bench, sleep("a")), bench.nodes({}))


@pytest.fixture
def farm(aws) -> AwsBench:
    """The bench with roles; one node, a document that sends to it, and a runbook that runs it under a role given."""
    made = AwsBench(aws)
    made.control.set_nodes([{"id": node_id(1), "computerName": "WEB-01"}])
    made.ssm.create_document(Name="script", Content=json.dumps(command_document()), DocumentType="Command")
    parameters = {"AutomationAssumeRole": {"type": "AWS::IAM::Role::Arn", "default": ""}}
    text = runbook(
        step("send", "runCommand", {"DocumentName": "script", "InstanceIds": [node_id(1)]}),
        parameters=parameters, assumeRole="{{ AutomationAssumeRole }}",
    )  # fmt: skip
    made.ssm.create_document(Name="runbook", Content=text, DocumentType="Automation")
    return made


SENDS = [allow(["ssm:SendCommand", "ssm:ListCommands", "ssm:ListCommandInvocations", "ssm:CancelCommand"])]
HERE = f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}"


def outcome(farm: AwsBench, execution: str) -> dict:
    until(lambda: "ExecutionEndTime" in look(farm, execution), 20, f"the end of {execution}")
    return look(farm, execution)


def test_an_execution_runs_under_the_role_that_it_assumes(farm: AwsBench):
    role = farm.role("automation", *SENDS, trusted=TRUST)
    ran = outcome(farm, start(farm, "runbook", Parameters={"AutomationAssumeRole": [role]}))
    assert ran["AutomationExecutionStatus"] == "Success", ran.get("FailureMessage")
    assert farm.control.count("ssm", "SendCommand", "ok") == 1
    (sent,) = [row for row in farm.control.calls() if row["operation"] == "SendCommand"]
    assert sent["caller"] == role


def test_a_role_that_may_not_send_fails_the_step_with_iams_words(farm: AwsBench):
    role = farm.role("automation", allow("ssm:ListCommands"), trusted=TRUST)
    ran = outcome(farm, start(farm, "runbook", Parameters={"AutomationAssumeRole": [role]}))
    assert ran["AutomationExecutionStatus"] == "Failed"
    assert "is not authorized to perform: ssm:SendCommand" in ran["FailureMessage"]
    assert ran["StepExecutions"][0]["FailureDetails"]["FailureType"] == "Permission"


def test_a_step_is_tried_as_often_as_it_says(farm: AwsBench):
    role = farm.role("automation", allow("ssm:GetDocument"), trusted=TRUST)
    make(farm, FAILS | {"maxAttempts": 3}, name="again", assumeRole=role)
    assert outcome(farm, start(farm, "again"))["AutomationExecutionStatus"] == "Failed"
    assert farm.control.count("ssm", "GetDocument", "InvalidDocument") == 3


def test_a_role_that_does_not_trust_systems_manager_is_refused_at_once(farm: AwsBench):
    """AWS's words for it, InvalidAutomationExecutionParametersException: "The defined assume role is unable to be assumed."."""
    role = farm.role("automation", *SENDS)
    with denied("InvalidAutomationExecutionParametersException", "The defined assume role is unable to be assumed."):
        start(farm, "runbook", Parameters={"AutomationAssumeRole": [role]})


def test_who_starts_needs_the_document_the_execution_and_to_pass_the_role(farm: AwsBench):
    """Service Authorization Reference, Systems Manager: StartAutomationExecution on document and automation-execution; user guide,
    "Setting up Automation": iam:PassRole of the role, to ssm.amazonaws.com."""
    role = farm.role("automation", *SENDS, trusted=TRUST)
    document, executions = f"{HERE}:document/runbook", f"{HERE}:automation-execution/*"
    ssm = farm.client("ssm", farm.session("app", allow("ssm:StartAutomationExecution", executions)))
    request = {"DocumentName": "runbook", "Parameters": {"AutomationAssumeRole": [role]}}
    with denied("AccessDeniedException", "ssm:StartAutomationExecution", document):
        ssm.start_automation_execution(**request)
    farm.allow("app", allow("ssm:StartAutomationExecution", [document, executions]))
    with denied("AccessDeniedException", "iam:PassRole", role):
        ssm.start_automation_execution(**request)
    passed = {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}}
    farm.allow("app", allow("ssm:StartAutomationExecution", [document, executions]), allow("iam:PassRole", role, **passed))
    execution = ssm.start_automation_execution(**request)["AutomationExecutionId"]
    shown = outcome(farm, execution)
    assert shown["AutomationExecutionStatus"] == "Success"
    assert shown["ExecutedBy"] == f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/app/tester"
    with denied("AccessDeniedException", "ssm:GetAutomationExecution", f"{HERE}:automation-execution/{execution}"):
        ssm.get_automation_execution(AutomationExecutionId=execution)


def test_without_a_role_it_runs_as_who_started_it(farm: AwsBench):
    start_it = allow("ssm:StartAutomationExecution", "*")
    ssm = farm.client("ssm", farm.session("app", start_it))
    ran = outcome(farm, ssm.start_automation_execution(DocumentName="runbook")["AutomationExecutionId"])
    assert "assumed-role/app/tester is not authorized to perform: ssm:SendCommand" in ran["FailureMessage"]
    farm.allow("app", start_it, *SENDS)
    ran = outcome(farm, ssm.start_automation_execution(DocumentName="runbook")["AutomationExecutionId"])
    assert ran["AutomationExecutionStatus"] == "Success"


def test_only_an_approver_decides(farm: AwsBench):
    approver = f"arn:aws:iam::{ACCOUNT_ID}:role/boss"
    text = runbook(step("ask", "approve", {"Approvers": [approver], "Message": "go?"}), sleep("after"))
    farm.ssm.create_document(Name="ask", Content=text, DocumentType="Automation")
    boss = farm.client("ssm", farm.session("boss", allow("ssm:SendAutomationSignal", f"{HERE}:automation-execution/*")))
    for decision, status in (("Approve", "Success"), ("Reject", "Failed")):
        execution = start(farm, "ask")
        until(lambda e=execution: look(farm, e)["AutomationExecutionStatus"] == "Waiting", 20, "the approval")
        with denied("InvalidAutomationSignalException", "approvers"):
            farm.ssm.send_automation_signal(AutomationExecutionId=execution, SignalType=decision)
        boss.send_automation_signal(AutomationExecutionId=execution, SignalType=decision)
        assert outcome(farm, execution)["AutomationExecutionStatus"] == status

