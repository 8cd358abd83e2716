"""Errors of the Systems Manager API, independent of what serves them.

The codes are the shapes of the service model (botocore, ``ssm/2014-11-06``); all are client errors (HTTP 400)
but ``InternalServerError``.
"""


class ServiceError(Exception):
    """An answer of the service that is an error: ``code`` as in the service model, and its words."""

    def __init__(self, code: str, message: str = "", status: int = 400):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def validation(message: str) -> ServiceError:
    """What AWS answers when a request breaks a constraint of the service model."""
    return ServiceError("ValidationException", message)


def not_built(what: str) -> ServiceError:
    """Refuses a feature of a built operation that this bed does not have.

    AWS would accept it; to accept it here and do nothing would let a test pass on a lie.
    """
    return validation(f"The test bed's Systems Manager has no {what}")


def unknown_operation() -> ServiceError:
    """What AWS's JSON services answer to an action that they do not have."""
    return ServiceError(
        "UnknownOperationException", "The requested operation is not recognized by the service."
    )
