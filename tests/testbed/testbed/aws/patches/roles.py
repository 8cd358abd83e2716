"""Tasks run as their execution role, as Step Functions assumes it: for a state machine's ARN, under a session name of 32 letters.

The interpreter's clients are kept for as long as a session lasts, as AWS keeps them; the role's policies are evaluated at each call.
"""

import secrets
import string
import sys
import threading
from collections import OrderedDict

from testbed.aws.iam.principals import role_by_arn
from testbed.aws.settings import CLOCK

SESSION_SECONDS = 900.0
"""Virtual seconds that one session of an execution role is used for."""

LARGEST_CACHE = 512

_SOURCE = threading.local()
_CLIENTS: OrderedDict[tuple, tuple[float, object]] = OrderedDict()
_LOCK = threading.Lock()


def session_name() -> str:
    """A session name of the kind that Step Functions uses."""
    return "".join(secrets.choice(string.ascii_letters) for _ in range(32))


def forget() -> None:
    """Drops every session; the next task assumes its role anew."""
    with _LOCK:
        _CLIENTS.clear()


def boto_client_for(service: str, region: str, state_credentials) -> object:
    """A client with a session of the execution role. Raises ClientError AccessDenied when the role does not trust Step Functions."""
    source = getattr(_SOURCE, "arn", None)
    role = role_by_arn(state_credentials.role_arn)
    # A role that was deleted and made again is another role, whose sessions these are not.
    key = (service, region, state_credentials.role_arn, role and role.role["RoleId"], source)
    with _LOCK:
        expires, client = _CLIENTS.get(key, (0.0, None))
        if client is not None and CLOCK.now() < expires:
            _CLIENTS.move_to_end(key)
            return client
    client = _assume(service, region, state_credentials.role_arn, source)
    with _LOCK:
        _CLIENTS[key] = (CLOCK.now() + SESSION_SECONDS, client)
        while len(_CLIENTS) > LARGEST_CACHE:
            _CLIENTS.popitem(last=False)
    return client


def _assume(service: str, region: str, role_arn: str, source: str | None) -> object:
    from localstack.aws.connect import connect_to
    from localstack.services.stepfunctions.asl.utils import boto_client
    from localstack.utils.aws.client_types import ServicePrincipal

    sts = connect_to(region_name=region).sts.request_metadata(service_principal=ServicePrincipal.states, source_arn=source)
    credentials = sts.assume_role(RoleArn=role_arn, RoleSessionName=session_name())["Credentials"]
    factory = connect_to(
        region_name=region,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        config=boto_client._BOTO_CLIENT_CONFIG,
    )
    return factory.get_client(service=service)


def apply() -> None:
    """Puts these clients in the place of LocalStack's in every integration."""
    from localstack.services.stepfunctions import provider  # noqa: F401  loads the integrations
    from localstack.services.stepfunctions.asl.component.state.state_execution.execute_state import ExecutionState
    from localstack.services.stepfunctions.asl.utils import boto_client

    original = boto_client.boto_client_for
    for name, module in list(sys.modules.items()):
        if name.startswith("localstack.services.stepfunctions") and getattr(module, "boto_client_for", None) is original:
            module.boto_client_for = boto_client_for
    _note_sources(ExecutionState)


def _note_sources(execution_state: type) -> None:
    """Each evaluation of a state that can call something runs in a thread of its own: that thread notes for whom."""

    def noting(original):
        def _eval_execution(self, env) -> None:
            _SOURCE.arn = state_machine_arn(env)
            return original(self, env)

        return _eval_execution

    pending = [execution_state]
    while pending:
        cls = pending.pop()
        pending.extend(cls.__subclasses__())
        if "_eval_execution" in vars(cls) and not getattr(vars(cls)["_eval_execution"], "__isabstractmethod__", False):
            cls._eval_execution = noting(vars(cls)["_eval_execution"])


def state_machine_arn(env) -> str:
    """The ARN of the state machine that an environment runs, without version or map label."""
    arn = env.states.context_object.context_object_data["StateMachine"]["Id"]
    return ":".join(arn.split(":")[:7]).split("/")[0]
