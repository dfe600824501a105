"""One UTC day of a house, precomputed: powers that hold for one second each, in whole mW."""

from __future__ import annotations

import warnings
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from meterseal_simulator.load import load_day
from meterseal_simulator.sun import pv_day

if TYPE_CHECKING:
    from datetime import date

    import numpy as np
    from numpy.typing import NDArray

    from meterseal_simulator.site import Site

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """What sun and people do on one UTC day, for each of its seconds.

    Attributes:
        pv_mw: AC power of the inverter.
        dc_mw: DC power of each string.
        load_mw: Power used on each phase.
    """

    pv_mw: array[int]
    dc_mw: tuple[array[int], array[int]]
    load_mw: tuple[array[int], array[int], array[int]]


class Almanac(Protocol):
    """Whatever knows what happens on a day."""

    def __call__(self, day: date, /) -> Day:
        """Return the day."""
        ...


class SiteAlmanac:
    """The days of a site; the last one is kept, because it is asked for again each second."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kept: tuple[date, Day] | None = None

    def __call__(self, day: date, /) -> Day:
        """Compute the day, or return the one kept. Takes some 50 ms once a day."""
        if self._kept is None or self._kept[0] != day:
            self._kept = (day, _compute(self._site, day))
        return self._kept[1]


def _compute(site: Site, day: date) -> Day:
    with warnings.catch_warnings():
        # pvlib 0.16 and demandlib 0.2 use calls that pandas 3 deprecates; the lock holds pandas.
        warnings.simplefilter("ignore")
        pv = pv_day(site, day)
        load = load_day(site, day)
    return Day(
        pv_mw=_plain(pv.ac_mw),
        dc_mw=(_plain(pv.dc_mw[0]), _plain(pv.dc_mw[1])),
        load_mw=(_plain(load[0]), _plain(load[1]), _plain(load[2])),
    )


def _plain(values: NDArray[np.int64]) -> array[int]:
    """Turn numpy's integers into Python's, which never overflow and cost less one by one."""
    return array("q", values.tobytes())
