"""How long to wait before connecting again: growing, jittered, and slow to forgive.

A broker that accepts a connection and drops it at once must not turn ten thousand gateways into
a storm, so a connection counts as good only after it has lasted (`facts`: emqx/emqx#935).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(kw_only=True, slots=True)
class Backoff:
    """Delays between attempts; owned by the publish task.

    Attributes:
        random: A number in [0, 1), drawn for every delay.
        first_s: Ceiling of the first delay.
        last_s: Ceiling of every later one.
        stable_s: How long a connection must last to count as good.
    """

    random: Callable[[], float]
    first_s: float = 1.0
    last_s: float = 300.0
    stable_s: float = 60.0
    _failures: int = 0

    def delay_s(self) -> float:
        """The next delay: between half and the whole of a ceiling that doubles."""
        # The exponent is bounded because a float overflows after a thousand failures.
        ceiling = min(self.last_s, self.first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return ceiling * (0.5 + 0.5 * self.random())

    def lasted(self, seconds: float) -> None:
        """A connection ended after `seconds`; a short one forgives nothing."""
        if seconds >= self.stable_s:
            self._failures = 0
