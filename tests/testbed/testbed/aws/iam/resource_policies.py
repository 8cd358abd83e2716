"""Policies that stand on the resource: a queue's.

Source: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-authentication-and-access-control.html.

In one account a resource's policy allows what an identity's policy does not, and its Deny beats both. AWS's services have no identity
policies: EventBridge and SNS reach a queue only by the queue's own policy.
"""

from localstack.services.sqs.models import sqs_stores

from testbed.aws.iam import documents, trust
from testbed.aws.iam.evaluate import Need
from testbed.aws.iam.principals import Principal

DELIVERERS = ("events.amazonaws.com", "sns.amazonaws.com")
"""Services that bring messages on behalf of a rule or a topic."""


def of(service: str, need: Need) -> dict | None:
    """The policy of the resource that a call needs; None when it has none."""
    if service != "sqs" or not need.resource.startswith("arn:"):
        return None
    _, _, _, region, account, name = need.resource.split(":", 5)
    queue = sqs_stores[account][region].queues.get(name)
    text = queue.attributes.get("Policy") if queue else None
    return documents.read(text) if text else None


def decision(service: str, principal: Principal, need: Need, region: str) -> str:
    """What the resource's policy says of this principal: Allow, Deny or ImplicitDeny."""
    document = of(service, need)
    return trust.policy_decision(document, principal, need, region) if document else "ImplicitDeny"
