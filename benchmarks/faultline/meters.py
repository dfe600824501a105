"""The meters of the line: every register different from every other, and from itself a second ago.

A reply that is taken for another, or comes from earlier, therefore shows. The maps are hostile:

- `twin`: all requests, that of the serial number included, have one unit, function and length, so
  that every late reply has the form of whatever is asked later.
- `nameless`: the same without a serial number; only silence can prove its values.
- `megawatt`: an SDM630 that is set to megawatt-hours and reversed words.
- `reticent`: an SDM630 in megawatt-hours that refuses to tell word order and serial number.
- `sdm230`: as it comes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from meterseal_agent.profiles import load_profile
from meterseal_agent.profiles.load import parse_profile
from meterseal_simulator.registers import RegisterSlave, u32

if TYPE_CHECKING:
    from meterseal_agent.profiles import Profile
    from meterseal_agent.profiles.model import Point

_SERIAL = 0x0040
_TWIN = """
id = "{name}"
kind = "registers"
make = "Bench"
model = "{name}"
verified_on_hardware = false
[[source]]
kind = "standard"
name = "made for this benchmark"
where = "benchmarks/faultline/meters.py"
[line]
registers_max = 2
silence_ms = 0
[map]
base = 0
function = 3
type = "f32"
order = "big"
{identity}
[quantities]
voltage_l1_mv = {{ address = 0x0000, unit = "V" }}
power_w = {{ address = 0x0010, unit = "W" }}
energy_import_wh = {{ address = 0x0020, unit = "kWh", billing = true }}
energy_export_wh = {{ address = 0x0030, unit = "kWh", billing = true }}
"""
_IDENTITY = f'[identity]\nserial = {{ function = 3, address = {_SERIAL}, type = "u32" }}\n'
_ENERGY_UNITS = frozenset({"kWh", "kvarh"})
_MARKER = 2141.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Meter:
    """One meter of the line.

    Attributes:
        settings: Holding registers apart from the values: identity and set-up.
        reverse: Its words come least significant first.
        mega: Its energies are in MWh.
        function: With which its values are read.
    """

    profile: Profile
    settings: Mapping[int, int]
    function: int = 4
    reverse: bool = False
    mega: bool = False

    def decode(self, point: Point, words: bytes) -> int:
        """Say what a quantity is, independently of the agent's decoder."""
        high, low = words[:2], words[2:]
        value = Fraction(struct.unpack(">f", low + high if self.reverse else high + low)[0])
        energy = point.unit in _ENERGY_UNITS
        return round(value * point.factor * (1000 if self.mega and energy else 1))


class _Values(Mapping[int, int]):
    """Registers as they stand at this moment: computed when asked for."""

    def __init__(self, meter: Meter, unit: int, energies: frozenset[int], second: int) -> None:
        self._meter = meter
        self._unit = unit
        self._energies = energies
        self._second = second

    def __getitem__(self, address: int) -> int:
        first = address & ~1
        value: float = 4 * first + self._unit + (self._second % 1000) / 1000
        if first in self._energies:
            value = 1000 * self._unit + first + self._second / 1000
            if self._meter.mega:
                value /= 1000
        words: tuple[int, int] = struct.unpack(">HH", struct.pack(">f", value))
        high, low = words
        return high if (address & 1) == self._meter.reverse else low

    def __iter__(self) -> Iterator[int]:
        return iter(range(0x0400))

    def __len__(self) -> int:
        return 0x0400


def slave_of(meter: Meter, unit: int, now: Callable[[], float]) -> RegisterSlave:
    """Make the slave that shows a meter's registers."""
    energies = frozenset(
        point.field.address for point in meter.profile.points if point.unit in _ENERGY_UNITS
    )

    def values() -> Mapping[int, int]:
        shown = _Values(meter, unit, energies, int(now()))
        return _Both(meter.settings, shown) if meter.function == _HOLDING else shown

    images = {meter.function: values}
    if meter.function != _HOLDING:
        images[_HOLDING] = lambda: meter.settings
    return RegisterSlave(images, limit=125)


_HOLDING = 3


class _Both(Mapping[int, int]):
    """Settings, and values where there are none."""

    def __init__(self, settings: Mapping[int, int], values: Mapping[int, int]) -> None:
        self._settings = settings
        self._values = values

    def __getitem__(self, address: int) -> int:
        found = self._settings.get(address)
        return self._values[address] if found is None else found

    def __iter__(self) -> Iterator[int]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def twin(number: int, *, named: bool = True) -> Meter:
    """Make a meter all of whose requests look alike."""
    name = "bench-twin" if named else "bench-nameless"
    text = _TWIN.format(name=name, identity=_IDENTITY if named else "")
    profile = parse_profile(text.encode(), Path(f"{name}.toml"))
    settings = dict(enumerate(u32(number), _SERIAL)) if named else {}
    return Meter(profile=profile, settings=settings, function=3)


def sdm(model: str, number: int | None, *, mega: bool = False, reverse: bool = False) -> Meter:
    """Make an Eastron meter; without a number it refuses to tell who it is and its word order."""
    settings: dict[int, int] = {}
    _put(settings, 0x001E, 1.0 if mega else 0.0, reverse=reverse)
    if number is not None:
        settings |= dict(enumerate(u32(number), 0xFC00))
        _put(settings, 0x0028, _MARKER, reverse=reverse)
    profile = load_profile(f"eastron-{model}")
    return Meter(profile=profile, settings=settings, mega=mega, reverse=reverse)


def _put(settings: dict[int, int], address: int, value: float, *, reverse: bool) -> None:
    words = struct.unpack(">HH", struct.pack(">f", value))
    settings |= dict(enumerate(reversed(words) if reverse else words, address))
