"""Files in S3, logs in CloudWatch and keys of KMS that nodes and parameters use, through LocalStack, with the rights of the account itself: nodes' own roles are not modelled."""

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from testbed.aws.settings import CLOCK

if TYPE_CHECKING:
    from .model import Account

#: Characters of one log event; at four bytes each they are within CloudWatch's 256 KB.
_EVENT = 60_000


def read(account: "Account", url: str) -> str:
    """The text of ``s3://bucket/key``; another URL is a ``ValueError``, for the bed's nodes reach nothing else."""
    parts = urlsplit(url)
    if parts.scheme != "s3":
        raise ValueError(f"{url} is not an s3:// URL, and the test bed's nodes reach nothing else")
    return s3(account).get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))["Body"].read().decode()


def write(account: "Account", bucket: str, key: str, text: str) -> None:
    """Puts an object."""
    s3(account).put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/plain")


def bucket_exists(account: "Account", bucket: str) -> bool:
    """Whether there is such a bucket."""
    try:
        s3(account).head_bucket(Bucket=bucket)
    except ClientError:
        return False
    return True


def key_arn(account: "Account", key_id: str) -> str | None:
    """The ARN of a key of KMS, by id, ARN or alias; None when there is none."""
    try:
        return _client(account).kms.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]
    except ClientError:
        return None


def log(account: "Account", group: str, stream: str, text: str) -> None:
    """Puts a log stream with the text, in events as large as they may be; makes the group when it is missing."""
    logs = _client(account).logs
    _on_the_beds_clock()
    for make in (lambda: logs.create_log_group(logGroupName=group), lambda: logs.create_log_stream(logGroupName=group, logStreamName=stream)):
        try:
            make()
        except logs.exceptions.ResourceAlreadyExistsException:
            pass
    at = int(CLOCK.now() * 1_000)
    parts = [text[start : start + _EVENT] for start in range(0, len(text), _EVENT)]
    for part in parts:
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": at, "message": part}])


@cache
def _on_the_beds_clock() -> None:
    """CloudWatch Logs refuses events from the future: let it live in the bed's time."""
    from moto.logs import models

    models.utcnow = lambda: datetime.fromtimestamp(CLOCK.now(), UTC).replace(tzinfo=None)
    models.unix_time_millis = lambda moment=None: (moment or models.utcnow()).replace(tzinfo=UTC).timestamp() * 1_000


def s3(account: "Account"):
    """A client of S3 with the account's own key."""
    return _client(account).s3


def _client(account: "Account"):
    from localstack.aws.connect import connect_to

    return connect_to(aws_access_key_id=account.account, region_name=account.region)
