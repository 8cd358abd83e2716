"""The golden files, read by others: definitions by asl-validator, policies by an IAM evaluator."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import CASES, load, node_id
from ministack.core.iam_evaluator import EvalContext, evaluate, parse_policy_document

from testbed import tools

ACCOUNT = {"10-grants": ("aws-cn", "cn-north-1", "444455556666")}
ELSEWHERE = ("aws", "eu-west-1", "111122223333")


def place(case: Path) -> tuple[str, str, str]:
    """Partition, Region and account that a case is for."""
    return ACCOUNT.get(case.name, ELSEWHERE)


def validator() -> Path:
    """The command of asl-validator."""
    return tools.install("node").asl_validator


def test_definitions_are_amazon_states_language():
    paths = [argument for case in CASES for argument in ("--json-path", str(case / "definition.json"))]
    done = subprocess.run([validator(), *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_definition_with_a_mistake_is_none(tmp_path: Path):
    """Else the test above would say nothing."""
    text = (CASES[0] / "definition.json").read_text()
    broken = tmp_path / "broken.json"
    broken.write_text(text.replace('"Next": "report: send"', '"Next": "nowhere"'))
    assert broken.read_text() != text
    done = subprocess.run([validator(), "--json-path", str(broken)], capture_output=True, text=True, check=False)
    assert done.returncode != 0


def decide(case: Path, action: str, resource: str, tags: dict[str, str] | None = None) -> str:
    """What the case's role is told: Allow, Deny or ImplicitDeny."""
    role = load(case, "role")["body"]
    _, region, account = place(case)
    context = EvalContext(
        principal_arn=f"arn:aws:iam::111122223333:role{role['Path']}{role['RoleName']}",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=region,
        service_context={f"ssm:resourcetag/{key.lower()}": value for key, value in (tags or {}).items()},
    )
    return evaluate(context, [parse_policy_document(policy) for policy in (entry["PolicyDocument"] for entry in role["Policies"])]).decision


def arn(case: Path, service: str, resource: str) -> str:
    """An ARN in the case's account."""
    partition, region, account = place(case)
    return f"arn:{partition}:{service}:{region}:{account}:{resource}"


def own_document(case: Path) -> str:
    """ARN of the document that the case sends."""
    return arn(case, "ssm", f"document/{load(case, 'definition')['States']['start']['Assign']['document']['name']}")


SENDING = [case for case in CASES if load(case, "document") is not None]
NAMED = pytest.mark.parametrize("case", SENDING, ids=lambda case: case.name)
HELLO = next(case for case in CASES if case.name == "01-hello")
WEB = {"OS": "Windows", "Role": "web"}


@NAMED
def test_a_role_may_send_its_own_document_and_watch(case: Path):
    assert decide(case, "ssm:SendCommand", own_document(case)) == "Allow"
    for action in ("ssm:ListCommands", "ssm:ListCommandInvocations", "ssm:GetCommandInvocation", "ssm:CancelCommand"):
        assert decide(case, action, "*") == "Allow", action


@pytest.mark.parametrize(
    ("case", "resource", "tags", "decision"),
    [
        ("01-hello", f"instance/{node_id(1)}", WEB, "Allow"),
        ("01-hello", "managed-instance/mi-0123456789abcdef0", WEB, "Allow"),
        ("01-hello", f"instance/{node_id(1)}", {}, "ImplicitDeny"),
        ("01-hello", f"instance/{node_id(1)}", {"Role": "web"}, "ImplicitDeny"),
        ("01-hello", f"instance/{node_id(1)}", {"OS": "Windows", "Role": "dc"}, "ImplicitDeny"),
        ("01-hello", f"instance/{node_id(1)}", {"OS": "Linux", "Role": "web"}, "ImplicitDeny"),
        ("01-hello", "managed-instance/mi-0123456789abcdef0", {}, "ImplicitDeny"),
        # Outside of the grant, though the manifest asks for it.
        ("03-everything", f"instance/{node_id(1)}", {"OS": "Windows", "Role": "dc", "Environment": "prod"}, "ImplicitDeny"),
        ("03-everything", f"instance/{node_id(1)}", WEB | {"Environment": "prod"}, "Allow"),
        # Nodes by id carry the grant's tags all the same.
        ("03-everything", "instance/i-0123456789abcdef0", WEB, "Allow"),
        ("03-everything", "instance/i-0123456789abcdef0", {}, "ImplicitDeny"),
        ("09-node-ids", "instance/i-0123456789abcdef0", {}, "Allow"),
        ("09-node-ids", "managed-instance/mi-0123456789abcdef0", {}, "Allow"),
        ("09-node-ids", "instance/i-0123456789abcdef2", {}, "ImplicitDeny"),
        ("10-grants", "instance/i-0123456789abcdef0", {"OS": "Windows", "Cluster": "ag-2"}, "Allow"),
        ("10-grants", "instance/i-0123456789abcdef0", {"OS": "Windows", "Cluster": "ag-3"}, "ImplicitDeny"),
        ("10-grants", "instance/i-0123456789abcdef1", {"OS": "Windows", "Cluster": "ag-2", "Role": "sql"}, "Allow"),
    ],
)
def test_a_role_may_send_to_the_nodes_it_is_for_alone(case: str, resource: str, tags: dict[str, str], decision: str):
    (path,) = (path for path in CASES if path.name == case)
    service = "ssm" if resource.startswith("managed") else "ec2"
    assert decide(path, "ssm:SendCommand", arn(path, service, resource), tags) == decision


REFUSED = [
    ("ssm:SendCommand", "arn:aws:ssm:eu-west-1::document/AWS-RunPowerShellScript"),
    ("ssm:SendCommand", "arn:aws:ssm:eu-west-1:111122223333:document/windlass_test_ops_disk-report2"),
    ("ssm:SendCommand", "arn:aws:ssm:eu-west-1:111122223333:document/another"),
    ("ssm:SendCommand", "arn:aws:ssm:eu-central-1:111122223333:document/windlass_test_ops_disk-report"),
    ("ssm:SendCommand", "*"),
    ("ssm:StartAutomationExecution", "arn:aws:ssm:eu-west-1:111122223333:document/windlass_test_ops_disk-report"),
    ("ssm:StartSession", f"arn:aws:ec2:eu-west-1:111122223333:instance/{node_id(1)}"),
    ("ssm:UpdateDocument", "arn:aws:ssm:eu-west-1:111122223333:document/windlass_test_ops_disk-report"),
    ("ssm:GetParameter", "arn:aws:ssm:eu-west-1:111122223333:parameter/secret"),
    ("ssm:CreateAssociation", "*"),
    ("iam:PassRole", "arn:aws:iam::111122223333:role/admin"),
    ("iam:PutRolePolicy", "arn:aws:iam::111122223333:role/windlass/test/windlass_test_ops_disk-report"),
    ("sts:AssumeRole", "arn:aws:iam::111122223333:role/admin"),
    ("states:StartExecution", "arn:aws:states:eu-west-1:111122223333:stateMachine:windlass_test_ops_disk-report"),
    ("states:SendTaskSuccess", "*"),
    ("states:SendTaskFailure", "*"),
    ("states:UpdateStateMachine", "arn:aws:states:eu-west-1:111122223333:stateMachine:windlass_test_ops_disk-report"),
    ("sns:Publish", "arn:aws:sns:eu-west-1:111122223333:topic"),
    ("s3:GetObject", "arn:aws:s3:::bucket/key"),
]


@pytest.mark.parametrize(("action", "resource"), REFUSED, ids=lambda value: value.rpartition("/")[2])
def test_a_role_may_do_nothing_else(action: str, resource: str):
    assert decide(HELLO, action, resource, WEB) == "ImplicitDeny"


def test_a_workflow_without_scripts_has_a_role_that_may_do_nothing():
    (case,) = (case for case in CASES if case.name == "02-no-scripts")
    assert load(case, "role")["body"]["Policies"] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_policies_have_no_wildcard_actions_and_say_why_of_every_wildcard_resource(case: Path):
    watching = {"ssm:ListCommands", "ssm:ListCommandInvocations", "ssm:GetCommandInvocation", "ssm:CancelCommand"}
    statements: list[dict[str, Any]] = [
        statement for policy in (entry["PolicyDocument"] for entry in load(case, "role")["body"]["Policies"]) for statement in policy["Statement"]
    ]
    for statement in statements:
        assert statement["Effect"] == "Allow" and not any("*" in action for action in statement["Action"]), statement
        if statement["Resource"] == ["*"]:
            assert set(statement["Action"]) in (watching, {"ssm:DescribeInstanceInformation"}), "these support no resource"
        elif any(resource.endswith("/*") for resource in statement["Resource"]):
            assert case.name == "09-node-ids" or statement["Condition"]["StringEquals"], "any node only under tags"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_only_this_state_machine_may_assume_the_role(case: Path):
    role = load(case, "role")
    (statement,) = role["body"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "states.amazonaws.com"}
    _, _, account = place(case)
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": [account]},
        "ArnLike": {"aws:SourceArn": [arn(case, "states", f"stateMachine:{role['name']}")]},
    }


@NAMED
def test_documents_keep_to_what_systems_manager_takes(case: Path):
    content = load(case, "document")
    plugins = [step["name"] for step in content["mainSteps"]]
    assert content["parameters"]["step"]["allowedValues"] == plugins
    assert all(len(name) >= 4 for name in plugins), "GetCommandInvocation takes no shorter PluginName"
    for step in content["mainSteps"]:
        assert step["precondition"] == {"StringEquals": ["{{ step }}", step["name"]]}
        # The one parameter that a script's text holds is the arguments, in quotes, where Base64 cannot leave them.
        references = [line for line in step["inputs"]["runCommand"] if "{{" in line]
        assert references == ["$windlassEncoded = '{{ arguments }}'"]
