"""Services without a module of their own: the action by AWS's naming rules, the resources by what the request names.

A resource that cannot be told from the request is `*`, which only a statement on `*` allows: the strict side.
"""

import re
from collections.abc import Iterator

from testbed.aws.iam.evaluate import Need
from testbed.aws.iam.needs.where import Where, tag_context, tags_of

_PREFIXES = {"cloudwatch": "cloudwatch", "resourcegroupstaggingapi": "tag"}
"""IAM's name of a service where it is not botocore's."""

_S3_ACTIONS = {
    "AbortMultipartUpload": "AbortMultipartUpload", "CompleteMultipartUpload": "PutObject", "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject", "DeleteObjects": "DeleteObject", "HeadBucket": "ListBucket", "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets", "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket", "UploadPart": "PutObject",
}  # fmt: skip
_LAMBDA_ACTIONS = {"Invoke": "InvokeFunction"}

_EC2_KINDS = {
    "i": "instance", "vol": "volume", "snap": "snapshot", "ami": "image", "sg": "security-group", "subnet": "subnet",
    "vpc": "vpc", "eni": "network-interface",
}  # fmt: skip
_EC2_ID = re.compile(r"^(i|vol|snap|ami|sg|subnet|vpc|eni)-[0-9a-f]{8,17}$")

_NAMED = {
    "dynamodb": {"TableName": "table/{}"},
    "kms": {"KeyId": "key/{}"},
    "lambda": {"FunctionName": "function:{}"},
    "logs": {"logGroupName": "log-group:{}"},
    "scheduler": {"Name": "schedule/default/{}"},
    "secretsmanager": {"SecretId": "secret:{}", "Name": "secret:{}"},
}
"""Request fields that hold a resource's name, with the resource part of its ARN."""


def needs(service: str, operation: str, request: dict, where: Where) -> list[Need]:
    """The needs of a call to any other service."""
    name = operation
    if service == "s3":
        name = _S3_ACTIONS.get(operation, operation)
    elif service == "lambda":
        name = _LAMBDA_ACTIONS.get(operation, operation)
    action = f"{_PREFIXES.get(service, service)}:{name}"
    tags = request.get("Tags") or request.get("tags") or []
    context = tag_context("aws:RequestTag", dict(tags) if isinstance(tags, dict) else tags_of([tag for tag in tags if "Key" in tag]))
    arns = list(dict.fromkeys(_resources(service, request, where)))
    return [Need(action, arn, context) for arn in arns or ["*"]]


def _resources(service: str, request: dict, where: Where) -> Iterator[str]:
    if service == "s3":
        bucket, key = request.get("Bucket"), request.get("Key")
        if bucket:
            yield f"arn:{where.partition}:s3:::{bucket}/{key}" if key else f"arn:{where.partition}:s3:::{bucket}"
        return
    for field, pattern in _NAMED.get(service, {}).items():
        value = request.get(field)
        if isinstance(value, str):
            yield value if value.startswith("arn:") else where.arn(service, pattern.format(value))
            return
    for value in _strings(request):
        if service == "ec2" and (match := _EC2_ID.match(value)):
            yield where.arn("ec2", f"{_EC2_KINDS[match.group(1)]}/{value}")
        elif value.startswith(f"arn:{where.partition}:{service}:"):
            yield value


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)
