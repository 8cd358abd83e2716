"""What the tests of the bed's AWS endpoint share: roles, state machines, sessions, and waiting for executions. boto3 does the rest."""

import json
import re
from contextlib import contextmanager

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from testbed.aws import ACCOUNT_ID, REGION
from testbed.bed import Bed
from testbed.waiting import until

PATIENCE = 20.0
"""Real seconds; what is awaited takes virtual seconds, or is never to come."""

STATES_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def policy(*statements: dict) -> dict:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: str | list[str], resource: str | list[str] = "*", **condition: dict) -> dict:
    """A statement that allows; keyword arguments are condition operators."""
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


def deny(action: str | list[str], resource: str | list[str] = "*", **condition: dict) -> dict:
    """A statement that denies."""
    return allow(action, resource, **condition) | {"Effect": "Deny"}


def trust(principal: dict | str, **condition: dict) -> dict:
    """A trust policy for one principal."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return policy(statement | ({"Condition": condition} if condition else {}))


def role_arn(name: str, path: str = "/") -> str:
    """The ARN of a role of the bed's account."""
    return f"arn:aws:iam::{ACCOUNT_ID}:role{path}{name}"


def machine_arn(name: str) -> str:
    """The ARN of a state machine of the bed's account."""
    return f"arn:aws:states:{REGION}:{ACCOUNT_ID}:stateMachine:{name}"


def execution_arn(name: str, run: str = "run") -> str:
    """The ARN of an execution of the bed's account."""
    return f"arn:aws:states:{REGION}:{ACCOUNT_ID}:execution:{name}:{run}"


def machine(states: dict, start: str | None = None, **more: object) -> dict:
    """A JSONata definition that starts with its first state."""
    return {"QueryLanguage": "JSONata", "StartAt": start or next(iter(states)), "States": states, **more}


def told(action: str, resource: str, why: str, who: str = "assumed-role/app/tester") -> str:
    """A refusal, word for word."""
    return f"User: arn:aws:sts::{ACCOUNT_ID}:{who} is not authorized to perform: {action} on resource: {resource} {why}"


def why_not(action: str, layer: str = "identity-based policy") -> str:
    """How a refusal ends when nothing allows."""
    return f"because no {layer} allows the {action} action"


@contextmanager
def refused(code: str, *words: str):
    """The block must be refused with this error code, and say these words."""
    with pytest.raises(ClientError) as caught:
        yield caught
    assert caught.value.response["Error"]["Code"] == code, caught.value
    for word in words:
        assert word in caught.value.response["Error"]["Message"], caught.value


class Bench:
    """One account with admin clients; it is empty when a test begins."""

    def __init__(self, bed: Bed):
        self.bed, self.control = bed, bed.control
        self.iam, self.sts, self.sfn, self.sqs = (self.client(name) for name in ("iam", "sts", "stepfunctions", "sqs"))
        self.ssm, self.events = self.client("ssm"), self.client("events")

    def client(self, service: str, credentials: dict | None = None):
        """A client that tries once: as admin, or with what AssumeRole answered."""
        keys = {"aws_access_key_id": ACCOUNT_ID, "aws_secret_access_key": "admin"}
        if credentials:
            keys = {
                "aws_access_key_id": credentials["AccessKeyId"],
                "aws_secret_access_key": credentials["SecretAccessKey"],
                "aws_session_token": credentials["SessionToken"],
            }
        config = Config(retries={"total_max_attempts": 1}, proxies={}, read_timeout=60)
        return boto3.client(service, endpoint_url=self.bed.endpoint, region_name=REGION, config=config, **keys)

    def role(self, name: str, *statements: dict, trusted: dict = STATES_TRUST, **more: object) -> str:
        """Creates a role with one inline policy (none without statements) and answers its ARN."""
        made = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trusted), **more)
        if statements:
            self.allow(name, *statements)
        return made["Role"]["Arn"]

    def allow(self, role: str, *statements: dict) -> None:
        """Replaces a role's inline policy."""
        self.iam.put_role_policy(RoleName=role, PolicyName="inline", PolicyDocument=json.dumps(policy(*statements)))

    def session(self, name: str, *statements: dict, session: str = "tester", **assume: object) -> dict:
        """Credentials of a new role that holds these statements; further arguments go to AssumeRole."""
        arn = self.role(name, *statements, trusted=trust({"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}))
        return self.sts.assume_role(RoleArn=arn, RoleSessionName=session, **assume)["Credentials"]

    def machine(self, name: str, definition: dict, role: str | None = None, **more: object) -> dict:
        """Creates a state machine, with a role of its own that may do nothing when none is given; answers the create's answer."""
        arn = role or self.role(f"{name}-role")
        return self.sfn.create_state_machine(name=name, definition=json.dumps(definition), roleArn=arn, **more)

    def start(self, arn: str, name: str = "run", **payload: object) -> str:
        """Starts an execution and answers its ARN."""
        return self.sfn.start_execution(stateMachineArn=arn, name=name, input=json.dumps(payload))["executionArn"]

    def ended(self, execution: str) -> dict:
        """The description of an execution, once it has ended."""

        def look() -> dict | None:
            found = self.sfn.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        return until(look, PATIENCE, f"{execution} ended")

    def run(self, states: dict, role: str | None = None, name: str = "flow", **payload: object) -> dict:
        """Creates, starts and awaits; answers the description."""
        return self.ended(self.start(self.machine(name, machine(states), role)["stateMachineArn"], **payload))

    def history(self, execution: str) -> list[dict]:
        """Every event of an execution."""
        pages = self.sfn.get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"]]

    def types(self, execution: str) -> list[str]:
        """The types of an execution's events."""
        return [event["type"] for event in self.history(execution)]

    def reached(self, execution: str, event: str) -> None:
        """Waits until an execution's history has an event of this type."""
        until(lambda: event in self.types(execution), PATIENCE, f"{execution} reached {event}")

    def callback(self, execution: str) -> str:
        """Waits for a callback's task token, and answers it as it stands in the history."""

        def look() -> str | None:
            for event in self.history(execution):
                found = re.search(r'"token"\s*:\s*"([^"]+)"', str(event.get("taskScheduledEventDetails", {}).get("parameters", "")))
                if found:
                    return found.group(1)
            return None

        return until(look, PATIENCE, "a task token")


@pytest.fixture
def bench(aws: Bed) -> Bench:
    """The account of the AWS bed, empty."""
    return Bench(aws)
