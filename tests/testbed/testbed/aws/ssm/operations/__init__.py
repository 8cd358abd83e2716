"""The operations of the API: each a function of (account, request) that gives the response as a dict.

Requests and responses have the shapes of the service model. ``call`` is what an endpoint mounts; an operation that is
not in ``OPERATIONS`` is refused as AWS refuses an unknown action.
"""

from collections.abc import Callable

from botocore.model import OperationModel

from .. import answers, constraints
from ..errors import unknown_operation
from ..model import Account, SystemsManager
from . import associations, automation, calendars, commands, compliance, documents, nodes, parameters, patching, tags

Operation = Callable[[Account, dict], dict]

OPERATIONS: dict[str, Operation] = {}
for _room in (associations, automation, calendars, commands, compliance, documents, nodes, parameters, patching, tags):
    OPERATIONS |= _room.OPERATIONS


def call(system: SystemsManager, operation: OperationModel, request: dict, account: str, region: str) -> dict:
    """Answers one request, or raises ``errors.ServiceError``."""
    function = OPERATIONS.get(operation.name)
    if function is None:
        raise unknown_operation()
    constraints.check(request, operation.input_shape)
    with system.lock:
        answer = function(system.account(account, region), request)
        return answers.check(answer, operation.output_shape)
