"""How much energy a meter can count: from its rating, or from what such meters usually carry.

The assumed rating is not a fact about the meter. One behind current transformers carries more, and
says so: where no rating is configured, the power that it shows in both of two readings counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from meterseal_agent.profiles import load_profile

if TYPE_CHECKING:
    from meterseal_agent.config import Config
    from meterseal_agent.profiles import Profile

# A meter connected directly carries 100 A a phase, at 230 V.
_PHASE_W = 23_000
_SECOND_PHASE = frozenset({"voltage_l2_mv", "power_l2_w", "current_l2_ma", "energy_import_l2_wh"})

MARGIN: Final = 2
"""Counters are late by as much as they like; a meter of 100 A survives 120 A."""
SLACK_WH: Final = 1000
"""What a counter may do in no time at all: many move in steps that their register does not show."""
_MS_PER_H = 3_600_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """Most active power that a meter can carry, in either direction.

    Attributes:
        configured: Somebody said so; else it is assumed.
        step_wh: What the coarsest of its billing registers counts by.
    """

    power_w: int
    configured: bool = False
    step_wh: int = 0

    def widened(self, before_w: int | None, now_w: int | None) -> Rating:
        """The rating, given what the meter shows as power in two readings."""
        if self.configured or before_w is None or now_w is None:
            return self
        shown_w = min(abs(before_w), abs(now_w))
        return self if shown_w <= self.power_w else replace(self, power_w=shown_w)

    def energy_wh(self, elapsed_ms: int) -> int:
        """Energy at this power in that time, rounded up."""
        return -(-self.power_w * elapsed_ms // _MS_PER_H)

    def most_wh(self, elapsed_ms: int) -> int:
        """Most that a counter may move in that time, besides two steps of its register."""
        return MARGIN * self.energy_wh(elapsed_ms) + SLACK_WH


def ratings(config: Config) -> tuple[Rating, ...]:
    """The rating of each configured meter, in order."""
    found = []
    for meter in config.meters:
        rating = assumed(load_profile(meter.profile))
        if meter.rated_w is not None:
            rating = replace(rating, power_w=meter.rated_w, configured=True)
        found.append(rating)
    return tuple(found)


def assumed(profile: Profile) -> Rating:
    """What a meter of this profile carries, if nobody says more."""
    three = any(point.name in _SECOND_PHASE for point in profile.quantities())
    steps = [math.ceil(abs(point.factor)) for point in profile.quantities() if point.billing]
    return Rating(power_w=_PHASE_W * (3 if three else 1), step_wh=max(steps, default=0))
