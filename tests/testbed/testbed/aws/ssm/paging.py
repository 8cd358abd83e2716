"""Pages of a listing: NextToken names the last item given, so that newer items do not shift the rest."""

import base64
import binascii
from collections.abc import Callable, Sequence

from .errors import ServiceError


def page(items: Sequence, request: dict, key: Callable[[object], str], default: int = 50) -> tuple[list, str | None]:
    """(the items of this page, NextToken or None); ``InvalidNextToken`` for a token of another listing."""
    start = 0
    if token := request.get("NextToken"):
        after = _decode(token)
        start = next((i + 1 for i, item in enumerate(items) if key(item) == after), 0)
        if not start:
            raise ServiceError("InvalidNextToken", "The specified token is not valid.")
    size = request.get("MaxResults") or default
    chosen = list(items[start : start + size])
    more = start + size < len(items)
    return chosen, _encode(key(chosen[-1])) if more and chosen else None


def _encode(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _decode(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError) as error:
        raise ServiceError("InvalidNextToken", "The specified token is not valid.") from error
