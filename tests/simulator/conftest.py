"""A house whose weather is drawn by the test, and one whose weather is pvlib's."""

from __future__ import annotations

import random
from array import array
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from meterseal_simulator.day import Day, SiteAlmanac
from meterseal_simulator.house import House
from meterseal_simulator.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

MIDSUMMER_MS = int(datetime(2026, 6, 21, tzinfo=UTC).timestamp() * 1000)


def wild_day(seed: int) -> Day:
    """Make a day in which sun and people jump every second, harder than any real one."""
    draw = random.Random(seed)

    def watts(most: int) -> array[int]:
        return array("q", [draw.randrange(most) for _ in range(86_400)])

    return Day(
        pv_mw=watts(4_600_000),
        dc_mw=(watts(3_000_000), watts(2_000_000)),
        load_mw=(watts(3_000_000), watts(2_000_000), watts(2_500_000)),
    )


@pytest.fixture(scope="session")
def wild_almanac() -> Callable[[date], Day]:
    days = [wild_day(seed) for seed in range(2)]
    return lambda day: days[day.toordinal() % len(days)]


@pytest.fixture(scope="session")
def summer_house() -> House:
    """A real summer noon: PV, import and export are all above zero."""
    house = House(SiteAlmanac(Site()), start_ms=MIDSUMMER_MS)
    house.advance(MIDSUMMER_MS + 12 * 3_600_000)
    return house
