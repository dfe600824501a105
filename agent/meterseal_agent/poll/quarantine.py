"""Which meters of a bus are asked in a round, so that a dead one does not eat the time of others.

- A meter that was silent three rounds in a row rests, and so does one that is so slow that the
  rounds no longer fit their period.
- One resting meter is probed a round, the one that has waited longest; the pause before it is asked
  again grows from 10 seconds to a minute.
- While any meter of the bus is well, all probes together get 1 % of the bus: a probe that took
  2.6 s, the silence after it included, is followed by 260 s without one.

Decides on times that it is given; asks no clock and no meter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SILENT_ROUNDS = 3
_PAUSE_FIRST_S = 10.0
_PAUSE_LAST_S = 60.0
_SHARE = 0.01


@dataclass(kw_only=True, slots=True)
class _Case:
    """What speaks against one meter."""

    silent_rounds: int = 0
    rests: bool = False
    pause_s: float = _PAUSE_FIRST_S
    ask_at_s: float = 0.0
    message: str = ""


class Quarantine:
    """The resting meters of one bus. Owned by its owner task.

    Args:
        meters: Index of each meter of the bus in the configuration.
    """

    def __init__(self, meters: Iterable[int]) -> None:
        self._cases = {meter: _Case() for meter in meters}
        self._next_probe_s = 0.0

    def rests(self, meter: int) -> bool:
        """Tell whether a meter is asked by way of a probe only."""
        return self._cases[meter].rests

    def message(self, meter: int) -> str:
        """Say why it rests."""
        return self._cases[meter].message

    def probe(self, now_s: float) -> int | None:
        """Choose the resting meter that is asked in this round, if it is time for one."""
        if now_s < self._next_probe_s and not all(case.rests for case in self._cases.values()):
            return None
        due = [(case.ask_at_s, meter) for meter, case in self._cases.items() if case.rests]
        ask_at_s, meter = min(due, default=(now_s, None))
        return meter if ask_at_s <= now_s else None

    def well(self, meter: int) -> None:
        """Note that a meter answered as it should."""
        self._cases[meter] = _Case()

    def silent(self, meter: int, message: str, now_s: float, cost_s: float) -> None:
        """Note that a meter was silent.

        Args:
            meter: Its index.
            message: What failed.
            now_s: When it was given up.
            cost_s: How long that has kept the others from the bus.
        """
        case = self._cases[meter]
        case.silent_rounds += 1
        case.message = message
        if case.silent_rounds >= _SILENT_ROUNDS:
            self._rest(case, now_s, cost_s)

    def slow(self, meter: int, message: str, now_s: float, cost_s: float) -> None:
        """Note that a meter answered, but so slowly that the others are read too seldom."""
        case = self._cases[meter]
        case.message = message
        self._rest(case, now_s, cost_s)

    def _rest(self, case: _Case, now_s: float, cost_s: float) -> None:
        case.rests = True
        case.ask_at_s = now_s + case.pause_s
        case.pause_s = min(2 * case.pause_s, _PAUSE_LAST_S)
        self._next_probe_s = now_s + cost_s / _SHARE
