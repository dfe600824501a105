"""What a device is asked to learn its model: from profiles to a few reads, on data alone.

- A profile that knows a code or a type text is told by it: these reads come first, the one that
  tells most models apart before the others. All that a profile expects has to be there.
- A profile that only knows where a serial number stands is told by there being one.
- A profile without an identity is told by a frequency that its map has, else by a voltage: a hint,
  no proof.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal_agent.errors import MeterError
from meterseal_agent.poll.questions import fits
from meterseal_agent.profiles.model import Expectation, Field, Text, TextExpectation
from meterseal_agent.profiles.words import REGISTERS, number, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from fractions import Fraction

    from meterseal_agent.bus.frame import Function
    from meterseal_agent.profiles import Profile
    from meterseal_agent.profiles.model import Point

Told = Expectation | TextExpectation | Field | Text

# What mains show: 50 and 60 Hz, with what a generator may do to them; phase to neutral or to phase.
SIGNS: Final = {"frequency_mhz": range(45_000, 66_000), "voltage_l1_mv": range(80_000, 500_000)}
_BLANK: Final = 0x20
_DELETE: Final = 0x7F


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Probe:
    """A read that says something about the model."""

    function: Function
    address: int
    count: int

    def __str__(self) -> str:
        """Name it as the report does."""
        last = self.address + self.count - 1
        where = f"{self.address}" if self.count == 1 else f"{self.address}..{last}"
        return f"registers {where} (function {self.function})"


def identity_of(profile: Profile) -> tuple[Expectation | TextExpectation, ...]:
    """List what tells a profile's model from others."""
    return tuple(one for one in (profile.code, profile.text) if one is not None)


def probe_of(told: Told) -> Probe:
    """Say which registers have to be read."""
    field = told.field if isinstance(told, Expectation | TextExpectation) else told
    count = field.registers if isinstance(field, Text) else REGISTERS[field.word_type]
    return Probe(function=field.function, address=field.address, count=count)


def by_probe(asked: Iterable[tuple[Profile, Told]]) -> Mapping[Probe, tuple[Profile, ...]]:
    """Sort profiles by the read that speaks for them, the read that serves most of them first."""
    found: defaultdict[Probe, list[Profile]] = defaultdict(list)
    for profile, told in asked:
        found[probe_of(told)].append(profile)
    order = sorted(found, key=lambda probe: (-len(found[probe]), probe))
    return {probe: tuple(found[probe]) for probe in order}


def agrees(told: Told, words: bytes) -> bool:
    """Tell whether what was read is what a profile expects to be there."""
    # Some meters answer registers that they lack with zeros (volkszaehler/mbmd issue 63).
    if not any(words):
        return False
    match told:
        case TextExpectation():
            return fits(words, told)
        case Expectation():
            return _number(told.field, words) in told.expect
        case Text():
            return _looks_like_text(words)
        case Field():
            return bool(_number(told, words))


def sign_of(profile: Profile) -> Point | None:
    """Find the quantity of a map of fixed addresses by which mains show themselves best."""
    points = {point.name: point for point in profile.points}
    return next((points[name] for name in SIGNS if name in points), None)


def shows_mains(point: Point, words: bytes) -> bool:
    """Tell whether this can be what mains show."""
    value = _number(point.field, words)
    return value is not None and round(value * point.factor) in SIGNS[point.name]


def _number(field: Field, words: bytes) -> Fraction | None:
    try:
        return number(words, field.word_type, field.order, field.absent)
    except MeterError:
        return None


def _looks_like_text(words: bytes) -> bool:
    characters = words.rstrip(b"\0 \xff")
    printable = all(_BLANK <= one < _DELETE for one in characters)
    return printable and bool(text(words))
