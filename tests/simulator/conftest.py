"""States of the hardware that several tests start from."""

from __future__ import annotations

import pytest

from meterseal_simulator.day import SiteAlmanac
from meterseal_simulator.house import House, HouseState
from meterseal_simulator.site import Site
from support.days import MIDSUMMER_MS


@pytest.fixture(scope="session")
def noon() -> HouseState:
    """A summer noon after a summer morning: PV, import and export are all above zero."""
    house = House(SiteAlmanac(Site()), start_ms=MIDSUMMER_MS)
    house.advance(MIDSUMMER_MS + 12 * 3_600_000)
    return house.state
