"""What a house is made of: where it stands, what is on its roof, what lives in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A house in numbers.

    Attributes:
        latitude: Degrees north.
        longitude: Degrees east; it also gives the civil time by which people live, one hour for
            each 15 degrees and without summer time, so that no time zone database is needed.
        pv_kwp: Peak power of the two strings together; 0 for a house without PV.
        load_kwh_year: What the household uses in a year.
        battery_kwh: Usable capacity of the battery; 0 for none.
        seed: Two houses with one seed are the same house, clouds and kettles included.
    """

    latitude: float = 52.5
    longitude: float = 13.4
    altitude_m: float = 40.0
    pv_kwp: float = 5.0
    load_kwh_year: float = 3500.0
    battery_kwh: float = 0.0
    seed: int = 1

    @property
    def utc_offset_h(self) -> int:
        """Hours by which civil time is ahead of UTC."""
        return round(self.longitude / 15)
