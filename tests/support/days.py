"""Days that no sun and no household would make, to try the house's arithmetic on."""

from __future__ import annotations

import random
from array import array
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from meterseal_simulator.day import Day

if TYPE_CHECKING:
    from datetime import date

MIDSUMMER_MS = int(datetime(2026, 6, 21, tzinfo=UTC).timestamp() * 1000)


@cache
def wild_day(seed: int) -> Day:
    """Make a day in which sun and people jump every second."""
    draw = random.Random(seed)  # noqa: S311 - a test's dice

    def watts(most: int) -> array[int]:
        return array("q", [draw.randrange(most) for _ in range(86_400)])

    return Day(
        pv_mw=watts(4_600_000),
        dc_mw=(watts(3_000_000), watts(2_000_000)),
        load_mw=(watts(3_000_000), watts(2_000_000), watts(2_500_000)),
    )


def wild_almanac(day: date) -> Day:
    """Return one of two wild days."""
    return wild_day(day.toordinal() % 2)
