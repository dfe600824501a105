"""How long a meter lets itself be waited for, learned from its own replies.

- Until a meter is known it gets the line's timeout, or its profile's where that is longer.
- Then it gets four times its slowest reply of the last hundred, never less than its profile asks
  for (the line's timeout where the profile says nothing), never more than four times what it began
  with.
- A reply that came after its time counts too, so that a meter that has become slow is waited for.
"""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass, field

# The 99th percentile of 99 replies is the slowest.
_REPLIES = 99
_REPLIES_MIN = 20
_MARGIN = 4


@dataclass(kw_only=True, slots=True)
class Latency:
    """The replies of one meter.

    Attributes:
        least_s: Shortest timeout: the profile's, else the line's.
        start_s: Timeout of a meter that is not known yet.
    """

    least_s: float
    start_s: float
    _replies_s: deque[float] = field(default_factory=lambda: deque(maxlen=_REPLIES), init=False)

    def note(self, latency_s: float) -> None:
        """Note how long a reply was waited for, frames not counted."""
        self._replies_s.append(max(0.0, latency_s))

    @property
    def timeout_s(self) -> float:
        """Longest wait for the next reply, frames not counted."""
        wanted_s = _MARGIN * max(self._replies_s, default=0.0)
        floor_s = self.least_s if len(self._replies_s) >= _REPLIES_MIN else self.start_s
        return min(max(wanted_s, floor_s), _MARGIN * self.start_s)

    @property
    def usual_s(self) -> float | None:
        """Median wait, or None while too few replies are known to plan by."""
        if len(self._replies_s) < _REPLIES_MIN:
            return None
        return statistics.median(self._replies_s)
