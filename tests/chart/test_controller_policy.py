"""The controller's own IAM policy: what it says, and what AWS refuses under it.

That it is enough is held by every test that runs the controller, which has this policy and no other.
"""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ClientError
from chart_bench import CHART

from testbed.aws import ACCOUNT_ID, REGION
from testbed.aws.setup import prepare
from testbed.bed import Bed, Credentials

TEXT = (CHART / "files/controller-policy.json").read_text()
STATEMENTS = json.loads(TEXT)["Statement"]

CLUSTER = "demo"
MANAGED_POLICY_LIMIT = 6144
"""Characters of a managed policy, spaces not counted (IAM quotas)."""


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_placeholders_are_the_documented_ones() -> None:
    assert set(re.findall(r"\$\{([^}]+)\}", TEXT)) == {
        "AWS_PARTITION", "AWS_ACCOUNT_ID", "AWS_REGION", "CLUSTER_ID", "PERMISSIONS_BOUNDARY_ARN",
    }  # fmt: skip


def test_no_wildcard_that_need_not_be() -> None:
    """No action has one; the resource `*` stands only where the action supports no other; every other resource is this cluster's."""
    for statement in STATEMENTS:
        assert statement["Effect"] == "Allow"
        assert not [action for action in as_list(statement["Action"]) if "*" in action]
        for resource in as_list(statement["Resource"]):
            if resource == "*":
                assert set(as_list(statement["Action"])) <= {
                    "ssm:CancelCommand", "ssm:DescribeInstanceInformation", "ssm:GetCommandInvocation", "ssm:ListCommands",
                    "states:SendTaskFailure", "states:SendTaskHeartbeat", "states:SendTaskSuccess",
                }  # fmt: skip
            else:
                assert re.search(r"(role/windlass/\$\{CLUSTER_ID\}/\*|[:/]windlass_\$\{CLUSTER_ID\}_\*)$", resource), resource


def test_it_fits_into_one_managed_policy() -> None:
    longest = {
        "AWS_PARTITION": "aws-us-gov", "AWS_ACCOUNT_ID": "1" * 12, "AWS_REGION": "us-gov-east-1", "CLUSTER_ID": "a" * 20,
        "PERMISSIONS_BOUNDARY_ARN": f"arn:aws-us-gov:iam::{'1' * 12}:policy/{'p' * 128}",
    }  # fmt: skip
    filled = re.sub(r"\$\{([^}]+)\}", lambda match: longest[match[1]], TEXT)
    assert len(re.sub(r"\s", "", filled)) <= MANAGED_POLICY_LIMIT


class Account:
    """An account in which objects of this cluster exist, and of others; its clients hold the controller's policy."""

    ours, others = f"windlass_{CLUSTER}_ops_report", "windlass_prod_ops_report"
    tag, foreign_tag = ("windlass.dev/cluster", CLUSTER), ("windlass.dev/cluster", "prod")
    document = json.dumps(
        {
            "schemaVersion": "2.2",
            "description": "x",
            "mainSteps": [{"action": "aws:runPowerShellScript", "name": "a", "inputs": {"runCommand": ["Get-Date"]}}],
        }
    )
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}],
        }
    )
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    grant = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ssm:ListCommands", "Resource": "*"}]})

    def __init__(self, bed: Bed) -> None:
        operator = prepare(bed.boto3, bed.control, TEXT, CLUSTER)
        self.boundary, self.controller_role = operator.boundary_arn, operator.role_arn
        base = Credentials(operator.access_key_id, operator.secret, operator.session_token)
        assumed = bed.boto3("sts", base).assume_role(RoleArn=operator.role_arn, RoleSessionName="test", ExternalId=operator.external_id)
        key = assumed["Credentials"]
        controller = Credentials(key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"])
        self.iam, self.ssm, self.states = (bed.boto3(service, controller) for service in ("iam", "ssm", "stepfunctions"))
        self.sqs, self.events = (bed.boto3(service, controller) for service in ("sqs", "events"))
        bed.boto3("events").put_rule(Name="windlass_demo__prod", EventPattern='{"source": ["aws.states"]}')
        self._make(bed.boto3("iam"), bed.boto3("ssm"), bed.boto3("stepfunctions"))

    def role_arn(self, name: str, path: str) -> str:
        return f"arn:aws:iam::{ACCOUNT_ID}:role{path}{name}"

    def machine_arn(self, name: str) -> str:
        return f"arn:aws:states:{REGION}:{ACCOUNT_ID}:stateMachine:{name}"

    def _make(self, iam, ssm, states) -> None:
        for name, path, tag in ((self.ours, "/windlass/demo/", self.tag), (self.others, "/windlass/prod/", self.foreign_tag)):
            tags = [{"Key": tag[0], "Value": tag[1]}]
            iam.create_role(
                RoleName=name, Path=path, AssumeRolePolicyDocument=self.trust, PermissionsBoundary=self.boundary, Tags=tags
            )
            ssm.create_document(Name=name, Content=self.document, DocumentType="Command", Tags=tags)
            states.create_state_machine(
                name=name, definition=self.definition, roleArn=self.role_arn(name, path), tags=[{"key": tag[0], "value": tag[1]}]
            )
        iam.create_role(RoleName="unlimited", Path="/windlass/demo/", AssumeRolePolicyDocument=self.trust)
        # Names of this cluster's, tags of another's: somebody gave one cluster id to two clusters, or played with tags.
        stolen = f"windlass_{CLUSTER}_ops_stolen"
        ssm.create_document(Name=stolen, Content=self.document, DocumentType="Command", Tags=[{"Key": self.foreign_tag[0], "Value": "prod"}])
        states.create_state_machine(
            name=stolen, definition=self.definition, roleArn=self.role_arn(self.ours, "/windlass/demo/"),
            tags=[{"key": self.foreign_tag[0], "value": "prod"}],
        )  # fmt: skip
        iam.create_role(
            RoleName=stolen, Path="/windlass/demo/", AssumeRolePolicyDocument=self.trust, PermissionsBoundary=self.boundary,
            Tags=[{"Key": self.foreign_tag[0], "Value": "prod"}],
        )  # fmt: skip
        self.stolen = stolen

    def create_role(self, name: str = "windlass_demo_ops_new", path: str = "/windlass/demo/", **fields: object) -> None:
        given = {"PermissionsBoundary": self.boundary, "Tags": [{"Key": self.tag[0], "Value": self.tag[1]}], **fields}
        wanted = {key: value for key, value in given.items() if value is not None}
        self.iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=self.trust, **wanted)

    def create_machine(self, role_arn: str, name: str = "windlass_demo_ops_new", cluster: str = CLUSTER) -> None:
        tags = [{"key": self.tag[0], "value": cluster}]
        self.states.create_state_machine(name=name, definition=self.definition, roleArn=role_arn, publish=True, tags=tags)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with Bed.up(tmp_path_factory.mktemp("bed"), control_plane=False, end_with_parent=True) as bed:
        yield Account(bed)


REFUSED: dict[str, tuple[str, Callable[[Account], object]]] = {
    "a role without the boundary": ("iam:CreateRole", lambda a: a.create_role(PermissionsBoundary=None)),
    "a role with another boundary": (
        "iam:CreateRole",
        lambda a: a.create_role(PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess"),
    ),
    "a role without tags": ("iam:CreateRole", lambda a: a.create_role(Tags=None)),
    "a role tagged as another cluster's": ("iam:CreateRole", lambda a: a.create_role(Tags=[{"Key": a.tag[0], "Value": "prod"}])),
    "a role outside its path": ("iam:CreateRole", lambda a: a.create_role(path="/")),
    "a role in another cluster's path": ("iam:CreateRole", lambda a: a.create_role(path="/windlass/prod/")),
    "taking a boundary off": ("iam:DeleteRolePermissionsBoundary", lambda a: a.iam.delete_role_permissions_boundary(RoleName=a.ours)),
    "another boundary": (
        "iam:PutRolePermissionsBoundary",
        lambda a: a.iam.put_role_permissions_boundary(RoleName=a.ours, PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess"),
    ),
    "rights for a role without the boundary": (
        "iam:PutRolePolicy",
        lambda a: a.iam.put_role_policy(RoleName="unlimited", PolicyName="p", PolicyDocument=a.grant),
    ),
    "rights for another cluster's role": (
        "iam:PutRolePolicy",
        lambda a: a.iam.put_role_policy(RoleName=a.others, PolicyName="p", PolicyDocument=a.grant),
    ),
    "rights for the controller itself": (
        "iam:PutRolePolicy",
        lambda a: a.iam.put_role_policy(RoleName="windlass-controller", PolicyName="p", PolicyDocument=a.grant),
    ),
    "a managed policy": (
        "iam:AttachRolePolicy",
        lambda a: a.iam.attach_role_policy(RoleName=a.ours, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"),
    ),
    "the trust of another cluster's role": (
        "iam:UpdateAssumeRolePolicy",
        lambda a: a.iam.update_assume_role_policy(RoleName=a.others, PolicyDocument=a.trust),
    ),
    "the trust of a role that tags call another's": (
        "iam:UpdateAssumeRolePolicy",
        lambda a: a.iam.update_assume_role_policy(RoleName=a.stolen, PolicyDocument=a.trust),
    ),
    "giving a role to another cluster": (
        "iam:TagRole",
        lambda a: a.iam.tag_role(RoleName=a.ours, Tags=[{"Key": a.tag[0], "Value": "prod"}]),
    ),
    "deleting a role without tags": ("iam:DeleteRole", lambda a: a.iam.delete_role(RoleName="unlimited")),
    "deleting another cluster's role": ("iam:DeleteRole", lambda a: a.iam.delete_role(RoleName=a.others)),
    "looking through roles": ("iam:ListRoles", lambda a: a.iam.list_roles()),
    "another name for a document": (
        "ssm:CreateDocument",
        lambda a: a.ssm.create_document(Name="windlass_prod_ops_new", Content=a.document, DocumentType="Command", Tags=[{"Key": a.tag[0], "Value": CLUSTER}]),
    ),
    "a document without tags": (
        "ssm:CreateDocument",
        lambda a: a.ssm.create_document(Name="windlass_demo_ops_new", Content=a.document, DocumentType="Command"),
    ),
    "another cluster's document": (
        "ssm:UpdateDocument",
        lambda a: a.ssm.update_document(Name=a.others, Content=a.document, DocumentVersion="$LATEST"),
    ),
    "a document that tags call another's": (
        "ssm:UpdateDocument",
        lambda a: a.ssm.update_document(Name=a.stolen, Content=a.document, DocumentVersion="$LATEST"),
    ),
    "deleting another cluster's document": ("ssm:DeleteDocument", lambda a: a.ssm.delete_document(Name=a.others)),
    "deleting a document that tags call another's": ("ssm:DeleteDocument", lambda a: a.ssm.delete_document(Name=a.stolen)),
    "running a script": ("ssm:SendCommand", lambda a: a.ssm.send_command(DocumentName=a.ours, InstanceIds=["i-0123456789abcdef0"])),
    "another name for a state machine": (
        "states:CreateStateMachine",
        lambda a: a.create_machine(a.role_arn(a.ours, "/windlass/demo/"), name="windlass_prod_ops_new"),
    ),
    "a state machine tagged as another cluster's": (
        "states:CreateStateMachine",
        lambda a: a.create_machine(a.role_arn(a.ours, "/windlass/demo/"), cluster="prod"),
    ),
    "passing another cluster's role": ("iam:PassRole", lambda a: a.create_machine(a.role_arn(a.others, "/windlass/prod/"))),
    "passing its own role": ("iam:PassRole", lambda a: a.create_machine(a.controller_role)),
    "starting another cluster's state machine": (
        "states:StartExecution",
        lambda a: a.states.start_execution(stateMachineArn=a.machine_arn(a.others)),
    ),
    "starting a state machine that tags call another's": (
        "states:StartExecution",
        lambda a: a.states.start_execution(stateMachineArn=a.machine_arn(a.stolen)),
    ),
    "deleting a state machine that tags call another's": (
        "states:DeleteStateMachine",
        lambda a: a.states.delete_state_machine(stateMachineArn=a.machine_arn(a.stolen)),
    ),
    "a queue of another cluster's": ("sqs:CreateQueue", lambda a: a.sqs.create_queue(QueueName="windlass_prod__main")),
    "receiving from somebody's queue": (
        "sqs:ReceiveMessage",
        lambda a: a.sqs.receive_message(QueueUrl=f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/orders"),
    ),
    "sending to its own queue": (
        "sqs:SendMessage",
        lambda a: a.sqs.send_message(QueueUrl=f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT_ID}/windlass_demo__prod", MessageBody="x"),
    ),
    "a rule of another cluster's": (
        "events:PutRule",
        lambda a: a.events.put_rule(Name="windlass_prod__main", EventPattern='{"source": ["aws.states"]}'),
    ),
    "events to somebody's queue": (
        "events:PutTargets",
        lambda a: a.events.put_targets(
            Rule="windlass_demo__prod", Targets=[{"Id": "x", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:orders"}]
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(account: Account, case: str) -> None:
    action, call = REFUSED[case]
    with pytest.raises(ClientError) as refused:
        call(account)
    assert refused.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"), refused.value
    assert f"not authorized to perform: {action.lower() if action.startswith('sqs:') else action} " in str(refused.value)


def test_what_is_not_there_is_not_there(account: Account) -> None:
    """Not `denied`: the controller tells a name that is free, or an object that was deleted by hand, from missing rights."""
    free = "windlass_demo_ops_free"
    for code, call in (
        ("NoSuchEntity", lambda: account.iam.get_role(RoleName=free)),
        ("InvalidDocument", lambda: account.ssm.describe_document(Name=free)),
        ("InvalidDocument", lambda: account.ssm.update_document(Name=free, Content=account.document, DocumentVersion="$LATEST")),
        ("StateMachineDoesNotExist", lambda: account.states.describe_state_machine(stateMachineArn=account.machine_arn(free))),
        ("StateMachineDoesNotExist", lambda: account.states.start_execution(stateMachineArn=account.machine_arn(free))),
    ):
        with pytest.raises(ClientError) as missing:
            call()
        assert missing.value.response["Error"]["Code"] == code
