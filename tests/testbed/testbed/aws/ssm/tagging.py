"""The Resource Groups Tagging API's GetResources, over this Systems Manager's nodes, documents, parameters and associations beside what
LocalStack's own services have tagged.

Source: API reference of the Resource Groups Tagging API, GetResources (a filter's values are alternatives, several filters hold together,
a filter without values asks for the key; PaginationToken is empty at the end; a list of ARNs excludes every other parameter).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .errors import ServiceError
from .paging import page

if TYPE_CHECKING:
    from .model import Account

#: An ARN with its tags.
Tagged = tuple[str, dict[str, str]]


def tagged(account: "Account") -> Iterator[Tagged]:
    """What of ours has tags. An EC2 node is EC2's instance, a hybrid one Systems Manager's."""
    prefix = f"arn:{account.partition}:ssm:{account.region}:{account.account}"
    for node in account.nodes():
        yield account.node_arn(node.id), node.tags
    for document in account.documents.all():
        yield account.documents.arn(document.name), document.tags
    for parameter in account.parameters.all():
        yield account.parameters.arn(parameter.name), parameter.tags
    for association in account.associations.all():
        yield f"{prefix}:association/{association.id}", association.tags


def get_resources(account: "Account", request: dict, others: list[Tagged]) -> dict:
    """GetResources; ``others`` are tagged resources of other services."""
    arns, filters, types = (request.get(name) or [] for name in ("ResourceARNList", "TagFilters", "ResourceTypeFilters"))
    if arns and (filters or types or request.get("PaginationToken") or request.get("ResourcesPerPage")):
        raise _invalid("ResourceARNList can't be combined with other parameters.")
    if len(filters) > 50 or any(len(each.get("Values") or []) > 20 for each in filters):
        raise _invalid("At most 50 tag filters, with at most 20 values each.")
    size = request.get("ResourcesPerPage") or 50
    if not 1 <= size <= 100:
        raise _invalid("ResourcesPerPage must be from 1 to 100.")
    ours = {arn: tags for arn, tags in tagged(account) if tags}
    known = {arn: tags for arn, tags in others if tags} | ours
    found = [
        (arn, known[arn])
        for arn in sorted(known)
        if (not arns or arn in arns) and all(_meets(known[arn], f) for f in filters) and (not types or any(_is(arn, t) for t in types))
    ]
    try:
        chosen, token = page(found, {"NextToken": request.get("PaginationToken"), "MaxResults": size}, lambda pair: pair[0])
    except ServiceError as error:
        raise _invalid("The PaginationToken is not valid.") from error
    shown = [
        {"ResourceARN": arn, "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]} for arn, tags in chosen
    ]
    return {"PaginationToken": token or "", "ResourceTagMappingList": shown}


def _meets(tags: dict[str, str], wanted: dict) -> bool:
    key, values = wanted.get("Key"), wanted.get("Values") or []
    return key in tags and (not values or tags[key] in values)


def _is(arn: str, wanted: str) -> bool:
    """Whether the ARN is of a service (``ec2``) or of one of its resource types (``ec2:instance``)."""
    service, _, kind = wanted.partition(":")
    parts = arn.split(":", 5)
    return parts[2] == service and (not kind or parts[5].split("/")[0].split(":")[0] == kind)


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message)


def register() -> None:
    """Makes this the answer of GetResources. Call it before LocalStack starts."""
    from localstack.aws.api import CommonServiceException, RequestContext, handler
    from localstack.services.resourcegroupstaggingapi import provider

    from . import model

    class BedTaggingProvider(provider.ResourcegroupstaggingapiProvider):
        """LocalStack's, but for GetResources."""

        @handler("GetResources", expand=False)
        def get_resources(self, context: RequestContext, request: dict) -> dict:
            others = list(_others(context))
            system = model.system()
            with system.lock:
                try:
                    return get_resources(system.account(context.account_id, context.region), request or {}, others)
                except ServiceError as error:
                    raise CommonServiceException(error.code, error.message, error.status, sender_fault=True) from error

    provider.ResourcegroupstaggingapiProvider = BedTaggingProvider


def _others(context) -> Iterator[Tagged]:
    """What moto's backends of other services have tagged (EC2, KMS, CloudWatch Logs …).

    Services that LocalStack keeps itself (SQS, Step Functions, S3) are not there.
    """
    from moto.resourcegroupstaggingapi.models import resourcegroupstaggingapi_backends

    backend = resourcegroupstaggingapi_backends[context.account_id][context.region]
    for resource in backend._get_resources_generator([], []):
        yield resource["ResourceARN"], {tag["Key"]: tag["Value"] for tag in resource.get("Tags") or []}
