"""The house's own time: real time, from a chosen moment on, faster or slower by a factor."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ScaledClock:
    """Turns time that passes into time of the house.

    Args:
        start_ms: UTC milliseconds of the house at the moment this is made.
        speed: Simulated seconds in one real second.
        monotonic_ns: Where real time comes from.
    """

    def __init__(
        self,
        *,
        start_ms: int,
        speed: Fraction = Fraction(1),
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._start_ms = start_ms
        self._speed = speed
        self._monotonic_ns = monotonic_ns
        self._begun_ns = monotonic_ns()

    def now_ms(self) -> int:
        """Return UTC milliseconds of the house."""
        passed = (self._monotonic_ns() - self._begun_ns) * self._speed
        return self._start_ms + int(passed / 1_000_000)
