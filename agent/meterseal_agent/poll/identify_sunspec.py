"""Who a SunSpec device is: its models by discovery, or where the configuration says they are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import Request
from meterseal_agent.errors import MeterError
from meterseal_agent.poll.discover import Device, discover, headers_at
from meterseal_agent.poll.known import Known, Read, Sentinel
from meterseal_agent.profiles.sunspec import HEADER, sunspec_layout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal_agent.config import MeterConfig
    from meterseal_agent.profiles import Profile

_log = logging.getLogger(__name__)


async def identify_sunspec(read: Read, meter: MeterConfig, profile: Profile) -> Known:
    """Find the models of a device, and who it says it is.

    Raises:
        BusError: The line failed.
        MeterError: It has no SunSpec map, none of the profile's models, or another maker.
    """
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
