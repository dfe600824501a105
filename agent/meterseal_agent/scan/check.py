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

if TYPE_CHECKING:
    from meterseal_agent.bus.port import Port
    from meterseal_agent.bus.settings import Line
    from meterseal_agent.profiles import Profile

# The reader learns to read around holes from a refusal, and a line may garble one reply.
_TRIES = 3
# What a mains voltage and a grid's frequency may be, in mV and mHz.
_VOLTAGES_MV = range(80_000, 500_000)
_FREQUENCIES_MHZ = range(45_000, 66_000)


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
    for name, value in values.items():
        if name.startswith("voltage_l") and value and value not in _VOLTAGES_MV:
            return f"{name}: expected 80 to 500 V, got {value / 1000:g} V"
        if name == "frequency_mhz" and value and value not in _FREQUENCIES_MHZ:
            return f"{name}: expected 45 to 66 Hz, got {value / 1000:g} Hz"
    return ""
