"""The bed's one clock: virtual time runs `factor` times as fast as the wall clock, from the bed's start.

Everything in the bed that waits, times out or stamps asks this clock, and the program under test reads the same two variables, so a
three-day approval takes seconds and both sides agree on what time it is.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

EPOCH_VARIABLE = "WINDLASS_CLOCK_EPOCH"
"""Environment variable: unix seconds (float) at which virtual and real time were equal."""

FACTOR_VARIABLE = "WINDLASS_CLOCK_FACTOR"
"""Environment variable: virtual seconds per real second (float, at least 1; default 1)."""


@dataclass(frozen=True)
class Clock:
    """Virtual time. `epoch` is unix seconds, `factor` virtual seconds per real second."""

    epoch: float = 0.0
    factor: float = 1.0

    def __post_init__(self) -> None:
        if not self.factor >= 1.0:
            raise ValueError(f"{FACTOR_VARIABLE} must be at least 1, not {self.factor}")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Clock":
        """The clock that the environment describes. Raises ValueError for a factor without an epoch: two processes that each took
        their own start as epoch would disagree on the time."""
        factor = float(environ.get(FACTOR_VARIABLE) or 1.0)
        epoch = environ.get(EPOCH_VARIABLE)
        if not epoch and factor != 1.0:
            raise ValueError(f"{FACTOR_VARIABLE} needs {EPOCH_VARIABLE}, the instant at which virtual time starts")
        return cls(float(epoch or 0.0), factor)

    def now(self) -> float:
        """The virtual instant, unix seconds."""
        return self.epoch + (time.time() - self.epoch) * self.factor

    def real(self, seconds: float) -> float:
        """How many real seconds a virtual duration takes."""
        return seconds / self.factor

    def until(self, instant: float) -> float:
        """Real seconds from now to a virtual instant; 0 when it has passed."""
        return max(0.0, self.real(instant - self.now()))

    def environment(self) -> dict[str, str]:
        """The variables that hand this clock to another process."""
        return {EPOCH_VARIABLE: repr(self.epoch), FACTOR_VARIABLE: repr(self.factor)}
