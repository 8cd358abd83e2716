"""What the compiler's cases give, deployed as they are on the bed's AWS endpoint, and run."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from testbed.aws.setup import BOUNDARY, BOUNDARY_NAME
from testbed.bed import Bed
from testbed.waiting import until

CASES = sorted(path for path in (Path(__file__).parent / "cases").iterdir() if path.is_dir())

TIME_FACTOR = 120
"""Virtual seconds per second: step timeouts of minutes run out in seconds."""

PATIENCE = 90.0
"""Real seconds that an execution may take."""


def load(case: Path, name: str) -> Any:
    """One of a case's objects; None where it has none."""
    path = case / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def node_id(number: int) -> str:
    """The id of an EC2 instance."""
    return f"i-{number:017x}"


@dataclass
class Ended:
    """An execution that has ended: its description, and each step's reports in the order in which they were made."""

    status: str
    error: str | None
    cause: str | None
    output: Any
    reports: list[dict[str, Any]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    def report(self, step: str) -> dict[str, Any]:
        """The last report of a step."""
        return next(report for report in reversed(self.reports) if report["step"] == step)

    def steps(self) -> list[str]:
        """`<step> <part>` of each report."""
        return [f"{report['step']} {report['part']}" for report in self.reports]


class Account:
    """The bed's account, empty when a test begins."""

    def __init__(self, bed: Bed):
        self.control = bed.control
        self.bed = bed
        self.iam, self.ssm, self.sfn = bed.boto3("iam"), bed.boto3("ssm"), bed.boto3("stepfunctions")

    def nodes(self, *numbers: int, tags: dict[str, str] | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Adds nodes; by default web servers under Windows."""
        made = []
        for number in numbers or (1,):
            node = {"id": node_id(number), "computerName": f"WEB-{number:02}", "tags": tags or {"OS": "Windows", "Role": "web"}}
            made.append(node | {"rules": []} | fields)
            self.control.put_node(made[-1])
        return made

    def rule(self, number: int, match: str, **rule: Any) -> None:
        """What scripts that match do on a node; earlier rules come first."""
        (node,) = (node for node in self.control.nodes() if node["id"] == node_id(number))
        self.control.put_node(node | {"rules": [*node["rules"], {"match": match, **rule}]})

    def deploy(self, case: str, without: str | None = None) -> "Machine":
        """Creates a case's role (lacking the action `without`), document and state machine."""
        (path,) = (path for path in CASES if path.name == case)
        role, content, definition = load(path, "role"), load(path, "document"), load(path, "definition")
        body = role["body"]
        made = self.iam.create_role(
            RoleName=role["name"],
            Path=body["Path"],
            AssumeRolePolicyDocument=json.dumps(body["AssumeRolePolicyDocument"]),
            PermissionsBoundary=body["PermissionsBoundary"],
        )
        role_arn = made["Role"]["Arn"]
        for name, policy in ((entry["PolicyName"], entry["PolicyDocument"]) for entry in body["Policies"]):
            if without is not None:
                lacking(policy, without)
            if not policy["Statement"]:
                continue
            self.iam.put_role_policy(RoleName=role["name"], PolicyName=name, PolicyDocument=json.dumps(policy))
        if content is not None:
            document = definition["States"]["start"]["Assign"]["document"]
            made = self.ssm.create_document(Name=document["name"], Content=json.dumps(content), DocumentType="Command")
            document |= {"version": made["DocumentDescription"]["DocumentVersion"], "hash": made["DocumentDescription"]["Hash"]}
        machine = re.sub(r"^.*:", "", body["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["ArnLike"]["aws:SourceArn"][0])
        made = self.sfn.create_state_machine(name=machine, definition=json.dumps(definition), roleArn=role_arn)
        return Machine(self, made["stateMachineArn"], role["name"])

    def commands(self) -> list[dict[str, Any]]:
        """Every command, oldest first."""
        return self.ssm.list_commands()["Commands"][::-1]


def actions(case: str) -> list[str]:
    """Every action that a case's role is allowed."""
    (path,) = (path for path in CASES if path.name == case)
    policies = (entry["PolicyDocument"] for entry in load(path, "role")["body"]["Policies"])
    return sorted({action for policy in policies for statement in policy["Statement"] for action in statement["Action"]})


def lacking(policy: dict[str, Any], action: str) -> None:
    """Takes an action out of a policy."""
    for statement in policy["Statement"]:
        statement["Action"] = [allowed for allowed in statement["Action"] if allowed != action]
    policy["Statement"] = [statement for statement in policy["Statement"] if statement["Action"]]


@dataclass
class Machine:
    """A deployed case."""

    account: Account
    arn: str
    role: str
    last: str = ""

    def start(self, name: str = "run", run: dict[str, Any] | None = None, nodes: dict[str, Any] | None = None, **params: Any) -> str:
        """Starts an execution as Windlass does, with the nodes that it lists."""
        given = {"run": run or {"id": "0123456789abcdef", "uid": "u", "name": name, "namespace": "ops"}, "params": params}
        given |= {"nodes": nodes} if nodes else {}
        self.last = self.account.sfn.start_execution(stateMachineArn=self.arn, name=name, input=json.dumps(given))["executionArn"]
        return self.last

    def end(self, execution: str) -> Ended:
        """Waits until an execution has ended."""
        sfn = self.account.sfn

        def look() -> dict[str, Any] | None:
            found = sfn.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        found = until(look, PATIENCE, f"{execution} ended")
        output = json.loads(found["output"]) if found.get("output") else None
        ended = Ended(found["status"], found.get("error"), found.get("cause"), output)
        for event in self.history(execution):
            exited, entered = event.get("stateExitedEventDetails"), event.get("stateEnteredEventDetails")
            if entered:
                ended.states.append(entered["name"])
            if exited and (part := exited["name"].rpartition(": ")[2]) in ("done", "failed", "skipped"):
                ended.reports.append(json.loads(exited["output"]) | {"part": part})
        return ended

    def history(self, execution: str) -> Iterator[dict[str, Any]]:
        """The events so far."""
        pages = self.account.sfn.get_paginator("get_execution_history").paginate(executionArn=execution)
        return (event for page in pages for event in page["events"])

    def states(self, execution: str) -> set[str]:
        """The states that were entered so far."""
        return {event["stateEnteredEventDetails"]["name"] for event in self.history(execution) if "stateEnteredEventDetails" in event}

    def run(self, name: str = "run", **params: Any) -> Ended:
        """Starts, awaits."""
        return self.end(self.start(name, **params))


@pytest.fixture(scope="session")
def aws_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A bed with the AWS endpoint alone."""
    with Bed.up(tmp_path_factory.mktemp("aws"), time_factor=TIME_FACTOR, control_plane=False, end_with_parent=True) as bed:
        bed.boto3("iam").create_policy(PolicyName=BOUNDARY_NAME, PolicyDocument=json.dumps(BOUNDARY))
        bed.control.keep_iam()
        yield bed


@pytest.fixture
def account(aws_bed: Bed) -> Account:
    """Its account, empty but for the permissions boundary."""
    aws_bed.control.reset()
    return Account(aws_bed)
