"""Who a meter is and how it is set up: read once, before the first value is believed.

- A register that the meter refuses (it does not exist there) leaves the documented default; a
  register that answers something the map does not know stops everything: a wrong prefix would
  bill kilowatt-hours as megawatt-hours.
- The sentinel is the register that tells this meter from all others: its serial number, else its
  code, else a SunSpec header. It is read again whenever the line was in doubt.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meterseal.quantities import BY_CODE
from meterseal_agent.bus.frame import Request
from meterseal_agent.errors import MeterError, MeterExchangedError
from meterseal_agent.poll.discover import Device, discover, headers_at
from meterseal_agent.profiles.layout import Layout, make_layout
from meterseal_agent.profiles.model import Text
from meterseal_agent.profiles.sunspec import HEADER, sunspec_layout
from meterseal_agent.profiles.words import REGISTERS, arrange, number, text

if TYPE_CHECKING:
    from meterseal_agent.config import MeterConfig
    from meterseal_agent.profiles import Profile
    from meterseal_agent.profiles.model import Field, Point, TextExpectation
    from meterseal_agent.profiles.words import Order

_log = logging.getLogger(__name__)

Read = Callable[[Request], Awaitable[bytes]]

# "I do not have that": illegal function, address or value. Anything else is a fault.
_ABSENT_CODES = frozenset({1, 2, 3})
_TEXT_MAX = 32
_ENERGY_UNITS = frozenset({"Wh", "varh"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentinel:
    """A request whose reply never changes while the meter is the same."""

    request: Request
    words: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A meter that has said who it is.

    Attributes:
        sentinel: None when it has nothing that tells it from others.
    """

    make: str
    model: str
    serial: str
    firmware: str
    layout: Layout
    sentinel: Sentinel | None


async def identify(read: Read, meter: MeterConfig, profile: Profile) -> Known:
    """Ask a meter who it is, and plan how to read it.

    Raises:
        BusError: The line failed.
        MeterError: It is set up in a way the map does not know, or lacks what is asked of it.
        MeterExchangedError: It is not the meter that the configuration insists on.
    """
    if profile.sunspec:
        known = await _identify_sunspec(read, meter, profile)
    else:
        known = await _identify_registers(read, meter, profile)
    if meter.serial is not None and known.serial not in ("", meter.serial):
        raise MeterExchangedError(
            f'{meter.where} serial: expected the meter with serial number "{meter.serial}", '
            f'got "{known.serial}". Correct the key if the meter was exchanged on purpose.'
        )
    return replace(known, serial=known.serial or meter.serial or "")


async def optional(read: Read, request: Request) -> bytes | None:
    """Read registers that the meter may lack; None when it says so."""
    try:
        return await read(request)
    except MeterError as error:
        if error.code in _ABSENT_CODES:
            return None
        raise


async def _identify_registers(read: Read, meter: MeterConfig, profile: Profile) -> Known:
    order = await _word_order(read, meter, profile)
    factor = await _energy_factor(read, meter, profile, order)
    serial, sentinel = await _told(read, meter, profile.serial)
    coded = await _check_code(read, meter, profile)
    typed = await _check_text(read, meter, profile)
    firmware, _ = await _told(read, meter, profile.firmware)
    return Known(
        make=profile.make,
        model=profile.model,
        serial=serial,
        firmware=firmware,
        layout=register_layout(meter, profile, order, factor),
        sentinel=sentinel or coded or typed,
    )


def register_layout(
    meter: MeterConfig, profile: Profile, order: Order | None = None, factor: int = 1
) -> Layout:
    """Plan a map of fixed addresses, also for a meter that has not been asked yet.

    Args:
        meter: What the configuration wants of it.
        profile: Its map.
        order: Which word comes first, if the meter was set to something of its own.
        factor: By what its energy registers are multiplied.
    """
    points = [_adjusted(point, meter, order, factor) for point in _wanted(profile, meter)]
    return make_layout(meter.address, points, profile.limits)


def sentinel_request(meter: MeterConfig, profile: Profile) -> Request | None:
    """What will probably tell this meter from others, before it has been asked."""
    code, typed = profile.code, profile.text
    fields = (profile.serial, code.field if code else None, typed.field if typed else None)
    return next((_request(meter, field) for field in fields if field is not None), None)


def _wanted(profile: Profile, meter: MeterConfig) -> list[Point]:
    names = meter.quantities
    return [point for point in profile.points if names is None or point.name in names]


def _adjusted(point: Point, meter: MeterConfig, order: Order | None, factor: int) -> Point:
    """Apply what the configuration and the meter's own settings change."""
    field = replace(
        point.field,
        address=meter.registers.get(point.name, point.field.address),
        order=order or point.field.order,
    )
    energy = BY_CODE[point.code].unit in _ENERGY_UNITS
    return replace(point, field=field, factor=point.factor * (factor if energy else 1))


async def _word_order(read: Read, meter: MeterConfig, profile: Profile) -> Order | None:
    """Ask which word comes first; None leaves the map's own order."""
    setting = profile.order_setting
    if setting is None:
        return None
    words = await optional(read, _request(meter, setting.field))
    if words is None or not any(words):
        return None
    if words == setting.marker:
        return "big"
    if words == arrange(setting.marker, "little"):
        return "little"
    raise MeterError(
        f"{meter.where}: expected word order register {setting.field.address} to hold "
        f"{setting.marker.hex(' ', 2)} in either order, got {words.hex(' ', 2)}. "
        "Is this the right profile?"
    )


async def _energy_factor(
    read: Read, meter: MeterConfig, profile: Profile, order: Order | None
) -> int:
    """Ask by what the energy registers are multiplied."""
    setting = profile.prefix_setting
    if setting is None:
        return 1
    words = await optional(read, _request(meter, setting.field))
    if words is None:
        return 1
    value = number(words, setting.field.word_type, order or setting.field.order)
    if value is None or value.denominator != 1 or int(value) not in setting.factors:
        raise MeterError(
            f"{meter.where}: expected energy prefix register {setting.field.address} to hold one "
            f"of {', '.join(map(str, setting.factors))}, got {words.hex(' ', 2)}. "
            "Set it at the meter's display, or use the right profile."
        )
    return setting.factors[int(value)]


async def _told(
    read: Read, meter: MeterConfig, field: Field | Text | None
) -> tuple[str, Sentinel | None]:
    """Read what a meter says about itself: a number or a text; "" where it has none."""
    if field is None:
        return "", None
    request = _request(meter, field)
    words = await optional(read, request)
    if words is None:
        return "", None
    if isinstance(field, Text):
        said = text(words)[:_TEXT_MAX]
    else:
        value = number(words, field.word_type, field.order, field.absent)
        said = str(int(value)) if value else ""
    return said, Sentinel(request=request, words=words) if said else None


async def _check_code(read: Read, meter: MeterConfig, profile: Profile) -> Sentinel | None:
    code = profile.code
    if code is None:
        return None
    request = _request(meter, code.field)
    words = await optional(read, request)
    # Some Eastron meters answer registers that they lack with zeros instead of a refusal
    # (recorded in volkszaehler/mbmd issue 63).
    if words is None or not any(words):
        return None
    value = number(words, code.field.word_type, code.field.order)
    if value not in code.expect:
        expected = " or ".join(f"0x{one:04x}" for one in code.expect)
        raise MeterError(
            f"{meter.where} profile: expected meter code {expected} of a {profile.make} "
            f"{profile.model}, got 0x{words.hex()}. Choose the profile of the meter that is there."
        )
    return Sentinel(request=request, words=words)


async def _check_text(read: Read, meter: MeterConfig, profile: Profile) -> Sentinel | None:
    """Hold the type that the meter names itself against those of the profile."""
    if profile.text is None:
        return None
    request = _request(meter, profile.text.field)
    words = await optional(read, request)
    if words is None or not any(words):
        return None
    if not fits(words, profile.text):
        expected = " or ".join(f'"{one}"' for one in profile.text.expect)
        raise MeterError(
            f"{meter.where} profile: expected a type that begins with {expected} of a "
            f'{profile.make} {profile.model}, got "{text(words)}". '
            "Choose the profile of the meter that is there."
        )
    return Sentinel(request=request, words=words)


def fits(words: bytes, expectation: TextExpectation) -> bool:
    """Tell whether the characters begin with one of the expected texts."""
    return any(words.startswith(one.encode("ascii")) for one in expectation.expect)


async def _identify_sunspec(read: Read, meter: MeterConfig, profile: Profile) -> Known:
    if meter.models:
        found: Mapping[int, tuple[int, int]] = await headers_at(read, meter)
        first = min(meter.models.values())
        request = Request(unit=meter.address, function=3, address=first, count=HEADER)
        device = None
        sentinel: Sentinel | None = Sentinel(request=request, words=await read(request))
    else:
        device = await discover(read, meter, profile.model_numbers)
        _check_maker(device, meter, profile)
        found = device.models
        sentinel = None
        if device.serial_request is not None and any(device.serial_words):
            sentinel = Sentinel(request=device.serial_request, words=device.serial_words)
    names = None if meter.quantities is None else frozenset(meter.quantities)
    layout = sunspec_layout(meter.address, profile.models, found, profile.limits, names)
    if not layout.points:
        numbers = ", ".join(map(str, sorted(found))) or "none"
        raise MeterError(
            f"{meter.where} profile: expected one of the models of {profile.name}, got models "
            f"{numbers}. Choose another profile or address."
        )
    return Known(
        make=device.make if device else profile.make,
        model=device.model if device else profile.model,
        serial=device.serial if device else "",
        firmware=device.firmware if device else "",
        layout=layout,
        sentinel=sentinel,
    )


def _check_maker(device: Device, meter: MeterConfig, profile: Profile) -> None:
    """Refuse another maker's device where the profile is one maker's: signs may differ."""
    _log.info("%s: SunSpec models %s", meter.where, "; ".join(map(str, device.chain)) or "none")
    if profile.text is None or not device.make or device.make.startswith(profile.text.expect):
        return
    expected = " or ".join(profile.text.expect)
    raise MeterError(
        f"{meter.where} profile: expected a device made by {expected} for {profile.name}, got one "
        f'by "{device.make}". Choose the profile of its maker, or sunspec-inverter.'
    )


def _request(meter: MeterConfig, field: Field | Text) -> Request:
    count = field.registers if isinstance(field, Text) else REGISTERS[field.word_type]
    return Request(unit=meter.address, function=field.function, address=field.address, count=count)
