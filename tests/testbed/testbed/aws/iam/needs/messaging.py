"""SQS and SNS (docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html, …/list_amazonsns.html)."""

from testbed.aws.iam.evaluate import Need
from testbed.aws.iam.needs.where import Where, tag_context, tags_of

_SQS_BATCHES = {
    "SendMessageBatch": "SendMessage",
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
}
_SNS_BATCHES = {"PublishBatch": "Publish"}


def queue_arn(request: dict, where: Where) -> str:
    """The ARN of the queue that a request names by name or URL."""
    if request.get("QueueName"):
        return where.arn("sqs", request["QueueName"])
    if request.get("QueueUrl"):
        account, name = request["QueueUrl"].rstrip("/").rsplit("/", 2)[-2:]
        owner = account if account.isdigit() else where.account
        return f"arn:{where.partition}:sqs:{where.region}:{owner}:{name}"
    return request.get("SourceArn") or request.get("TaskHandle") or "*"


def sqs(operation: str, request: dict, where: Where) -> list[Need]:
    """The needs of a call to SQS. Batches are authorised as their single form."""
    if operation == "ListQueues":
        return [Need("sqs:ListQueues", "*", shown=where.arn("sqs", ""))]
    arn = queue_arn(request, where)
    tags = request.get("tags") or request.get("Tags") or {}
    context = tag_context("aws:RequestTag", dict(tags) if operation in ("CreateQueue", "TagQueue") else {})
    found = [Need(f"sqs:{_SQS_BATCHES.get(operation, operation)}", arn, context)]
    if operation == "CreateQueue" and tags:
        found.append(Need("sqs:TagQueue", arn, context))
    return found


def sns(operation: str, request: dict, where: Where) -> list[Need]:
    """The needs of a call to SNS."""
    action = f"sns:{_SNS_BATCHES.get(operation, operation)}"
    if operation == "CreateTopic":
        return [Need(action, where.arn("sns", request["Name"]), tag_context("aws:RequestTag", tags_of(request.get("Tags"))))]
    arn = request.get("TopicArn") or request.get("TargetArn") or request.get("ResourceArn") or request.get("SubscriptionArn") or "*"
    return [Need(action, arn)]
