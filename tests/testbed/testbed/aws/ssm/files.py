"""Files in S3 that nodes read and write, through LocalStack, with the rights of the account itself: nodes' own roles are not modelled."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .model import Account


def read(account: "Account", url: str) -> str:
    """The text of ``s3://bucket/key``; another URL is a ``ValueError``, for the bed's nodes reach nothing else."""
    parts = urlsplit(url)
    if parts.scheme != "s3":
        raise ValueError(f"{url} is not an s3:// URL, and the test bed's nodes reach nothing else")
    return s3(account).get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))["Body"].read().decode()


def write(account: "Account", bucket: str, key: str, text: str) -> None:
    """Puts an object."""
    s3(account).put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/plain")


def s3(account: "Account"):
    """A client with the account's own key."""
    from localstack.aws.connect import connect_to

    return connect_to(aws_access_key_id=account.account, region_name=account.region).s3
