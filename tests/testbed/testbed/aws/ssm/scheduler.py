"""Things that happen at a virtual instant, run lazily and in order.

There is no thread: whoever looks at the model first lets everything happen that is due
(``Scheduler.settle``). So a run's outcome does not depend on how the machine's threads are scheduled, and a
bed whose clock runs a thousand times as fast computes the same as one in real time.
"""

import heapq
import itertools
from collections.abc import Callable


class Scheduler:
    """A heap of (virtual instant, action), each run once, at its own instant."""

    def __init__(self, now: Callable[[], float]):
        self._clock = now
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._instant: float | None = None

    def now(self) -> float:
        """Virtual unix seconds; inside an action, the instant for which the action was due."""
        return self._clock() if self._instant is None else self._instant

    def at(self, instant: float, action: Callable[[], None]) -> None:
        """Runs ``action`` at the virtual ``instant`` (at once, when it has passed)."""
        heapq.heappush(self._heap, (instant, next(self._sequence), action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Runs ``action`` in ``seconds`` of virtual time."""
        self.at(self.now() + seconds, action)

    def settle(self) -> None:
        """Lets all happen that is due by now."""
        if self._instant is not None:
            return  # an action looked at the model: it sees what happened before it
        until = self._clock()
        try:
            while self._heap and self._heap[0][0] <= until:
                instant, _, action = heapq.heappop(self._heap)
                self._instant = instant
                action()
        finally:
            self._instant = None

    def clear(self) -> None:
        """Forgets all that is still to come."""
        self._heap.clear()
