"""IAM as AWS enforces it: policies, boundaries, sessions, trust, PassRole, and the words of its refusals."""

import json

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
from testbed.aws import ACCOUNT_ID, REGION
from testbed.waiting import until

ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}
WAIT = machine({"W": {"Type": "Pass", "End": True}})


# --- identity-based policies ----------------------------------------------------------------------------------------------------------


def test_what_no_policy_allows_is_refused_in_aws_words(bench: Bench):
    app = bench.client("stepfunctions", bench.session("app", allow("states:ListStateMachines")))
    app.list_state_machines()
    arn = machine_arn("flow")
    with refused("AccessDeniedException") as caught:
        app.describe_state_machine(stateMachineArn=arn)
    assert caught.value.response["Error"]["Message"] == told("states:DescribeStateMachine", arn, why_not("states:DescribeStateMachine"))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_services_wrap_a_refusal_in_their_own_code(bench: Bench):
    session = bench.session("app")
    with refused("AccessDenied", told("iam:GetRole", role_arn("app"), why_not("iam:GetRole"))) as caught:
        bench.client("iam", session).get_role(RoleName="app")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:inbox"
    with refused("AccessDenied", told("sqs:createqueue", queue, why_not("sqs:createqueue"))):
        bench.client("sqs", session).create_queue(QueueName="inbox")
    with refused("AuthorizationError", "sns:CreateTopic"):
        bench.client("sns", session).create_topic(Name="news")
    with refused("UnauthorizedOperation", "You are not authorized to perform this operation. User: "):
        bench.client("ec2", session).describe_instances()


def test_actions_without_resources_take_only_a_star(bench: Bench):
    session = bench.session("app", allow("ssm:ListCommands", f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}:*"))
    with refused("AccessDeniedException", told("ssm:ListCommands", f"arn:aws:ssm:{REGION}:{ACCOUNT_ID}:*", why_not("ssm:ListCommands"))):
        bench.client("ssm", session).list_commands()
    bench.allow("app", allow("ssm:listcommands"))
    bench.client("ssm", session).list_commands()


def test_policies_are_live(bench: Bench):
    queues = bench.client("sqs", bench.session("app"))
    with refused("AccessDenied"):
        queues.list_queues()
    bench.allow("app", allow("sqs:ListQueues"))
    queues.list_queues()
    bench.allow("app", allow("sqs:*"), deny("sqs:ListQueues"))
    with refused("AccessDenied", "with an explicit deny in an identity-based policy"):
        queues.list_queues()


def test_attached_policies_count(bench: Bench):
    queues = bench.client("sqs", bench.session("app"))
    made = bench.iam.create_policy(PolicyName="queues", PolicyDocument=json.dumps(policy(allow("sqs:ListQueues"))))["Policy"]["Arn"]
    bench.iam.attach_role_policy(RoleName="app", PolicyArn=made)
    queues.list_queues()
    bench.iam.detach_role_policy(RoleName="app", PolicyArn=made)
    with refused("AccessDenied"):
        queues.list_queues()


def test_a_user_has_its_own_and_its_groups_policies(bench: Bench):
    bench.iam.create_user(UserName="ann")
    bench.iam.create_group(GroupName="ops")
    bench.iam.add_user_to_group(GroupName="ops", UserName="ann")
    bench.iam.put_group_policy(GroupName="ops", PolicyName="p", PolicyDocument=json.dumps(policy(allow("sqs:ListQueues"))))
    key = bench.iam.create_access_key(UserName="ann")["AccessKey"]
    session = {"AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"], "SessionToken": None}
    bench.client("sqs", session).list_queues()
    with refused("AccessDenied", f"User: arn:aws:iam::{ACCOUNT_ID}:user/ann is not authorized to perform: iam:ListRoles"):
        bench.client("iam", session).list_roles()


def test_request_and_resource_tags_are_conditions(bench: Bench):
    ours = {"StringEquals": {"aws:RequestTag/windlass.dev/cluster": "prod"}}
    owned = {"StringEquals": {"aws:ResourceTag/windlass.dev/cluster": "prod"}}
    role = bench.role("exec")
    app = bench.client(
        "stepfunctions",
        bench.session(
            "app",
            allow(["states:CreateStateMachine", "states:TagResource"], machine_arn("*"), **ours),
            allow("states:DeleteStateMachine", machine_arn("*"), **owned),
            allow("iam:PassRole", role),
        ),
    )
    tags = [{"key": "windlass.dev/cluster", "value": "prod"}]
    with refused("AccessDeniedException", "states:CreateStateMachine"):
        app.create_state_machine(name="a", definition=json.dumps(WAIT), roleArn=role)
    app.create_state_machine(name="a", definition=json.dumps(WAIT), roleArn=role, tags=tags)
    bench.machine("b", WAIT, role)
    with refused("AccessDeniedException", "states:DeleteStateMachine"):
        app.delete_state_machine(stateMachineArn=machine_arn("b"))
    app.delete_state_machine(stateMachineArn=machine_arn("a"))


def test_policy_variables_are_filled_in(bench: Bench):
    queues = bench.client("sqs", bench.session("app", allow("sqs:CreateQueue", "arn:aws:sqs:*:*:${aws:PrincipalAccount}-*")))
    queues.create_queue(QueueName=f"{ACCOUNT_ID}-mine")
    with refused("AccessDenied"):
        queues.create_queue(QueueName="other")


# --- boundaries and sessions ----------------------------------------------------------------------------------------------------------


def test_a_boundary_limits_what_a_role_is_allowed(bench: Bench):
    limit = bench.iam.create_policy(PolicyName="limit", PolicyDocument=json.dumps(policy(allow("sqs:*"), deny("sqs:CreateQueue"))))
    session = bench.session("app", allow("*"))
    bench.iam.put_role_permissions_boundary(RoleName="app", PermissionsBoundary=limit["Policy"]["Arn"])
    bench.client("sqs", session).list_queues()
    with refused("AccessDenied", why_not("iam:ListRoles", "permissions boundary")):
        bench.client("iam", session).list_roles()
    with refused("AccessDenied", "with an explicit deny in a permissions boundary"):
        bench.client("sqs", session).create_queue(QueueName="q")
    bench.iam.delete_role_permissions_boundary(RoleName="app")
    bench.client("iam", session).list_roles()


def test_a_boundary_alone_allows_nothing(bench: Bench):
    limit = bench.iam.create_policy(PolicyName="limit", PolicyDocument=json.dumps(policy(allow("*"))))["Policy"]["Arn"]
    session = bench.session("app")
    bench.iam.put_role_permissions_boundary(RoleName="app", PermissionsBoundary=limit)
    with refused("AccessDenied", why_not("sqs:listqueues")):
        bench.client("sqs", session).list_queues()


def test_a_role_can_be_made_only_with_the_boundary_that_a_condition_names(bench: Bench):
    limit = bench.iam.create_policy(PolicyName="limit", PolicyDocument=json.dumps(policy(allow("sqs:*"))))["Policy"]["Arn"]
    bounded = {"StringEquals": {"iam:PermissionsBoundary": limit}}
    iam = bench.client("iam", bench.session("app", allow(["iam:CreateRole", "iam:PutRolePolicy"], role_arn("*", "/windlass/"), **bounded)))
    document = json.dumps(STATES_TRUST)
    with refused("AccessDenied", told("iam:CreateRole", role_arn("made", "/windlass/"), why_not("iam:CreateRole"))):
        iam.create_role(RoleName="made", Path="/windlass/", AssumeRolePolicyDocument=document)
    with refused("AccessDenied"):
        iam.create_role(RoleName="made", AssumeRolePolicyDocument=document, PermissionsBoundary=limit)
    iam.create_role(RoleName="made", Path="/windlass/", AssumeRolePolicyDocument=document, PermissionsBoundary=limit)
    iam.put_role_policy(RoleName="made", PolicyName="p", PolicyDocument=json.dumps(policy(allow("sqs:ListQueues"))))
    bench.role("free", Path="/windlass/")
    with refused("AccessDenied", "iam:PutRolePolicy"):
        iam.put_role_policy(RoleName="free", PolicyName="p", PolicyDocument=json.dumps(policy(allow("*"))))


def test_tags_on_a_new_role_need_tag_role(bench: Bench):
    iam = bench.client("iam", bench.session("app", allow("iam:CreateRole")))
    with refused("AccessDenied", "iam:TagRole"):
        iam.create_role(RoleName="made", AssumeRolePolicyDocument=json.dumps(STATES_TRUST), Tags=[{"Key": "a", "Value": "b"}])


def test_a_session_policy_limits_the_session(bench: Bench):
    whole = bench.session("app", allow("sqs:*"))
    part = bench.sts.assume_role(RoleArn=role_arn("app"), RoleSessionName="part", Policy=json.dumps(policy(allow("sqs:ListQueues"))))
    part = part["Credentials"]
    bench.client("sqs", whole).create_queue(QueueName="q")
    bench.client("sqs", part).list_queues()
    with refused("AccessDenied", why_not("sqs:createqueue", "session policy")):
        bench.client("sqs", part).create_queue(QueueName="q")


# --- assuming roles -------------------------------------------------------------------------------------------------------------------


def test_trust_of_the_account_needs_a_policy_too(bench: Bench):
    bench.role("target", trusted=trust(ROOT))
    sts = bench.client("sts", bench.session("app"))
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/app/tester"
    with refused("AccessDenied", told("sts:AssumeRole", role_arn("target"), why_not("sts:AssumeRole"))):
        sts.assume_role(RoleArn=role_arn("target"), RoleSessionName="once")
    bench.allow("app", allow("sts:AssumeRole", role_arn("target")))
    assert sts.assume_role(RoleArn=role_arn("target"), RoleSessionName="once")["AssumedRoleUser"]["Arn"].endswith("target/once")


def test_trust_of_the_caller_itself_is_enough_and_the_external_id_must_match(bench: Bench):
    sts = bench.client("sts", bench.session("app"))
    bench.role("target", trusted=trust({"AWS": role_arn("app")}, StringEquals={"sts:ExternalId": "windlass-prod"}))
    words = told("sts:AssumeRole", role_arn("target"), "").rstrip()
    for wrong in ({}, {"ExternalId": "windlass-dev"}):
        with refused("AccessDenied", words):
            sts.assume_role(RoleArn=role_arn("target"), RoleSessionName="once", **wrong)
    sts.assume_role(RoleArn=role_arn("target"), RoleSessionName="once", ExternalId="windlass-prod")


def test_a_policy_without_trust_is_not_enough(bench: Bench):
    bench.role("target", trusted=trust({"AWS": role_arn("somebody-else")}))
    sts = bench.client("sts", bench.session("app", allow("sts:AssumeRole")))
    with refused("AccessDenied", "not authorized to perform: sts:AssumeRole"):
        sts.assume_role(RoleArn=role_arn("target"), RoleSessionName="once")
    with refused("AccessDenied", "not authorized to perform: sts:AssumeRole"):
        sts.assume_role(RoleArn=role_arn("missing"), RoleSessionName="once")


def test_an_explicit_deny_beats_direct_trust(bench: Bench):
    sts = bench.client("sts", bench.session("app", deny("sts:AssumeRole")))
    bench.role("target", trusted=trust({"AWS": role_arn("app")}))
    with refused("AccessDenied", "with an explicit deny in an identity-based policy"):
        sts.assume_role(RoleArn=role_arn("target"), RoleSessionName="once")


def test_a_deleted_roles_sessions_end_with_it(bench: Bench):
    queues = bench.client("sqs", bench.session("app", allow("sqs:*")))
    queues.list_queues()
    bench.iam.delete_role_policy(RoleName="app", PolicyName="inline")
    bench.iam.delete_role(RoleName="app")
    with refused("InvalidClientTokenId"):
        queues.list_queues()
    bench.role("app", allow("sqs:*"), trusted=trust(ROOT))
    with refused("InvalidClientTokenId"):
        queues.list_queues()


def test_a_new_role_is_not_assumable_at_once(bench: Bench):
    bench.control.eventual(newRoleSeconds=60)
    arn = bench.role("target", trusted=trust(ROOT))
    with refused("AccessDenied", "not authorized to perform: sts:AssumeRole"):
        bench.sts.assume_role(RoleArn=arn, RoleSessionName="once")
    until(lambda: bench.sts.assume_role(RoleArn=arn, RoleSessionName="once"), 10, "the role", ignoring=(bench.sts.exceptions.ClientError,))
