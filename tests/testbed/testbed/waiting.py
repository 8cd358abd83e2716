"""Waiting for a condition, with a deadline: what tests and the bed use in place of a sleep."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL_SECONDS = 0.02


class TimedOut(AssertionError):
    """A condition did not come true in time."""


def until(
    condition: Callable[[], T],
    timeout: float,
    what: str,
    *,
    interval: float = INTERVAL_SECONDS,
    ignoring: tuple[type[BaseException], ...] = (),
) -> T:
    """Calls `condition` until it answers something true, and answers that.

    `timeout` and `interval` are real seconds. `what` names the thing awaited, for the message. An exception among `ignoring` counts as
    "not yet"; any other passes through at once. Raises TimedOut with the last answer or the last ignored exception.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            last: object = condition()
            if last:
                return last  # type: ignore[return-value]
        except ignoring as error:
            last = error
        if time.monotonic() >= deadline:
            raise TimedOut(f"waited {timeout:g} s for {what}; last seen: {last!r}")
        time.sleep(interval)
