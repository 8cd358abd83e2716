"""What the API server takes for an AwsAccount, and what it says of what it does not."""

import pytest
from admission_bench import NOT_ALL_CHECKED, Admission, Manifest, account, refusal, unknown_fields

BOUNDARY = "^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+$"


def grant(name: str = "ops", **fields: object) -> Manifest:
    """A grant."""
    return {"name": name, "namespaces": ["ops"], **fields}


ACCEPTS = {
    "the least": account(),
    "a role to assume": account(
        assumeRole={"roleArn": "arn:aws:iam::111122223333:role/path/windlass-controller", "externalId": "windlass-prod"}
    ),
    "an endpoint": account(endpoint="https://vpce-1.eu-west-1.vpce.amazonaws.com"),
    "China": account(region="cn-north-1", permissionsBoundaryArn="arn:aws-cn:iam::111122223333:policy/org"),
    "a boundary of AWS's": account(permissionsBoundaryArn="arn:aws:iam::aws:policy/PowerUserAccess"),
    "grants": account(
        grants=[
            grant("tagged", nodeTags={"OS": ["Windows"], "Role": ["web", "iis"]}),
            grant("any", namespaces=["ops", "web"], anyNode=True),
            grant("nothing-of-nodes"),
            grant("topics", topicArns=["arn:aws:sns:eu-west-1:111122223333:iis-*"]),
        ]
    ),
    "quotas": account(quotas=[{"operation": "states:DescribeExecution", "bucket": 300, "refillPerSecond": 15}]),
    "tags": account(tags={"CostCentre": "4711"}),
    "an inbox": account(inbox={"mode": "Managed"}),
    "no inbox": account(inbox={"mode": "Disabled"}),
    "a quota of the inbox's services": account(
        quotas=[{"operation": name, "bucket": 10, "refillPerSecond": 5} for name in ("sqs:ReceiveMessage", "events:PutRule")]
    ),
}


@pytest.mark.parametrize("case", ACCEPTS)
def test_accepts(api: Admission, case: str) -> None:
    assert api.refusal(ACCEPTS[case]) is None


def refused(*causes: str) -> str:
    """The API server's words for some causes."""
    return refusal("AwsAccount", "prod", *causes)


def mismatch(path: str, value: str, pattern: str) -> str:
    """The API server's words for a text that does not match."""
    return refused(f"{path}: Invalid value: \"{value}\": {path} in body should match '{pattern}'")


TOPICS = r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_*-]{1,256}$"

REJECTS = {
    "topics of any account": (
        account(grants=[grant(topicArns=["arn:aws:sns:eu-west-1:*:iis"])]),
        mismatch("spec.grants[0].topicArns[0]", "arn:aws:sns:eu-west-1:*:iis", TOPICS),
    ),
    "unknown field": (account(oidcProviders=[]), unknown_fields("AwsAccount", "spec.oidcProviders")),
    "misspelt field of a grant": (account(grants=[grant(nodeTag={"OS": ["x"]})]), unknown_fields("AwsAccount", "spec.grants[0].nodeTag")),
    "no account": (
        account(accountId="prod", permissionsBoundaryArn="arn:aws:iam::aws:policy/PowerUserAccess"),
        mismatch("spec.accountId", "prod", "^[0-9]{12}$"),
    ),
    "no region": (account(region="Ireland"), mismatch("spec.region", "Ireland", "^[a-z]{2}(-[a-z]+)+-[0-9]$")),
    "no boundary": (account(permissionsBoundaryArn=None), refused("spec.permissionsBoundaryArn: Required value", NOT_ALL_CHECKED)),
    "a role as boundary": (
        account(permissionsBoundaryArn="arn:aws:iam::111122223333:role/x"),
        mismatch("spec.permissionsBoundaryArn", "arn:aws:iam::111122223333:role/x", BOUNDARY),
    ),
    "another account's boundary": (
        account(permissionsBoundaryArn="arn:aws:iam::999999999999:policy/org"),
        refused("spec: Invalid value: permissionsBoundaryArn must be a policy of this account or one of AWS's own"),
    ),
    "a path in the endpoint": (
        account(endpoint="https://example.com/aws"),
        mismatch("spec.endpoint", "https://example.com/aws", "^https?://[^ /?#]+/?$"),
    ),
    "a user to assume": (
        account(assumeRole={"roleArn": "arn:aws:iam::111122223333:user/x"}),
        mismatch(
            "spec.assumeRole.roleArn",
            "arn:aws:iam::111122223333:user/x",
            "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$",
        ),
    ),
    "tags and any node": (
        account(grants=[grant(nodeTags={"OS": ["Windows"]}, anyNode=True)]),
        refused("spec.grants[0]: Invalid value: nodeTags and anyNode: true exclude each other: leave out one of the two"),
    ),
    "two grants of one name": (account(grants=[grant(), grant()]), refused('spec.grants[1]: Duplicate value: {"name":"ops"}')),
    "a grant for nobody": (
        account(grants=[grant(namespaces=[])]),
        refused("spec.grants[0].namespaces: Invalid value: 0: spec.grants[0].namespaces in body should have at least 1 items"),
    ),
    "a grant with a bad name": (
        account(grants=[grant("Ops Team")]),
        mismatch("spec.grants[0].name", "Ops Team", "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"),
    ),
    "no tag keys": (
        account(grants=[grant(nodeTags={})]),
        refused("spec.grants[0].nodeTags: Invalid value: 0: spec.grants[0].nodeTags in body should have at least 1 properties"),
    ),
    "a quota of another service": (
        account(quotas=[{"operation": "ec2:RunInstances", "bucket": 1, "refillPerSecond": 1}]),
        mismatch("spec.quotas[0].operation", "ec2:RunInstances", "^(states|ssm|iam|sts|sqs|events):[A-Z][A-Za-z]+$"),
    ),
    "another mode of an inbox": (
        account(inbox={"mode": "Polling"}),
        refused('spec.inbox.mode: Unsupported value: "Polling": supported values: "Managed", "Disabled"', NOT_ALL_CHECKED),
    ),
    "an inbox that says nothing": (account(inbox={}), refused("spec.inbox.mode: Required value", NOT_ALL_CHECKED)),
    "a quota of nothing": (
        account(quotas=[{"operation": "ssm:SendCommand", "bucket": 0, "refillPerSecond": 1}]),
        refused("spec.quotas[0].bucket: Invalid value: 0: spec.quotas[0].bucket in body should be greater than or equal to 1"),
    ),
    "Windlass's own tags": (
        account(tags={"windlass.dev/cluster": "other"}),
        refused("spec.tags: Invalid value: tag keys have 128 characters at most and do not begin with aws: or windlass.dev/"),
    ),
}


@pytest.mark.parametrize("case", REJECTS)
def test_rejects(api: Admission, case: str) -> None:
    asked, message = REJECTS[case]
    assert api.refusal(asked) == message


def test_where_an_account_is_stays(api: Admission) -> None:
    api.create(account())
    message = refused(
        "spec: Invalid value: accountId and region cannot change: what is in the old place would be left behind; make a new AwsAccount"
    )
    other = account(accountId="999999999999", permissionsBoundaryArn="arn:aws:iam::999999999999:policy/org")
    assert api.refusal_of_update(other) == message
    assert api.refusal_of_update(account(region="eu-central-1")) == message
    assert api.refusal_of_update(account(grants=[grant()])) is None
