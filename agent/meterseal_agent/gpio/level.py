"""From the edges of a bouncing contact to levels that held: pure, told the time."""

from __future__ import annotations

import threading
from collections.abc import Callable

Clock = Callable[[], int]
"""Monotonic nanoseconds."""


class Level:
    """The level of an input: that which last held for long enough.

    Attributes:
        active: The level that counts.
    """

    def __init__(self, hold_ns: int, now_ns: int, *, active: bool) -> None:
        self.active = active
        self._hold_ns = hold_ns
        self._shown = active
        self._since_ns = now_ns

    def edge(self, now_ns: int, *, active: bool) -> bool | None:
        """Note what the input shows from now on.

        Returns:
            The new level, if what it showed until now held for long enough to be one; else None.
        """
        changed = self.settle(now_ns)
        if active is not self._shown:
            self._shown, self._since_ns = active, now_ns
        return changed

    def settle(self, now_ns: int) -> bool | None:
        """Return the new level, if what the input shows has held for long enough by now."""
        if self._shown is self.active or now_ns - self._since_ns < self._hold_ns:
            return None
        self.active = self._shown
        return self.active


class Pulses:
    """Counts pulses; edges come from gpiozero's thread, questions from the agent's."""

    def __init__(self, hold_ns: int, clock: Clock, *, active: bool) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._level = Level(hold_ns, clock(), active=active)  # owned by whoever has the lock
        self._count = 0

    def edge(self, *, active: bool) -> None:
        """Note an edge."""
        with self._lock:
            self._count += self._level.edge(self._clock(), active=active) is True

    def count(self) -> int:
        """Pulses since the start; one that holds now counts as soon as it has held."""
        with self._lock:
            self._count += self._level.settle(self._clock()) is True
            return self._count
