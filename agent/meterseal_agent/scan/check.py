"""Whether a model's plan can be read from the device: once, by the same reader as when polling."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from meterseal.quantities import BY_CODE
from meterseal_agent.bus.guard import Guard
from meterseal_agent.config import MeterConfig
from meterseal_agent.errors import BusError, MeterError, PortError
from meterseal_agent.poll.meter import MeterReader
from meterseal_agent.scan.found import Candidate, Proof
from meterseal_agent.scan.probes import SIGNS

if TYPE_CHECKING:
    from meterseal_agent.bus.port import Port
    from meterseal_agent.bus.settings import Line
    from meterseal_agent.profiles import Profile

# A line may garble a reply, and the reader learns from refusals: up to three of its canary, then
# one of a hole.
_TRIES = 6


async def check(port: Port, line: Line, unit: int, profile: Profile, proof: Proof) -> Candidate:
    """Read a device by a profile.

    Args:
        port: Of the line; the guard opens it anew, and closes it only when it is lost.
        line: With the timeout that the device needs.
        unit: Its address.
        profile: The model that it may be.
        proof: Why that is thought.

    Returns:
        What it said, with a flaw where it could not be read or makes no sense.

    Raises:
        PortError: The port or connection is lost.
    """
    slowest_s = max(line.timeout_s, profile.pace.timeout_s)
    guard = Guard(port, line, slowest_s=slowest_s, jitter=random.random)
    where = f"{line.label} address {unit}"
    meter = MeterConfig(
        name=where, bus=line.label, address=unit, profile=profile.name, role="load", where=where
    )
    reader = MeterReader(meter, profile, guard)
    flaw, values = "", {}
    for _ in range(_TRIES):
        try:
            reading = await reader.read(boundary=False)
        except PortError:
            raise
        except (BusError, MeterError) as error:
            flaw = str(error)
            continue
        read = reading.decoded.values
        values = {BY_CODE[code].name: one for code, one in read.items() if one is not None}
        flaw = _nonsense(values)
        break
    identity = reader.identity()
    return Candidate(
        profile=profile.name,
        make=identity.make,
        model=identity.model,
        direction=profile.direction,
        proof=proof,
        serial=identity.serial,
        firmware=identity.firmware,
        values=values,
        flaw=flaw,
    )


def _nonsense(values: dict[str, int]) -> str:
    """Say what no meter on a live grid shows; 0 is what an unwired phase shows."""
    if not values:
        return "expected values, got none: the device has none of them"
    for name, possible in SIGNS.items():
        value = values.get(name)
        if value and value not in possible:
            return f"{name}: expected {possible[0]} to {possible[-1]}, got {value}"
    return ""
