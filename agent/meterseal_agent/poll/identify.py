"""Who a meter is and how it is set up: read once, before the first value is believed.

The sentinel is the register that tells this meter from all others: its serial number, else its
code or type, else a SunSpec header. It is read again whenever the line was in doubt.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal.quantities import BY_CODE
from meterseal_agent.errors import MeterExchangedError
from meterseal_agent.poll.identify_sunspec import identify_sunspec
from meterseal_agent.poll.known import Known, Read
from meterseal_agent.poll.questions import (
    check_code,
    check_text,
    energy_factor,
    request_for,
    told,
    word_order,
)
from meterseal_agent.profiles.layout import Layout, make_layout

if TYPE_CHECKING:
    from meterseal_agent.bus.frame import Request
    from meterseal_agent.config import MeterConfig
    from meterseal_agent.profiles import Profile
    from meterseal_agent.profiles.model import Point
    from meterseal_agent.profiles.words import Order

_ENERGY_UNITS = frozenset({"Wh", "varh"})


async def identify(read: Read, meter: MeterConfig, profile: Profile) -> Known:
    """Ask a meter who it is, and plan how to read it.

    Raises:
        BusError: The line failed.
        MeterError: It is set up in a way the map does not know, or lacks what is asked of it.
        MeterExchangedError: It is not the meter that the configuration insists on.
    """
    if profile.sunspec:
        known = await identify_sunspec(read, meter, profile)
    else:
        known = await _identify_registers(read, meter, profile)
    if meter.serial is not None and known.serial not in ("", meter.serial):
        raise MeterExchangedError(
            f'{meter.where} serial: expected the meter with serial number "{meter.serial}", '
            f'got "{known.serial}". Correct the key if the meter was exchanged on purpose.'
        )
    return replace(known, serial=known.serial or meter.serial or "")


async def _identify_registers(read: Read, meter: MeterConfig, profile: Profile) -> Known:
    order = await word_order(read, meter, profile)
    factor = await energy_factor(read, meter, profile, order)
    serial, sentinel = await told(read, meter, profile.serial)
    coded = await check_code(read, meter, profile)
    typed = await check_text(read, meter, profile)
    firmware, _ = await told(read, meter, profile.firmware)
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
    return next((request_for(meter, field) for field in fields if field is not None), None)


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
