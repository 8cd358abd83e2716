"""AssumeRoleWithWebIdentity, OpenID Connect providers, sessions and their ends, SimulatePrincipalPolicy.

Error codes are the service models'; the sources of the rules stand in testbed/aws/iam/web_identity.py and testbed/aws/patches/sessions.py."""

import json

import pytest

from aws_bench import PATIENCE, Bench, allow, bench, deny, policy, refused, role_arn, trust, why_not  # noqa: F401
from testbed.aws import ACCOUNT_ID, REGION
from testbed.bed import Bed
from testbed.waiting import until

AUDIENCE = "sts.amazonaws.com"
SUBJECT = "system:serviceaccount:windlass-system:windlass"


def federated(provider: str, action: str | list[str] = "sts:AssumeRoleWithWebIdentity", **condition: dict) -> dict:
    """A trust policy for the tokens of a provider."""
    statement = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": action}
    return policy(statement | ({"Condition": condition} if condition else {}))


class World:
    """The bed's issuer as an identity provider of the account, and a role that trusts it."""

    def __init__(self, bench: Bench):
        self.bench = bench
        told = bench.control.issuer()
        self.url, self.thumbprint = told["url"], told["thumbprint"]
        self.name = self.url.removeprefix("https://")
        made = bench.iam.create_open_id_connect_provider(Url=self.url, ClientIDList=[AUDIENCE], ThumbprintList=[self.thumbprint])
        self.provider = made["OpenIDConnectProviderArn"]

    def role(self, *statements: dict, action: str | list[str] = "sts:AssumeRoleWithWebIdentity", **condition: dict) -> str:
        """Makes the role `app`; condition keys written `:aud` are the provider's."""
        filled = {
            operator: {f"{self.name}{key}" if key.startswith(":") else key: value for key, value in keys.items()}
            for operator, keys in condition.items()
        }
        return self.bench.role("app", *statements, trusted=federated(self.provider, action, **filled))

    def assume(self, forged: bool = False, assume: dict | None = None, **claims: object) -> dict:
        """Assumes the role with a token; `assume` are further arguments of the call."""
        token = self.bench.control.token(forged=forged, **{"sub": SUBJECT, **claims})
        return self.with_token(token, **(assume or {}))

    def with_token(self, token: str, **arguments: object) -> dict:
        """Assumes the role with this token."""
        anonymous = self.bench.client("sts")
        return anonymous.assume_role_with_web_identity(
            RoleArn=role_arn("app"), RoleSessionName="tester", WebIdentityToken=token, **arguments
        )


@pytest.fixture
def world(bench: Bench) -> World:
    """An account with an identity provider."""
    return World(bench)


# --- tokens ---------------------------------------------------------------------------------------------------------------------------


def test_a_token_opens_a_session_of_the_role(world: World):
    world.role(allow("sqs:ListQueues"), StringEquals={":aud": AUDIENCE, ":sub": SUBJECT})
    answer = world.assume()
    assert answer["SubjectFromWebIdentityToken"] == SUBJECT
    assert (answer["Audience"], answer["Provider"]) == (AUDIENCE, world.provider)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/app/tester"
    session = answer["Credentials"]
    world.bench.client("sqs", session).list_queues()
    with refused("AccessDenied", why_not("sqs:createqueue")):
        world.bench.client("sqs", session).create_queue(QueueName="q")


@pytest.mark.parametrize(
    ("claims", "code", "words"),
    [
        ({"aud": "other"}, "InvalidIdentityToken", "Incorrect token audience"),
        ({"exp": 1_000_000_000}, "ExpiredTokenException", "must be before the expiration date/time 1000000000"),
        ({"exp": None}, "InvalidIdentityToken", "exp"),
        ({"iss": "https://elsewhere.example"}, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for"),
        ({"sub": "somebody"}, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
        ({"forged": True}, "InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider"),
    ],
)
def test_a_token_that_does_not_do_is_refused(world: World, claims: dict, code: str, words: str):
    world.role(StringEquals={":sub": SUBJECT})
    with refused(code, words):
        world.assume(**claims)


def test_what_is_no_token_is_refused(world: World):
    world.role()
    with refused("InvalidIdentityToken", "not a valid JWT"):
        world.with_token("abcd")


def test_a_role_that_does_not_trust_the_provider_is_not_assumed(world: World):
    world.bench.role("app", trusted=trust({"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}))
    with refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"):
        world.assume()


def test_amr_and_azp_are_keys_and_azp_stands_for_aud(world: World):
    world.role(**{"ForAnyValue:StringEquals": {":amr": "mfa"}, "StringEquals": {":azp": "client-7", ":aud": "client-7", ":oaud": AUDIENCE}})
    world.assume(amr=["pwd", "mfa"], azp="client-7")
    for claims in ({"amr": ["pwd"], "azp": "client-7"}, {"amr": ["mfa"]}, {"amr": ["mfa"], "azp": "client-8"}):
        with refused("AccessDenied"):
            world.assume(**claims)


def test_a_groups_claim_is_no_key(world: World):
    world.role(**{"ForAnyValue:StringEquals": {":groups": "operators"}})
    with refused("AccessDenied"):
        world.assume(groups=["operators"])


def test_a_thumbprint_must_be_the_servers(world: World):
    world.role()
    world.bench.iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=world.provider, ThumbprintList=["0" * 40])
    with refused("InvalidIdentityToken", "HTTPS certificate doesn't match configured thumbprint"):
        world.assume()
    world.bench.iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=world.provider, ThumbprintList=[world.thumbprint])
    world.assume()


def test_an_issuer_that_nobody_answers_at(world: World):
    made = world.bench.iam.create_open_id_connect_provider(Url="https://127.0.0.1:1", ClientIDList=[AUDIENCE], ThumbprintList=["0" * 40])
    world.bench.role("app", trusted=federated(made["OpenIDConnectProviderArn"]))
    with refused("IDPCommunicationError"):
        world.assume(iss="https://127.0.0.1:1")


def test_a_new_role_is_not_assumable_at_once_by_a_token_either(world: World):
    world.bench.control.eventual(newRoleSeconds=60)
    world.role()
    with refused("AccessDenied"):
        world.assume()
    until(world.assume, PATIENCE, "the role", ignoring=(world.bench.sts.exceptions.ClientError,))


# --- session tags ---------------------------------------------------------------------------------------------------------------------

NESTED = {"https://aws.amazon.com/tags": {"principal_tags": {"Team": ["web"]}, "transitive_tag_keys": ["Team"]}}
FLAT = {"https://aws.amazon.com/tags/principal_tags/Team": "web", "https://aws.amazon.com/tags/transitive_tag_keys": ["Team"]}
BOTH = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]
BY_TEAM = {"StringEquals": {"aws:PrincipalTag/Team": "web"}}


@pytest.mark.parametrize("claims", [NESTED, FLAT], ids=["nested", "flattened"])
def test_session_tags_come_in_both_forms_of_the_claim(world: World, claims: dict):
    world.role(allow("sqs:ListQueues", **BY_TEAM), action=BOTH, StringEquals={"aws:RequestTag/Team": "web"})
    session = world.assume(**claims)["Credentials"]
    world.bench.client("sqs", session).list_queues()
    with refused("AccessDenied"):
        world.assume(**{"https://aws.amazon.com/tags": {"principal_tags": {"Team": ["db"]}}})


def test_session_tags_need_tag_session(world: World):
    world.role(allow("sqs:ListQueues"))
    world.assume()
    with refused("AccessDenied", "Not authorized to perform sts:TagSession"):
        world.assume(**NESTED)


def test_without_a_rule_on_tag_keys_a_caller_may_bring_any_tag(world: World):
    tags = {"https://aws.amazon.com/tags": {"principal_tags": {"Team": ["web"], "Admin": ["yes"]}}}
    world.role(action=BOTH)
    world.assume(**tags)
    document = federated(world.provider, BOTH, **{"ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]}})
    world.bench.iam.update_assume_role_policy(RoleName="app", PolicyDocument=json.dumps(document))
    with refused("AccessDenied"):
        world.assume(**tags)
    world.assume(**NESTED)


@pytest.mark.parametrize(
    "tags",
    [{"Team": ["a", "b"]}, {"k" * 129: ["v"]}, {"k": ["v" * 257]}, {f"k{number}": ["v"] for number in range(51)}],
    ids=["two values", "long key", "long value", "too many"],
)
def test_session_tags_have_bounds(world: World, tags: dict):
    world.role(action=BOTH)
    with refused("InvalidIdentityToken"):
        world.assume(**{"https://aws.amazon.com/tags": {"principal_tags": tags}})


def test_transitive_tags_stay_through_role_chaining(world: World):
    world.role(allow("sts:*"), action=BOTH)
    world.bench.role("next", allow("sqs:ListQueues", **BY_TEAM), trusted=trust({"AWS": role_arn("app")}))
    session = world.assume(**NESTED)["Credentials"]
    chained = world.bench.client("sts", session).assume_role(RoleArn=role_arn("next"), RoleSessionName="chained")["Credentials"]
    world.bench.client("sqs", chained).list_queues()


# --- sessions -------------------------------------------------------------------------------------------------------------------------


def test_a_session_policy_limits_a_web_identitys_session(world: World):
    world.role(allow("sqs:*"))
    session = world.assume(assume={"Policy": json.dumps(policy(allow("sqs:ListQueues")))})["Credentials"]
    world.bench.client("sqs", session).list_queues()
    with refused("AccessDenied", why_not("sqs:createqueue", "session policy")):
        world.bench.client("sqs", session).create_queue(QueueName="q")


def test_a_session_ends_by_the_virtual_clock_where_that_is_asked_for(world: World):
    world.role(allow("sqs:*"))
    session = world.assume(assume={"DurationSeconds": 900})["Credentials"]
    world.bench.control.sessions(virtualExpiry=True)
    queues = world.bench.client("sqs", session)
    queues.list_queues()

    def ended() -> bool:
        try:
            queues.list_queues()
            return False
        except queues.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "ExpiredToken", error
            return True

    until(ended, 40, "fifteen virtual minutes")
    with refused("ExpiredTokenException"):
        world.bench.client("ssm", session).list_commands()


def test_sessions_are_no_longer_than_the_role_and_chaining_let_them(world: World):
    world.role(allow("sts:*"))
    with refused("ValidationError", "exceeds the MaxSessionDuration set for this role"):
        world.assume(assume={"DurationSeconds": 7200})
    world.bench.iam.update_role(RoleName="app", MaxSessionDuration=7200)
    session = world.assume(assume={"DurationSeconds": 7200})["Credentials"]
    world.bench.role("next", trusted=trust({"AWS": role_arn("app")}), MaxSessionDuration=7200)
    with refused("ValidationError", "1 hour session limit for roles assumed by role chaining"):
        world.bench.client("sts", session).assume_role(RoleArn=role_arn("next"), RoleSessionName="chained", DurationSeconds=7200)


# --- providers ------------------------------------------------------------------------------------------------------------------------


def test_a_provider_is_made_changed_and_deleted(world: World):
    iam, arn = world.bench.iam, {"OpenIDConnectProviderArn": world.provider}
    assert world.provider == f"arn:aws:iam::{ACCOUNT_ID}:oidc-provider/{world.name}"
    with refused("EntityAlreadyExists"):
        iam.create_open_id_connect_provider(Url=world.url)
    with refused("ValidationError"):
        iam.create_open_id_connect_provider(Url="http://plain.example")
    iam.add_client_id_to_open_id_connect_provider(**arn, ClientID="windlass")
    found = iam.get_open_id_connect_provider(**arn)
    assert (found["Url"], found["ClientIDList"], found["ThumbprintList"]) == (world.name, [AUDIENCE, "windlass"], [world.thumbprint])
    world.role()
    world.assume(aud="windlass")
    iam.remove_client_id_from_open_id_connect_provider(**arn, ClientID="windlass")
    with refused("InvalidIdentityToken", "Incorrect token audience"):
        world.assume(aud="windlass")
    iam.tag_open_id_connect_provider(**arn, Tags=[{"Key": "a", "Value": "1"}])
    assert iam.list_open_id_connect_provider_tags(**arn)["Tags"] == [{"Key": "a", "Value": "1"}]
    assert [entry["Arn"] for entry in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]] == [world.provider]
    iam.delete_open_id_connect_provider(**arn)
    with refused("NoSuchEntity"):
        iam.get_open_id_connect_provider(**arn)
    with refused("InvalidIdentityToken", "No OpenIDConnect provider found"):
        world.assume()


def test_making_a_provider_needs_the_right(world: World):
    iam = world.bench.client("iam", world.bench.session("maker", allow("iam:CreateOpenIDConnectProvider", "arn:aws:iam::*:oidc-provider/good.example")))
    iam.create_open_id_connect_provider(Url="https://good.example", ThumbprintList=["0" * 40])
    with refused("AccessDenied", "iam:CreateOpenIDConnectProvider on resource: "):
        iam.create_open_id_connect_provider(Url="https://bad.example", ThumbprintList=["0" * 40])


# --- SimulatePrincipalPolicy ----------------------------------------------------------------------------------------------------------


def test_policies_are_simulated_as_they_are_enforced(bench: Bench):
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:mine"
    arn = bench.role("app", allow("sqs:*", queue, StringEquals={"aws:RequestTag/a": "1"}), deny("sqs:DeleteQueue"))
    entry = {"ContextKeyName": "aws:RequestTag/a", "ContextKeyType": "string", "ContextKeyValues": ["1"]}

    def decisions(**more: object) -> dict:
        found = bench.iam.simulate_principal_policy(
            PolicySourceArn=arn, ActionNames=["sqs:SendMessage", "sqs:DeleteQueue", "ssm:ListCommands"], ResourceArns=[queue], **more
        )
        return {result["EvalActionName"]: result["EvalDecision"] for result in found["EvaluationResults"]}

    assert decisions() == {"sqs:SendMessage": "implicitDeny", "sqs:DeleteQueue": "explicitDeny", "ssm:ListCommands": "implicitDeny"}
    assert decisions(ContextEntries=[entry])["sqs:SendMessage"] == "allowed"
    assert decisions(PolicyInputList=[json.dumps(policy(allow("ssm:*")))])["ssm:ListCommands"] == "allowed"
    limit = bench.iam.create_policy(PolicyName="limit", PolicyDocument=json.dumps(policy(allow("ssm:*"))))["Policy"]["Arn"]
    bench.iam.put_role_permissions_boundary(RoleName="app", PermissionsBoundary=limit)
    found = bench.iam.simulate_principal_policy(
        PolicySourceArn=arn, ActionNames=["sqs:SendMessage"], ResourceArns=[queue], ContextEntries=[entry]
    )["EvaluationResults"][0]
    assert (found["EvalDecision"], found["PermissionsBoundaryDecisionDetail"]) == ("implicitDeny", {"AllowedByPermissionsBoundary": False})
    with refused("NoSuchEntity"):
        bench.iam.simulate_principal_policy(PolicySourceArn=role_arn("none"), ActionNames=["sqs:SendMessage"])


# --- the bed's own Kubernetes ---------------------------------------------------------------------------------------------------------


def test_a_service_accounts_token_opens_a_session(bed: Bed):
    bed.control.reset()
    here = Bench(bed)
    issuer = bed.state.kubernetes.url
    provider = here.iam.create_open_id_connect_provider(Url=issuer, ClientIDList=[AUDIENCE])["OpenIDConnectProviderArn"]
    name = issuer.removeprefix("https://")
    subject = "system:serviceaccount:default:default"
    here.role("app", allow("sqs:ListQueues"), trusted=federated(provider, StringEquals={f"{name}:aud": AUDIENCE, f"{name}:sub": subject}))

    def token(audience: str) -> str:
        body = {"spec": {"audiences": [audience], "expirationSeconds": 600}}
        until(lambda: bed.admin.request("GET", "/api/v1/namespaces/default/serviceaccounts/default"), PATIENCE, "the account", ignoring=(Exception,))
        return bed.admin.request("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", body)["status"]["token"]

    arguments = {"RoleArn": role_arn("app"), "RoleSessionName": "pod"}
    answer = here.sts.assume_role_with_web_identity(**arguments, WebIdentityToken=token(AUDIENCE))
    assert answer["SubjectFromWebIdentityToken"] == subject
    here.client("sqs", answer["Credentials"]).list_queues()
    with refused("InvalidIdentityToken", "Incorrect token audience"):
        here.sts.assume_role_with_web_identity(**arguments, WebIdentityToken=token("elsewhere"))
    head, payload, signature = token(AUDIENCE).split(".")
    with refused("InvalidIdentityToken"):
        here.sts.assume_role_with_web_identity(**arguments, WebIdentityToken=".".join([head, payload, signature[::-1]]))
