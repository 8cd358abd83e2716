"""What each call must be allowed: the IAM actions and resources of an operation, as the Service Authorization Reference lists them.

A service that has a module here knows its resources and condition keys; every other falls to `generic`.
"""

from collections.abc import Callable

from testbed.aws.iam.evaluate import Need
from testbed.aws.iam.needs import events, generic, identity, messaging, states, systems_manager
from testbed.aws.iam.needs.where import Where

Resolver = Callable[[str, dict, Where], list[Need]]

RESOLVERS: dict[str, Resolver] = {
    "events": events.needs,
    "iam": identity.needs,
    "sns": messaging.sns,
    "sqs": messaging.sqs,
    "ssm": systems_manager.needs,
    "stepfunctions": states.needs,
}


def of(service: str, operation: str, request: dict, where: Where) -> list[Need]:
    """The needs of a call; `service` is botocore's name, `request` the parsed parameters. Empty: nobody is refused this."""
    resolver = RESOLVERS.get(service)
    if resolver is not None:
        return resolver(operation, request, where)
    return generic.needs(service, operation, request, where)
