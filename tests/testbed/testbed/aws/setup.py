"""What a platform team makes in an account before Windlass comes: the permissions boundary, the controller's role, and who may assume it.

The controller's role holds the shipped policy and nothing else, so a test that runs under it proves that the policy is enough.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from string import Template

from botocore.client import BaseClient

from testbed.aws import ACCOUNT_ID, PARTITION, REGION
from testbed.aws.client import ControlClient

BOUNDARY_NAME = "org-boundary"
CONTROLLER_ROLE_NAME = "windlass-controller"
OPERATOR_ROLE_NAME = "windlass-operator"
EXTERNAL_ID = "windlass-prod"
SESSION_NAME = "windlass"

BOUNDARY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "WhatWorkflowsNeed",
            "Effect": "Allow",
            "Action": [
                "cloudwatch:*", "dynamodb:*", "ec2:*", "events:*", "iam:PassRole", "kms:*", "lambda:InvokeFunction", "logs:*",
                "s3:*", "secretsmanager:GetSecretValue", "sns:Publish", "sqs:SendMessage", "ssm:*", "states:*",
            ],
            "Resource": "*",
        },
        {"Sid": "NobodyAnswersForPeople", "Effect": "Deny", "Action": "states:SendTask*", "Resource": "*"},
    ],
}  # fmt: skip
"""The sample boundary: SendTask* supports no resource, so a role that held it could answer every approval of the account."""


@dataclass(frozen=True)
class OperatorCredentials:
    """Short-lived credentials of the base identity, which may do one thing: assume `role_arn` with `external_id`."""

    access_key_id: str
    secret: str
    session_token: str
    role_arn: str
    external_id: str
    boundary_arn: str


def boundary_arn(account: str = ACCOUNT_ID) -> str:
    """The ARN of the permissions boundary."""
    return f"arn:{PARTITION}:iam::{account}:policy/{BOUNDARY_NAME}"


def fill(policy_document: dict | str, cluster_id: str) -> dict:
    """The shipped policy for this account: `${AWS_ACCOUNT_ID}`, `${AWS_REGION}`, `${AWS_PARTITION}`, `${CLUSTER_ID}` and
    `${PERMISSIONS_BOUNDARY_ARN}` filled in. IAM's own variables (`${aws:…}`) stay."""
    text = policy_document if isinstance(policy_document, str) else json.dumps(policy_document)
    values = {
        "AWS_ACCOUNT_ID": ACCOUNT_ID,
        "AWS_REGION": REGION,
        "AWS_PARTITION": PARTITION,
        "CLUSTER_ID": cluster_id,
        "PERMISSIONS_BOUNDARY_ARN": boundary_arn(),
    }
    return json.loads(Template(text).safe_substitute(values))


def prepare(
    client: Callable[[str], BaseClient], control: ControlClient, policy_document: dict | str, cluster_id: str
) -> OperatorCredentials:
    """Makes it all with the account's own (admin) clients and answers the base identity's credentials; resets keep what is made here.

    Called again it renews: the policy is replaced, the rest is left. `client` answers a boto3 client for a service's name. Raises
    ClientError, for example MalformedPolicyDocument for a policy that IAM does not take.
    """
    iam, sts = client("iam"), client("sts")
    exists = iam.exceptions.EntityAlreadyExistsException
    operator_arn = f"arn:{PARTITION}:iam::{ACCOUNT_ID}:role/{OPERATOR_ROLE_NAME}"
    controller_arn = f"arn:{PARTITION}:iam::{ACCOUNT_ID}:role/{CONTROLLER_ROLE_NAME}"
    try:
        iam.create_policy(PolicyName=BOUNDARY_NAME, PolicyDocument=json.dumps(BOUNDARY))
    except exists:
        pass
    _role(iam, OPERATOR_ROLE_NAME, {"AWS": f"arn:{PARTITION}:iam::{ACCOUNT_ID}:root"}, None)
    _inline(iam, OPERATOR_ROLE_NAME, "assume-controller", _statement("sts:AssumeRole", controller_arn))
    _role(iam, CONTROLLER_ROLE_NAME, {"AWS": operator_arn}, {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}})
    _inline(iam, CONTROLLER_ROLE_NAME, "controller-policy", fill(policy_document, cluster_id))
    control.keep_iam()
    made = sts.assume_role(RoleArn=operator_arn, RoleSessionName=SESSION_NAME)["Credentials"]
    return OperatorCredentials(
        access_key_id=made["AccessKeyId"],
        secret=made["SecretAccessKey"],
        session_token=made["SessionToken"],
        role_arn=controller_arn,
        external_id=EXTERNAL_ID,
        boundary_arn=boundary_arn(),
    )


def _statement(action: str, resource: str) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": resource}]}


def _role(iam: BaseClient, name: str, principal: dict, condition: dict | None) -> None:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    if condition:
        statement["Condition"] = condition
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    try:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    except iam.exceptions.EntityAlreadyExistsException:
        pass


def _inline(iam: BaseClient, role: str, name: str, document: dict) -> None:
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
