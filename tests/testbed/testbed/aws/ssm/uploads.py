"""Whole output of commands: to S3 and to CloudWatch Logs, in AWS's layout, when the agent ends a step.

Source: user guide, "Running commands from the console" (output to S3: ``PREFIX/COMMAND-ID/NODE-ID/awsrunPowerShellScript/STEP/stdout``),
"Configuring Amazon CloudWatch Logs for Run Command" (group ``/aws/ssm/DOCUMENT`` unless named, stream
``COMMAND-ID/NODE-ID/STEP/stdout``), and amazon-ssm-agent, ``agent/framework/processor/executer/iohandler``: an empty output leaves no
object, and an upload that fails does not fail the script.
"""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from . import files
from .content import Step
from .errors import ServiceError
from .records import Command, Invocation, Plugin

if TYPE_CHECKING:
    from .model import Account

LOG = logging.getLogger(__name__)


def check(account: "Account", request: dict) -> None:
    """``InvalidOutputFolder`` for a bucket that does not exist (API reference, SendCommand)."""
    bucket = request.get("OutputS3BucketName")
    if bucket and not files.bucket_exists(account, bucket):
        raise ServiceError("InvalidOutputFolder", f"The S3 bucket {bucket} doesn't exist.")


def store(account: "Account", command: Command, invocation: Invocation, step: Step, plugin: Plugin) -> None:
    """Writes a step's output wherever the command wants it."""
    for stream, text in (("stdout", plugin.stdout), ("stderr", plugin.stderr)):
        if not text:
            continue
        try:
            if bucket := command.request.get("OutputS3BucketName"):
                files.write(account, bucket, f"{folder(command, invocation, step)}/{_step(step)}/{stream}", text)
            if group := log_group(command):
                files.log(account, group, f"{command.id}/{invocation.node_id}/{_stream(step)}/{stream}", text)
        except ClientError as error:
            LOG.info("output of %s: %s", command.id, error)


def log_group(command: Command) -> str:
    """The log group that the command writes to; empty for none."""
    wanted = command.request.get("CloudWatchOutputConfig") or {}
    if not wanted.get("CloudWatchOutputEnabled"):
        return ""
    return wanted.get("CloudWatchLogGroupName") or f"/aws/ssm/{command.document_name.rsplit('/', 1)[-1]}"


def folder(command: Command, invocation: Invocation, step: Step | None = None) -> str:
    """The key prefix of a command on a node, or of one plugin there."""
    prefix = (command.request.get("OutputS3KeyPrefix") or "").strip("/")
    own = [command.id, invocation.node_id]
    if command.association:
        own = [invocation.node_id, command.association, f"{datetime.fromtimestamp(command.requested, UTC):%Y-%m-%dT%H-%M-%S.000Z}"]
    parts = [prefix, *own, step.plugin.replace(":", "") if step else ""]
    return "/".join(part for part in parts if part)


def url(account: "Account", command: Command, invocation: Invocation, step: Step | None = None, stream: str = "") -> str:
    """The URL of a step's output, or of the command's folder on the node; empty without a bucket."""
    bucket = command.request.get("OutputS3BucketName")
    if not bucket:
        return ""
    key = folder(command, invocation, step)
    if step is not None:
        key = f"{key}/{_step(step)}/{stream}"
    return f"https://s3.{command.request.get('OutputS3Region') or account.region}.amazonaws.com/{bucket}/{key}"


def _step(step: Step) -> str:
    """Documents before schema 2.0 number their plugins."""
    return f"0.{step.plugin.replace(':', '')}" if step.name == step.plugin else step.name


def _stream(step: Step) -> str:
    return step.name.replace(":", "-")
