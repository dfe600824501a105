"""How often something from outside may make a record: in bursts, but not for ever.

Every event is logged by the aggregator for good. Whoever leans on a button, or a contact that
rattles in the wind, writes ten at once and then four an hour.
"""

from __future__ import annotations

BURST = 10
EVERY_S = 900
_NS_PER_S = 1_000_000_000


class Spacing:
    """A bucket of permissions that fills again slowly."""

    def __init__(self, burst: int = BURST, every_s: int = EVERY_S) -> None:
        self._burst = burst
        self._every_ns = every_s * _NS_PER_S
        self._left = burst
        self._filled_ns: int | None = None

    def allows(self, now_ns: int) -> bool:
        """Take one permission, if one is left."""
        self._fill(now_ns)
        if not self._left:
            return False
        self._left -= 1
        return True

    def wait_s(self, now_ns: int) -> float:
        """Seconds until the next permission; 0 if one is left."""
        self._fill(now_ns)
        if self._left or self._filled_ns is None:
            return 0.0
        return (self._filled_ns + self._every_ns - now_ns) / _NS_PER_S

    def _fill(self, now_ns: int) -> None:
        if self._filled_ns is None or self._left == self._burst:
            self._filled_ns = now_ns
        grown = (now_ns - self._filled_ns) // self._every_ns
        self._left = min(self._left + grown, self._burst)
        self._filled_ns += grown * self._every_ns
