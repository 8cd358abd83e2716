"""Systems Manager as a state machine sees it: through the aws-sdk integration, with the interpreter's error names."""

import json

import pytest
from aws_bench import Bench, allow
from aws_bench import bench as bench  # noqa: PLC0414 - the fixture of the tests with state machines
from ssm_bench import command_document, node_id, powershell

ROLE = [allow(["ssm:SendCommand", "ssm:GetCommandInvocation", "ssm:ListCommands", "ssm:ListCommandInvocations"])]


def sdk(action: str, **arguments: object) -> dict:
    """A task that calls Systems Manager."""
    return {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:ssm:{action}", "Arguments": arguments}


@pytest.fixture
def farm(bench: Bench) -> Bench:
    """One web server and a document with a required parameter."""
    parameters = {"step": {"type": "String", "allowedValues": ["drain"]}}
    document = command_document(powershell("drain", "{{ step }}", precondition=["{{ step }}", "drain"]), parameters=parameters)
    bench.control.set_nodes([{"id": node_id(1), "computerName": "WEB-01", "tags": {"Role": "web"}, "rules": [{"stdout": "drained"}]}])
    bench.ssm.create_document(Name="windlass-test", Content=json.dumps(document), DocumentType="Command")
    return bench


def test_send_wait_poll_and_judge(farm: Bench):
    """The first poll comes before the invocation is visible, and is tried again."""
    farm.control.eventual(invocationVisibleSeconds=20)
    send = sdk(
        "sendCommand", DocumentName="windlass-test", DocumentVersion="1", InstanceIds=[node_id(1)], Parameters={"step": ["drain"]},
        Comment="{% 'windlass:' & $states.context.Execution.Name %}",
    )  # fmt: skip
    poll = sdk("getCommandInvocation", CommandId="{% $id %}", InstanceId=node_id(1), PluginName="drain")
    again = [{"ErrorEquals": ["Ssm.InvocationDoesNotExistException"], "IntervalSeconds": 5, "MaxAttempts": 20, "BackoffRate": 1.0}]
    over = [{"Condition": "{% $states.input.Status in ['Pending', 'InProgress', 'Delayed'] %}", "Next": "Wait"}]
    ran = farm.run(
        {
            "Send": send | {"Assign": {"id": "{% $states.result.Command.CommandId %}"}, "Next": "Wait"},
            "Wait": {"Type": "Wait", "Seconds": 2, "Next": "Poll"},
            "Poll": poll | {"Retry": again, "Next": "Over"},
            "Over": {"Type": "Choice", "Choices": over, "Default": "Done"},
            "Done": {"Type": "Succeed"},
        },
        farm.role("exec", *ROLE),
    )
    assert ran["status"] == "SUCCEEDED", ran.get("cause")
    output = json.loads(ran["output"])
    assert (output["StatusDetails"], output["StandardOutputContent"]) == ("Success", "drained")
    (command,) = farm.ssm.list_commands()["Commands"]
    assert command["Comment"] == "windlass:run"


def test_a_command_by_tag_that_met_nobody_is_a_success_for_the_state_machine_too(farm: Bench):
    send = sdk(
        "sendCommand", DocumentName="windlass-test", Targets=[{"Key": "tag:Role", "Values": ["nobody"]}], Parameters={"step": ["drain"]}
    )
    listed = sdk("listCommands", CommandId="{% $id %}")
    shown = {name: f"{{% $states.result.Commands[0].{name} %}}" for name in ("Status", "StatusDetails", "TargetCount")}
    ran = farm.run(
        {
            "Send": send | {"Assign": {"id": "{% $states.result.Command.CommandId %}"}, "Next": "Wait"},
            "Wait": {"Type": "Wait", "Seconds": 5, "Next": "Look"},
            "Look": listed | {"Output": shown, "End": True},
        },
        farm.role("exec", *ROLE),
    )
    assert ran["status"] == "SUCCEEDED", ran.get("cause")
    assert json.loads(ran["output"]) == {"Status": "Success", "StatusDetails": "NoInstancesInTag", "TargetCount": 0}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"InstanceIds": [node_id(9)]}, "Ssm.InvalidInstanceIdException"),
        ({"DocumentName": "nobody"}, "Ssm.InvalidDocumentException"),
        ({"DocumentVersion": "9"}, "Ssm.InvalidDocumentVersionException"),
        ({"Parameters": {"step": ["dance"]}}, "Ssm.InvalidParametersException"),
        ({"Parameters": {"step": ["x" * 65_537]}}, "Ssm.MaxDocumentSizeExceededException"),
        ({"Comment": "c" * 101}, "Ssm.SsmException"),
    ],
)
def test_refusals_have_the_names_that_catchers_match(farm: Bench, fields: dict, error: str):
    request = {"DocumentName": "windlass-test", "InstanceIds": [node_id(1)], "Parameters": {"step": ["drain"]}} | fields
    ran = farm.run({"Send": sdk("sendCommand", **request) | {"End": True}}, farm.role("exec", *ROLE))
    assert (ran["status"], ran["error"]) == ("FAILED", error)


def test_a_runbook_is_started_and_followed_under_the_role_that_it_is_given(farm: Bench):
    """The state machine's role may start it and pass the role; the runbook's own may send the command."""
    trusted = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ssm.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    role = farm.role("automation", allow(["ssm:SendCommand", "ssm:ListCommands", "ssm:ListCommandInvocations"]), trusted=trusted)
    inputs = {"DocumentName": "windlass-test", "InstanceIds": [node_id(1)], "Parameters": {"step": ["drain"]}}
    runbook = {
        "schemaVersion": "0.3", "assumeRole": "{{ AutomationAssumeRole }}", "parameters": {"AutomationAssumeRole": {"type": "String"}},
        "mainSteps": [{"name": "drain", "action": "aws:runCommand", "inputs": inputs}], "outputs": ["drain.Output"],
    }  # fmt: skip
    farm.ssm.create_document(Name="runbook", Content=json.dumps(runbook), DocumentType="Automation")
    start = sdk("startAutomationExecution", DocumentName="runbook", Parameters={"AutomationAssumeRole": [role]})
    poll = sdk("getAutomationExecution", AutomationExecutionId="{% $id %}")
    over = [{"Condition": "{% $states.input.AutomationExecution.AutomationExecutionStatus in ['Pending', 'InProgress'] %}", "Next": "Wait"}]
    actions = ["ssm:StartAutomationExecution", "ssm:GetAutomationExecution", "iam:PassRole"]
    ran = farm.run(
        {
            "Start": start | {"Assign": {"id": "{% $states.result.AutomationExecutionId %}"}, "Next": "Wait"},
            "Wait": {"Type": "Wait", "Seconds": 5, "Next": "Poll"},
            "Poll": poll | {"Next": "Over"},
            "Over": {"Type": "Choice", "Choices": over, "Default": "Done"},
            "Done": {"Type": "Succeed"},
        },
        farm.role("exec", allow(actions)),
    )
    assert ran["status"] == "SUCCEEDED", ran.get("cause")
    execution = json.loads(ran["output"])["AutomationExecution"]
    assert (execution["AutomationExecutionStatus"], execution["Outputs"]) == ("Success", {"drain.Output": ["drained"]})
    assert ":assumed-role/exec/" in execution["ExecutedBy"]


def test_a_calendar_patch_states_and_compliance_are_read_too(farm: Bench):
    text = "BEGIN:VCALENDAR\r\nPRODID:-//AWS//Change Calendar 1.0//EN\r\nVERSION:2.0\r\nX-CALENDAR-TYPE:DEFAULT_CLOSED\r\nEND:VCALENDAR\r\n"
    farm.ssm.create_document(Name="freeze", Content=text, DocumentType="ChangeCalendar", DocumentFormat="TEXT")
    reads = {
        "Calendar": sdk("getCalendarState", CalendarNames=["freeze"]),
        "Patches": sdk("describeInstancePatchStates", InstanceIds=[node_id(1)]),
        "Compliance": sdk("listComplianceSummaries"),
        "Associations": sdk("listAssociations"),
    }
    names = list(reads)
    after = [*({"Next": name} for name in names[1:]), {"End": True}]
    found = {name: read | {"Assign": {name: "{% $states.result %}"}} | then for (name, read), then in zip(reads.items(), after, strict=True)}
    found[names[-1]]["Output"] = "{% $merge([$Calendar, $Patches, $Compliance, $states.result]) %}"
    role = farm.role("exec", allow(["ssm:GetCalendarState", "ssm:DescribeInstancePatchStates", "ssm:ListComplianceSummaries", "ssm:ListAssociations"]))
    ran = farm.run(found, role)
    assert ran["status"] == "SUCCEEDED", ran.get("cause")
    output = json.loads(ran["output"])
    assert (output["State"], output["InstancePatchStates"], output["Associations"]) == ("CLOSED", [], [])


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (sdk("startAutomationExecution", DocumentName="nobody"), "Ssm.AutomationDefinitionNotFoundException"),
        (sdk("getAutomationExecution", AutomationExecutionId="0" * 36), "Ssm.AutomationExecutionNotFoundException"),
        (sdk("getCalendarState", CalendarNames=["nobody"]), "Ssm.InvalidDocumentException"),
        (sdk("getCalendarState", CalendarNames=["windlass-test"]), "Ssm.InvalidDocumentTypeException"),
        (sdk("describeAssociation", AssociationId="00000000-0000-0000-0000-000000000000"), "Ssm.AssociationDoesNotExistException"),
    ],
)
def test_other_refusals_have_their_names_too(farm: Bench, task: dict, error: str):
    ran = farm.run({"Call": task | {"End": True}}, farm.role("exec", allow("ssm:*")))
    assert (ran["status"], ran["error"]) == ("FAILED", error)
