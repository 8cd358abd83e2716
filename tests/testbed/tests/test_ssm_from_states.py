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
