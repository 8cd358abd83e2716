"""What the tests of the bed's Systems Manager share: nodes, documents, and waiting for commands. boto3 does the rest."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from functools import lru_cache

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from testbed.aws import ADMIN_ACCESS_KEY_ID, ADMIN_SECRET, REGION
from testbed.bed import Bed
from testbed.waiting import until

#: Real seconds; what is awaited takes virtual seconds, or is never to come.
PATIENCE = 20.0
FINAL = ("Success", "Failed", "TimedOut", "Cancelled")


def node_id(number: int) -> str:
    """Id of the n-th EC2 node of a test."""
    return f"i-{number:017x}"


def hybrid_id(number: int) -> str:
    """Id of the n-th hybrid node of a test."""
    return f"mi-{number:017x}"


def powershell(name: str, *lines: str, precondition: list[str] | None = None, timeout: int | str = 60, **inputs) -> dict:
    """One step of a document: a PowerShell script."""
    step = {
        "action": "aws:runPowerShellScript",
        "name": name,
        "inputs": {"timeoutSeconds": str(timeout), "runCommand": list(lines) or ["Get-Date"], **inputs},
    }
    return step | ({"precondition": {"StringEquals": precondition}} if precondition else {})


def command_document(*steps: dict, parameters: dict | None = None, **more) -> dict:
    """A document of schema 2.2."""
    made = {"schemaVersion": "2.2", "mainSteps": list(steps) or [powershell("main")], **more}
    return made | ({"parameters": parameters} if parameters else {})


@contextmanager
def refused(code: str, *words: str):
    """The block must be refused with this error code, and say these words."""
    with pytest.raises(ClientError) as caught:
        yield caught
    assert caught.value.response["Error"]["Code"] == code, caught.value
    for word in words:
        assert word in str(caught.value)


@lru_cache
def client(endpoint: str, region: str = REGION):
    """A client that sends what it is given: the server's own refusals are what is tested, botocore must not refuse first."""
    return boto3.client(
        "ssm",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=ADMIN_ACCESS_KEY_ID,
        aws_secret_access_key=ADMIN_SECRET,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, proxies={}),
    )


class Bench:
    """One Systems Manager with its nodes; everything in it is forgotten before each test."""

    def __init__(self, bed: Bed):
        self.control, self.ssm = bed.control, client(bed.endpoint)

    def nodes(self, *nodes: dict) -> list[str]:
        """Makes these the nodes; what a test does not say of one is a Windows web server that is online. Answers the ids."""
        made = [
            {"id": node_id(n), "computerName": f"WEB-{n:02}", "tags": {"Role": "web"}, **node}
            for n, node in enumerate(nodes, start=1)
        ]
        self.control.set_nodes(made)
        return [node["id"] for node in made]

    def change(self, node: str, **fields: object) -> None:
        """Changes some fields of a node."""
        (before,) = [n for n in self.control.nodes() if n["id"] == node]
        self.control.put_node({**before, **fields})

    def node(self, node: str) -> dict:
        """A node as the control endpoint has it now."""
        (found,) = [n for n in self.control.nodes() if n["id"] == node]
        return found

    def document(self, content: dict | None = None, name: str = "windlass-test", **more) -> str:
        """Creates a document and answers its name."""
        self.ssm.create_document(Name=name, Content=json.dumps(content or command_document()), DocumentType="Command", **more)
        return name

    def send(self, document: str, ids: list[str] | None = None, **more) -> str:
        """Sends a command to the nodes named, or to Targets, and answers its id."""
        targeted = {"InstanceIds": ids} if ids else {}
        return self.ssm.send_command(DocumentName=document, **targeted, **more)["Command"]["CommandId"]

    def command(self, command_id: str) -> dict:
        """The command as ListCommands shows it."""
        (command,) = self.ssm.list_commands(CommandId=command_id)["Commands"]
        return command

    def finished(self, command_id: str) -> dict:
        """Waits for the command's end and answers it."""
        self.until(lambda: self.command(command_id)["Status"] in FINAL, f"the end of command {command_id}")
        return self.command(command_id)

    def invocations(self, command_id: str, **more) -> dict[str, dict]:
        """Each invocation by node, once they are visible."""
        listed = self.until(
            lambda: self.ssm.list_command_invocations(CommandId=command_id, **more)["CommandInvocations"],
            f"invocations of command {command_id}",
        )
        return {invocation["InstanceId"]: invocation for invocation in listed}

    def details(self, command_id: str) -> dict[str, str]:
        """StatusDetails of each invocation by node."""
        return {node: invocation["StatusDetails"] for node, invocation in self.invocations(command_id).items()}

    def result(self, command_id: str, node: str, plugin: str | None = None) -> dict:
        """GetCommandInvocation, once it is visible."""
        named = {"PluginName": plugin} if plugin else {}
        return self.until(
            lambda: self.ssm.get_command_invocation(CommandId=command_id, InstanceId=node, **named),
            f"the invocation of {command_id} on {node}",
            ignoring=(self.ssm.exceptions.InvocationDoesNotExist,),
        )

    def until(self, condition: Callable, what: str, ignoring: tuple = ()) -> object:
        """Waits for a condition."""
        return until(condition, PATIENCE, what, ignoring=ignoring)

    def passed(self, seconds: float) -> None:
        """Waits until so many virtual seconds have passed on the bed's clock."""
        over = self.control.now() + seconds
        self.until(lambda: self.control.now() >= over, f"{seconds} virtual seconds")
