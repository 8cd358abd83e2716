"""What the AWS process is told by its environment, and the clock that the whole process shares."""

import os
from pathlib import Path

from testbed.clock import Clock

GATEWAY_PORT_VARIABLE = "WINDLASS_BED_PORT"
CONTROL_PORT_VARIABLE = "WINDLASS_BED_CONTROL_PORT"
STATE_VARIABLE = "WINDLASS_BED_STATE"

SERVICES = (
    "cloudwatch", "dynamodb", "ec2", "events", "iam", "kms", "logs", "resourcegroupstaggingapi",
    "s3", "scheduler", "secretsmanager", "sns", "sqs", "ssm", "stepfunctions", "sts",
)  # fmt: skip
"""What may be called; each is loaded at its first call."""

CLOCK = Clock.from_environment()


def gateway_port() -> int:
    """The port of the AWS endpoint. Raises KeyError when the environment does not say."""
    return int(os.environ[GATEWAY_PORT_VARIABLE])


def control_port() -> int:
    """The port of the control endpoint. Raises KeyError when the environment does not say."""
    return int(os.environ[CONTROL_PORT_VARIABLE])


def state_directory() -> Path:
    """Where this process may keep files; made when missing."""
    path = Path(os.environ[STATE_VARIABLE]) / "localstack"
    path.mkdir(parents=True, exist_ok=True)
    return path


def cache_directory() -> Path:
    """Where what does not change between beds is kept; made when missing. Its files carry the versions that they were made from."""
    root = os.environ.get("WINDLASS_TESTBED_CACHE") or Path.home() / ".cache" / "windlass-testbed"
    path = Path(root) / "localstack"
    path.mkdir(parents=True, exist_ok=True)
    return path
