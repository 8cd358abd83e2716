"""Clients by which the service calls other services, and itself, for somebody: through LocalStack, so that IAM is asked and calls are counted."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from .callers import Caller
from .errors import ServiceError

if TYPE_CHECKING:
    from .model import Account


def clients(caller: Caller, role: str, execution_id: str, account: "Account") -> Callable[[str], object]:
    """Gives a boto3 client for a service's name: under the role that an execution assumes, or as the caller itself.

    Raises ``InvalidAutomationExecutionParametersException`` for a role that does not let Systems Manager assume it.
    """
    from localstack.aws.connect import connect_to

    if not role:
        keys = {"aws_access_key_id": caller.access_key_id, "aws_secret_access_key": caller.secret, "aws_session_token": caller.token}
    else:
        source = f"arn:{account.partition}:ssm:{account.region}:{account.account}:automation-execution/{execution_id}"
        sts = connect_to(region_name=account.region).sts.request_metadata(service_principal="ssm", source_arn=source)
        try:
            made = sts.assume_role(RoleArn=role, RoleSessionName=f"Automation-{execution_id}")["Credentials"]
        except ClientError as error:
            raise ServiceError(
                "InvalidAutomationExecutionParametersException", "The defined assume role is unable to be assumed."
            ) from error
        keys = {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
            "aws_session_token": made["SessionToken"],
        }
    return lambda service: connect_to(region_name=account.region, **keys).get_client(service=service)
