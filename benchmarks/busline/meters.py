"""The bench meters: three at 9600 baud 8N1, 34 quantities each in 0..0x181, silence t3.5.

The quantities lie so that the cheapest plan has five requests of 90 registers in all, at a
turnaround of 0 as of 20 ms: holes of 20 registers and more between the groups, of less within.
What the plan costs at best is worked out here by trying every way to cut, not by the planner that
is being measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Final

from meterseal.quantities import BY_CODE, BY_NAME
from meterseal.types import Hash
from meterseal_agent.bus.plan import Limits
from meterseal_agent.bus.settings import Pace, SerialLine
from meterseal_agent.profiles.model import Field, Point, Profile

if TYPE_CHECKING:
    from collections.abc import Iterable

UNITS = (1, 2, 3)
BAUD = 9600
REGISTERS_MAX = 80
SERIAL_AT = 0xFC00
FUNCTION: Final = 4
COUNTERS = {0x0048: "energy_import_wh", 0x004A: "energy_export_wh", 0x0034: "power_w"}
ADDRESSES = (
    *range(0x00, 0x12, 2),
    *(0x34, 0x38, 0x3C, 0x3E, 0x46, 0x48, 0x4A, 0x4C, 0x4E),
    *(0xEA, 0xEC, 0xEE, 0xF8),
    *(0x110, 0x112, 0x114),
    *(0x156, 0x15A, 0x15E, 0x160, 0x162, 0x164, 0x166, 0x168, 0x16A),
)
REGISTERS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What the wire costs: T(n) = 8c + g + turnaround + (5 + 2n)c + g, g = 3.5c."""

    turnaround_s: float
    character_s: float = 10 / BAUD

    def read_s(self, registers: int) -> float:
        """Time that a read takes the line."""
        c = self.character_s
        return 8 * c + 3.5 * c + self.turnaround_s + (5 + 2 * registers) * c + 3.5 * c

    def naive_s(self) -> float:
        """Time of a cycle that reads each quantity by itself."""
        return len(UNITS) * len(ADDRESSES) * self.read_s(REGISTERS)

    def limit_s(self) -> float:
        """Time of the cheapest cycle."""
        return len(UNITS) * self._cheapest_s(0)

    @cache  # noqa: B019 - frozen, and made twice in a run
    def _cheapest_s(self, first: int) -> float:
        """Try every last quantity of the request that begins with this one."""
        if first == len(ADDRESSES):
            return 0.0
        ways = []
        for last in range(first, len(ADDRESSES)):
            registers = ADDRESSES[last] + REGISTERS - ADDRESSES[first]
            if registers <= REGISTERS_MAX:
                ways.append(self.read_s(registers) + self._cheapest_s(last + 1))
        return min(ways)


def line_at(port: str) -> SerialLine:
    """The settings of a bench line; short waits, so that a dead meter is soon known."""
    return SerialLine(port=port, baud=BAUD, timeout_s=0.3, quiet_s=0.45)


def profile(*, merged: bool) -> Profile:
    """Make the map of the bench meters; unmerged, a request holds no more than one value."""
    limits = Limits(registers_max=REGISTERS_MAX, gap_max=REGISTERS_MAX, even=True)
    single = Limits(registers_max=REGISTERS, gap_max=0, even=True)
    return Profile(
        name="bench",
        make="Bench",
        model="34 quantities",
        hash=Hash(bytes(32)),
        map="bench",
        map_hash=Hash(bytes(32)),
        verified_on_hardware=False,
        sources=(),
        limits=limits if merged else single,
        pace=Pace(silence_s=0.0, timeout_s=0.0),
        points=tuple(_points()),
        serial=Field(function=3, address=SERIAL_AT, word_type="u32"),
    )


def _points() -> Iterable[Point]:
    codes = iter(code for code in BY_CODE if BY_CODE[code].name not in COUNTERS.values())
    for address in ADDRESSES:
        code = BY_NAME[COUNTERS[address]].code if address in COUNTERS else next(codes)
        quantity = BY_CODE[code]
        yield Point(
            code=code,
            name=quantity.name,
            field=Field(function=FUNCTION, address=address, word_type="f32"),
            factor=Fraction(1),
            unit=quantity.unit,
            billing=address in COUNTERS and quantity.unit == "Wh",
        )
