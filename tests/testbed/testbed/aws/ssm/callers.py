"""Who calls: the credentials of the request that is being answered, for what the service does later in the caller's name."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """Credentials of a caller, and the ARN that the service writes down for it. Never shown."""

    arn: str
    access_key_id: str
    secret: str = "unchecked"
    token: str | None = None

    def __repr__(self) -> str:
        return f"Caller({self.arn})"


#: Set by the endpoint for the time of a request.
CALLER: ContextVar[Caller] = ContextVar("caller", default=Caller("", ""))
