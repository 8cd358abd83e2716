"""The bed's one AWS endpoint: LocalStack's core with the bed's Systems Manager, IAM enforcement, faults and clock."""

import os

ACCOUNT_ID = os.environ.get("WINDLASS_BED_ACCOUNT", "111122223333")
"""The account that the bed plays by default."""

REGION = os.environ.get("WINDLASS_BED_REGION", "eu-west-1")
"""The Region that the bed plays by default."""

PARTITION = "aws"

ADMIN_ACCESS_KEY_ID = ACCOUNT_ID
"""A twelve-digit access key is the root user of that account: never refused. Tests arrange the world with it."""

ADMIN_SECRET = "admin"
"""The endpoint verifies no signatures, but SDKs want a secret to sign with."""
