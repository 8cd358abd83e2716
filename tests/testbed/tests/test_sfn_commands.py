"""The pattern that Windlass's powershell step rests on, through all parts of the bed: a state machine sends a command under a role that may
do nothing else, polls it in virtual time, and judges by the invocations."""

import json

import pytest

from aws_bench import Bench, allow, bench, machine, machine_arn, role_arn  # noqa: F401
from testbed.aws import ACCOUNT_ID, REGION

NODES = [f"i-{number:017x}" for number in (1, 2)]
DOCUMENT = "windlass-test"
LEAST = (
    allow("ssm:SendCommand", f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}:document/{DOCUMENT}"),
    allow(
        "ssm:SendCommand",
        f"arn:aws:ec2:{REGION}:{ACCOUNT_ID}:instance/*",
        StringEquals={"ssm:resourceTag/Role": "web"},
    ),
    allow(["ssm:ListCommands", "ssm:ListCommandInvocations"]),
)
DONE = "{% $count($status.Commands) = 1 and $not($status.Commands[0].Status in ['Pending', 'InProgress', 'Cancelling']) %}"


def call(action: str, arguments: dict, then: str, **more: object) -> dict:
    """A task that calls Systems Manager."""
    return {"Type": "Task", "Resource": f"arn:aws:states:::aws-sdk:ssm:{action}", "Arguments": arguments, "Next": then, **more}


STATES = {
    "Send": call(
        "sendCommand",
        {"DocumentName": DOCUMENT, "InstanceIds": "{% $states.input.nodes %}", "Comment": "run-1/drain/1"},
        "Wait",
        Assign={"command": "{% $states.result.Command.CommandId %}", "sent": "{% $toMillis($states.result.Command.RequestedDateTime) %}"},
    ),
    "Wait": {"Type": "Wait", "Seconds": 10, "Next": "Poll"},
    "Poll": call("listCommands", {"CommandId": "{% $command %}"}, "Over", Assign={"status": "{% $states.result %}"}),
    "Over": {"Type": "Choice", "Choices": [{"Condition": DONE, "Next": "Collect"}], "Default": "Wait"},
    "Collect": call(
        "listCommandInvocations",
        {"CommandId": "{% $command %}", "Details": True},
        "Judge",
        Assign={"failed": "{% [$states.result.CommandInvocations[Status != 'Success'].{'node': InstanceId, 'status': StatusDetails}] %}"},
        Output={
            "outputs": "{% $states.result.CommandInvocations ~> $map(function($i) { $i.CommandPlugins[0].Output }) %}",
            "seconds": "{% ($millis() - $sent) / 1000 %}",
        },
    ),
    "Judge": {"Type": "Choice", "Choices": [{"Condition": "{% $count($failed) > 0 %}", "Next": "Fail"}], "Default": "Succeed"},
    "Fail": {"Type": "Fail", "Error": "Windlass.ExitCode", "Cause": "{% $string($failed) %}"},
    "Succeed": {"Type": "Succeed"},
}


@pytest.fixture
def farm(bench: Bench) -> Bench:
    """Two web servers and a document."""
    content = {
        "schemaVersion": "2.2",
        "mainSteps": [{"action": "aws:runPowerShellScript", "name": "main", "inputs": {"runCommand": ["Stop-Service W3SVC"]}}],
    }
    bench.ssm.create_document(Name=DOCUMENT, Content=json.dumps(content), DocumentType="Command")
    bench.control.set_nodes([node(number) for number in (1, 2)])
    return bench


def node(number: int, **rule: object) -> dict:
    """A web server on which the script takes two minutes and does as the rule says."""
    return {
        "id": NODES[number - 1],
        "computerName": f"WEB-0{number}",
        "platform": "Windows",
        "ping": "Online",
        "tags": {"Role": "web"},
        "rules": [{"match": "W3SVC", "duration": 120, "stdout": f"stopped on {number}", **rule}],
    }


def test_a_command_is_sent_awaited_and_collected(farm: Bench):
    done = farm.run(STATES, farm.role("exec", *LEAST), nodes=NODES)
    assert done["status"] == "SUCCEEDED", done["cause"]
    output = json.loads(done["output"])
    assert sorted(text.strip() for text in output["outputs"]) == ["stopped on 1", "stopped on 2"]
    assert output["seconds"] >= 120
    assert done["stopDate"].timestamp() - done["startDate"].timestamp() >= 120
    polls = farm.types(done["executionArn"]).count("WaitStateEntered")
    calls = {row["operation"]: row["count"] for row in farm.control.calls() if row["caller"] == role_arn("exec")}
    assert calls == {"SendCommand": 1, "ListCommands": polls, "ListCommandInvocations": 1}
    assert farm.ssm.list_commands()["Commands"][0]["Comment"] == "run-1/drain/1"


def test_a_failing_node_fails_the_run(farm: Bench):
    farm.control.put_node(node(2, exitCode=7, stderr="access denied"))
    done = farm.run(STATES, farm.role("exec", *LEAST), nodes=NODES)
    assert (done["status"], done["error"]) == ("FAILED", "Windlass.ExitCode")
    assert json.loads(done["cause"]) == [{"node": NODES[1], "status": "Failed"}]


def test_a_node_without_the_tag_is_refused_in_the_task(farm: Bench):
    farm.control.put_node({**node(2), "tags": {"Role": "db"}})
    done = farm.run(STATES, farm.role("exec", *LEAST), nodes=NODES)
    assert (done["status"], done["error"]) == ("FAILED", "Ssm.SsmException")
    assert f"not authorized to perform: ssm:SendCommand on resource: arn:aws:ec2:{REGION}:{ACCOUNT_ID}:instance/{NODES[1]}" in done["cause"]


def test_a_stopped_execution_does_not_cancel_its_command(farm: Bench):
    farm.machine("flow", machine(STATES), farm.role("exec", *LEAST))
    execution = farm.start(machine_arn("flow"), nodes=NODES)
    farm.reached(execution, "WaitStateEntered")
    farm.sfn.stop_execution(executionArn=execution)
    (command,) = farm.ssm.list_commands()["Commands"]
    assert command["Status"] in ("Pending", "InProgress")
