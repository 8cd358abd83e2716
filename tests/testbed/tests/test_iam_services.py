"""IAM around Step Functions, queues and Systems Manager: who may use which role for what, and what a platform team prepares."""

import json

import pytest

from aws_bench import (  # noqa: F401
    STATES_TRUST,
    Bench,
    allow,
    bench,
    deny,
    machine,
    machine_arn,
    policy,
    refused,
    role_arn,
    told,
    trust,
    why_not,
)
from testbed.aws import ACCOUNT_ID, REGION, setup
from testbed.waiting import until

WAIT = machine({"W": {"Type": "Pass", "End": True}})
NODE = "i-0123456789abcdef0"
NODE_ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT_ID}:instance/{NODE}"
DOCUMENT_ARN = f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}:document/windlass-test"
LIST = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:ssm:listCommands", "Arguments": {}, "End": True}

# --- Step Functions and roles ---------------------------------------------------------------------------------------------------------

CANNOT_ASSUME = "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume the provided role."


def test_a_state_machine_needs_a_role_that_trusts_step_functions(bench: Bench):
    stranger = bench.role("stranger", trusted=trust({"Service": "ec2.amazonaws.com"}))
    with refused("AccessDeniedException", CANNOT_ASSUME):
        bench.machine("flow", WAIT, stranger)
    with refused("AccessDeniedException", CANNOT_ASSUME):
        bench.machine("flow", WAIT, role_arn("missing"))
    regional = bench.role("regional", trusted=trust({"Service": f"states.{REGION}.amazonaws.com"}))
    bench.machine("flow", WAIT, regional)
    with refused("AccessDeniedException", CANNOT_ASSUME):
        bench.sfn.update_state_machine(stateMachineArn=machine_arn("flow"), roleArn=stranger)


@pytest.mark.parametrize(
    ("condition", "works"),
    [
        ({"StringEquals": {"aws:SourceAccount": ACCOUNT_ID}}, True),
        ({"StringEquals": {"aws:SourceAccount": "999999999999"}}, False),
        ({"ArnLike": {"aws:SourceArn": machine_arn("flow*")}}, True),
        ({"ArnLike": {"aws:SourceArn": machine_arn("other*")}}, False),
    ],
)
def test_trust_is_for_one_account_and_one_machine(bench: Bench, condition: dict, works: bool):
    role = bench.role("exec", allow("ssm:ListCommands"), trusted=trust({"Service": "states.amazonaws.com"}, **condition))
    if not works:
        with refused("AccessDeniedException", CANNOT_ASSUME):
            bench.machine("flow", WAIT, role)
        return
    assert bench.run({"T": LIST}, role)["status"] == "SUCCEEDED"


def test_trust_that_is_withdrawn_stops_the_tasks(bench: Bench):
    role = bench.role("exec", allow("ssm:ListCommands"))
    arn = bench.machine("flow", machine({"T": LIST}), role)["stateMachineArn"]
    bench.iam.update_assume_role_policy(RoleName="exec", PolicyDocument=json.dumps(trust({"Service": "ec2.amazonaws.com"})))
    done = bench.ended(bench.start(arn))
    assert done["status"] == "FAILED"
    assert "states.amazonaws.com is not authorized to assume the provided role" in done["cause"]


def test_create_right_after_the_role_fails_for_some_seconds(bench: Bench):
    bench.control.eventual(newRoleSeconds=120)
    role = bench.role("exec")
    with refused("AccessDeniedException", CANNOT_ASSUME):
        bench.machine("flow", WAIT, role)
    until(lambda: bench.machine("flow", WAIT, role), 10, "the role", ignoring=(bench.sfn.exceptions.ClientError,))


def test_pass_role_names_the_role_and_the_service(bench: Bench):
    role = bench.role("exec")
    app = bench.client("stepfunctions", bench.session("app", allow("states:CreateStateMachine")))
    create = {"name": "flow", "definition": json.dumps(WAIT), "roleArn": role}
    with refused("AccessDeniedException", told("iam:PassRole", role, why_not("iam:PassRole"))):
        app.create_state_machine(**create)
    passed = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    bench.allow("app", allow("states:CreateStateMachine"), allow("iam:PassRole", role, **passed))
    with refused("AccessDeniedException", "iam:PassRole"):
        app.create_state_machine(**create)
    passed = {"StringEquals": {"iam:PassedToService": "states.amazonaws.com"}}
    bench.allow("app", allow("states:CreateStateMachine"), allow("iam:PassRole", role_arn("other"), **passed))
    with refused("AccessDeniedException", "iam:PassRole"):
        app.create_state_machine(**create)
    bench.allow("app", allow("states:CreateStateMachine"), allow("iam:PassRole", role, **passed))
    app.create_state_machine(**create)


def test_publish_and_tags_are_actions_of_their_own(bench: Bench):
    role = bench.role("exec")
    app = bench.client("stepfunctions", bench.session("app", allow("states:CreateStateMachine"), allow("iam:PassRole", role)))
    create = {"name": "flow", "definition": json.dumps(WAIT), "roleArn": role}
    with refused("AccessDeniedException", "states:PublishStateMachineVersion"):
        app.create_state_machine(**create, publish=True)
    with refused("AccessDeniedException", "states:TagResource"):
        app.create_state_machine(**create, tags=[{"key": "a", "value": "b"}])


def test_a_version_is_authorised_by_the_machines_arn_and_a_qualifier(bench: Bench):
    role = bench.role("exec")
    version = bench.machine("flow", WAIT, role, publish=True)["stateMachineVersionArn"]
    qualified = {"ForAnyValue:StringEquals": {"states:StateMachineQualifier": ["1"]}}
    app = bench.client("stepfunctions", bench.session("app", allow("states:StartExecution", machine_arn("flow"), **qualified)))
    app.start_execution(stateMachineArn=version)
    with refused("AccessDeniedException", told("states:StartExecution", machine_arn("flow"), why_not("states:StartExecution"))):
        app.start_execution(stateMachineArn=machine_arn("flow"))


def test_an_execution_role_is_refused_in_the_task_that_asks(bench: Bench):
    done = bench.run({"T": LIST}, bench.role("exec", allow("ssm:GetCommandInvocation")))
    assert (done["status"], done["error"]) == ("FAILED", "Ssm.SsmException")
    assert f"User: arn:aws:sts::{ACCOUNT_ID}:assumed-role/exec/" in done["cause"]
    assert why_not("ssm:ListCommands") in done["cause"]
    assert "Service: Ssm, Status Code: 400, Request ID: " in done["cause"]


def test_an_execution_roles_boundary_counts(bench: Bench):
    limit = bench.iam.create_policy(PolicyName="limit", PolicyDocument=json.dumps(policy(allow("sqs:*"))))["Policy"]["Arn"]
    role = bench.role("exec", allow("ssm:*"), PermissionsBoundary=limit)
    assert why_not("ssm:ListCommands", "permissions boundary") in bench.run({"T": LIST}, role)["cause"]


def test_awaiting_a_child_needs_the_managed_rule(bench: Bench):
    task = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Arguments": {}, "End": True}
    role = bench.role("exec", allow("states:*"))
    with refused("AccessDeniedException", f"'{role}' is not authorized to create managed-rule."):
        bench.machine("flow", machine({"T": task}), role)
    rule = f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
    bench.allow("exec", allow("states:*"), allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], rule))
    bench.machine("flow", machine({"T": task}), role)


def test_logging_needs_log_delivery(bench: Bench):
    logs = bench.client("logs")
    logs.create_log_group(logGroupName="/windlass/flow")
    group = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:/windlass/flow:*"
    logging = {"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}]}
    role = bench.role("exec")
    with refused("AccessDeniedException", "The state machine IAM Role is not authorized to access the Log Destination"):
        bench.machine("flow", WAIT, role, loggingConfiguration=logging)
    actions = [f"logs:{action}" for action in execution_role_actions()]
    bench.allow("exec", allow(actions))
    bench.machine("flow", WAIT, role, loggingConfiguration=logging)


def execution_role_actions() -> list[str]:
    """What the developer guide lists for log delivery."""
    return """CreateLogDelivery GetLogDelivery UpdateLogDelivery DeleteLogDelivery ListLogDeliveries PutResourcePolicy
    DescribeResourcePolicies DescribeLogGroups""".split()


# --- queues' own policies -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def inbox(bench: Bench) -> tuple[str, str]:
    """A queue's URL and ARN."""
    url = bench.sqs.create_queue(QueueName="inbox")["QueueUrl"]
    return url, f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:inbox"


def on_queue(bench: Bench, inbox: tuple[str, str], *statements: dict) -> None:
    """Sets the queue's policy."""
    bench.sqs.set_queue_attributes(QueueUrl=inbox[0], Attributes={"Policy": json.dumps(policy(*statements))})


def test_a_queue_may_allow_and_refuse_by_itself(bench: Bench, inbox: tuple[str, str]):
    url, arn = inbox
    reader = bench.client("sqs", bench.session("reader"))
    with refused("AccessDenied", why_not("sqs:receivemessage")):
        reader.receive_message(QueueUrl=url)
    on_queue(bench, inbox, allow("sqs:ReceiveMessage", arn) | {"Principal": {"AWS": role_arn("reader")}})
    reader.receive_message(QueueUrl=url)
    other = {"ArnNotEquals": {"aws:PrincipalArn": role_arn("controller")}}
    on_queue(bench, inbox, deny("sqs:ReceiveMessage", arn, **other) | {"Principal": "*"})
    bench.allow("reader", allow("sqs:*"))
    with refused("AccessDenied", "with an explicit deny in a resource-based policy"):
        reader.receive_message(QueueUrl=url)
    controller = bench.client("sqs", bench.session("controller", allow("sqs:*")))
    controller.receive_message(QueueUrl=url)


def test_events_come_only_to_a_queue_that_lets_their_rule_in(bench: Bench, inbox: tuple[str, str]):
    url, arn = inbox

    def rule(name: str) -> str:
        made = bench.events.put_rule(Name=name, EventPattern=json.dumps({"source": ["bed"]}))["RuleArn"]
        bench.events.put_targets(Rule=name, Targets=[{"Id": "inbox", "Arn": arn, "InputTransformer": {"InputTemplate": f'"{name}"'}}])
        return made

    rule("stranger")
    trusted = allow("sqs:SendMessage", arn, ArnEquals={"aws:SourceArn": rule("trusted")})
    on_queue(bench, inbox, trusted | {"Principal": {"Service": "events.amazonaws.com"}})
    for _ in range(2):
        bench.events.put_events(Entries=[{"Source": "bed", "DetailType": "x", "Detail": "{}"}])
    bodies: list[str] = []

    def two_came() -> bool:
        bodies.extend(message["Body"] for message in bench.sqs.receive_message(QueueUrl=url).get("Messages", []))
        return len(bodies) >= 2

    until(two_came, 10, "two events")
    assert set(bodies) == {'"trusted"'}


# --- Systems Manager ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def farm(bench: Bench) -> Bench:
    """One web server, and a document."""
    content = {
        "schemaVersion": "2.2",
        "mainSteps": [{"action": "aws:runPowerShellScript", "name": "main", "inputs": {"runCommand": ["Get-Date"]}}],
    }
    bench.control.set_nodes([{"id": NODE, "computerName": "WEB-01", "platform": "Windows", "ping": "Online", "tags": {"Role": "web"}}])
    bench.ssm.create_document(Name="windlass-test", Content=json.dumps(content), DocumentType="Command")
    return bench


def send(bench: Bench, session: dict) -> None:
    """Sends the command."""
    bench.client("ssm", session).send_command(DocumentName="windlass-test", InstanceIds=[NODE])


def test_a_command_needs_the_document_and_the_node(farm: Bench):
    session = farm.session("app", allow("ssm:SendCommand", DOCUMENT_ARN))
    with refused("AccessDeniedException", told("ssm:SendCommand", NODE_ARN, why_not("ssm:SendCommand"))):
        send(farm, session)
    farm.allow("app", allow("ssm:SendCommand", NODE_ARN))
    with refused("AccessDeniedException", told("ssm:SendCommand", DOCUMENT_ARN, why_not("ssm:SendCommand"))):
        send(farm, session)
    farm.allow("app", allow("ssm:SendCommand", [DOCUMENT_ARN, NODE_ARN]))
    send(farm, session)


@pytest.mark.parametrize(("tag", "works"), [("web", True), ("db", False)])
def test_nodes_are_allowed_by_their_tags(farm: Bench, tag: str, works: bool):
    tagged = {"StringEquals": {"ssm:resourceTag/Role": tag}}
    nodes = f"arn:aws:ec2:{REGION}:{ACCOUNT_ID}:instance/*"
    session = farm.session("app", allow("ssm:SendCommand", DOCUMENT_ARN), allow("ssm:SendCommand", nodes, **tagged))
    if works:
        send(farm, session)
        return
    with refused("AccessDeniedException", told("ssm:SendCommand", NODE_ARN, why_not("ssm:SendCommand"))):
        send(farm, session)


# --- what a platform team makes -------------------------------------------------------------------------------------------------------

SHIPPED = policy(
    allow("states:ListStateMachines"),
    allow("states:CreateStateMachine", "arn:${AWS_PARTITION}:states:${AWS_REGION}:${AWS_ACCOUNT_ID}:stateMachine:${CLUSTER_ID}-*"),
    allow("iam:CreateRole", StringEquals={"iam:PermissionsBoundary": "${PERMISSIONS_BOUNDARY_ARN}"}),
)


def test_the_base_identity_may_only_assume_the_controllers_role(bench: Bench):
    base = setup.prepare(bench.client, bench.control, SHIPPED, "prod")
    session = {"AccessKeyId": base.access_key_id, "SecretAccessKey": base.secret, "SessionToken": base.session_token}
    with refused("AccessDeniedException"):
        bench.client("stepfunctions", session).list_state_machines()
    sts = bench.client("sts", session)
    with refused("AccessDenied", "sts:AssumeRole"):
        sts.assume_role(RoleArn=base.role_arn, RoleSessionName="once")
    made = sts.assume_role(RoleArn=base.role_arn, RoleSessionName="once", ExternalId=base.external_id)["Credentials"]
    bench.client("stepfunctions", made).list_state_machines()
    iam = bench.client("iam", made)
    with refused("AccessDenied"):
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(STATES_TRUST))
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(STATES_TRUST), PermissionsBoundary=base.boundary_arn)


def test_what_was_prepared_outlives_a_reset_and_can_be_renewed(bench: Bench):
    setup.prepare(bench.client, bench.control, SHIPPED, "prod")
    bench.control.reset()
    base = setup.prepare(bench.client, bench.control, policy(allow("sqs:ListQueues")), "prod")
    document = bench.iam.get_role_policy(RoleName=setup.CONTROLLER_ROLE_NAME, PolicyName="controller-policy")["PolicyDocument"]
    assert document["Statement"][0]["Action"] == "sqs:ListQueues"
    bench.iam.get_policy(PolicyArn=base.boundary_arn)
    with refused("NoSuchEntity"):
        bench.iam.get_role(RoleName="r")


def test_the_shipped_policys_variables_are_filled_in(bench: Bench):
    filled = setup.fill(SHIPPED, "prod")
    assert filled["Statement"][1]["Resource"] == f"arn:aws:states:{REGION}:{ACCOUNT_ID}:stateMachine:prod-*"
    kept = setup.fill(policy(allow("s3:*", "arn:aws:s3:::${aws:PrincipalAccount}")), "prod")
    assert kept["Statement"][0]["Resource"] == "arn:aws:s3:::${aws:PrincipalAccount}"
