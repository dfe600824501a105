"""What a device is: asked in the order that needs the fewest requests.

1. By code or type text. The first read that fits profiles whose plan can then be read decides;
   profiles that expect the same are all named.
2. By SunSpec: the maker that model 1 names, and the models that there are.
3. By a serial number where a profile expects one.
4. By a frequency or voltage of mains where a profile expects it.

Only 1 and 2 prove a model, and only where one profile is left; the rest asks a person. A device
that leaves several questions in a row unanswered is not asked on.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import Request
from meterseal_agent.bus.guard import Guard
from meterseal_agent.bus.settings import Pace
from meterseal_agent.config import MeterConfig
from meterseal_agent.errors import BusError, MeterError, MissingReplyError, PortError
from meterseal_agent.poll.discover import Device, discover
from meterseal_agent.scan.check import check
from meterseal_agent.scan.found import Proof
from meterseal_agent.scan.probes import (
    Probe,
    agrees,
    by_probe,
    identity_of,
    probe_of,
    shows_mains,
    sign_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meterseal.types import Hash
    from meterseal_agent.bus.port import Port
    from meterseal_agent.bus.settings import Line
    from meterseal_agent.profiles import Profile
    from meterseal_agent.scan.found import Candidate

_TRIES = 3
_SILENT_MAX = 3
# Some meters want a pause between two requests (their profiles say up to 0.1 s).
_PACE = Pace(silence_s=0.03)
_SUNSPEC = "SunSpec at 40000, 0 and 50000 (function 3)"


class Identification:
    """One device. Owned by the scan of its line.

    Args:
        port: Of the line.
        line: With the timeout that the device needs.
        unit: Its address.
        profiles: Every model that is known.
    """

    def __init__(self, port: Port, line: Line, unit: int, profiles: Sequence[Profile]) -> None:
        self.tried: list[str] = []
        self._port = port
        self._line = line
        self._unit = unit
        self._fixed = [one for one in profiles if not one.sunspec]
        self._sunspec = [one for one in profiles if one.sunspec]
        self._guard = Guard(port, line, slowest_s=line.timeout_s, jitter=random.random)
        self._answers: dict[Probe, bytes | None] = {}
        self._silent = 0
        self._flawed: list[Candidate] = []

    async def run(self) -> tuple[Candidate, ...]:
        """Find what the device may be, the likeliest first.

        Raises:
            PortError: The port or connection is lost.
        """
        for step in (self._by_identity, self._by_sunspec, self._by_serial, self._by_values):
            if self._silent < _SILENT_MAX and (sound := await step()):
                return tuple(sorted(sound, key=_unlikeliness))
        # It says what it is, but cannot be read so: better than nothing.
        return tuple(self._flawed)

    async def _by_identity(self) -> list[Candidate]:
        asked = ((one, told) for one in self._fixed for told in identity_of(one)[:1])
        for probe, profiles in by_probe(asked).items():
            if await self._ask(probe) is None:
                continue
            fitting = [one for one in profiles if await self._fits(one)]
            if sound := await self._checked(fitting, Proof.IDENTITY):
                return sound
        return []

    async def _by_sunspec(self) -> list[Candidate]:
        self.tried.append(_SUNSPEC)
        device = await self._discover()
        if device is None:
            return []
        fitting = [one for one in self._sunspec if set(device.models) & one.model_numbers]
        makers = [one for one in fitting if one.text and device.make.startswith(one.text.expect)]
        others = [one for one in fitting if one.text is None]
        sound = await self._checked(makers, Proof.IDENTITY)
        return sound or await self._checked(others, Proof.IDENTITY)

    async def _by_serial(self) -> list[Candidate]:
        asked = ((one, one.serial) for one in self._fixed if one.serial and not identity_of(one))
        found = []
        for probe, profiles in by_probe(asked).items():
            words = await self._ask(probe)
            if words is None:
                continue
            fitting = [one for one in profiles if one.serial and agrees(one.serial, words)]
            found += await self._checked(fitting, Proof.SERIAL)
        return found

    async def _by_values(self) -> list[Candidate]:
        known = [one for one in self._fixed if not identity_of(one) and one.serial is None]
        asked = ((one, point.field) for one in known if (point := sign_of(one)))
        found = []
        for probe, profiles in by_probe(asked).items():
            words = await self._ask(probe)
            if words is None:
                continue
            points = ((one, sign_of(one)) for one in profiles)
            fitting = [one for one, point in points if point and shows_mains(point, words)]
            found += await self._checked(fitting, Proof.VALUES)
        return found

    async def _fits(self, profile: Profile) -> bool:
        """Tell whether all that tells the profile's model from others is there."""
        for told in identity_of(profile):
            words = await self._ask(probe_of(told))
            if words is None or not agrees(told, words):
                return False
        return True

    async def _checked(self, profiles: Iterable[Profile], proof: Proof) -> list[Candidate]:
        """Read the device by each profile; keep those that make sense of it."""
        sound = []
        read: dict[Hash, Candidate] = {}
        for profile in profiles:
            twin = None if profile.sunspec else read.get(profile.map_hash)
            if twin is None:
                candidate = await check(self._port, self._line, self._unit, profile, proof)
            else:  # Another model of the same map: what was read holds for it too.
                candidate = replace(
                    twin, profile=profile.name, make=profile.make, model=profile.model
                )
            read[profile.map_hash] = candidate
            if not candidate.flaw:
                sound.append(candidate)
            elif proof is Proof.IDENTITY:
                self._flawed.append(candidate)
            # Whatever the reader has left open must not pass for an answer to the next probe.
            self._guard.doubt(self._unit)
        return sound

    async def _discover(self) -> Device | None:
        where = f"{self._line.label} address {self._unit}"
        meter = MeterConfig(
            name=where, bus="", address=self._unit, profile="", role="load", where=where
        )
        wanted = frozenset().union(*(one.model_numbers for one in self._sunspec))
        for _ in range(_TRIES):
            try:
                return await discover(self._read, meter, wanted)
            except PortError:
                raise
            except MeterError:
                return None
            except BusError:
                self._silent += 1
        return None

    async def _ask(self, probe: Probe) -> bytes | None:
        """Read once what a probe asks for; None where the device refuses or is silent."""
        if probe in self._answers:
            return self._answers[probe]
        if self._silent >= _SILENT_MAX:
            return None
        self.tried.append(str(probe))
        request = Request(
            unit=self._unit, function=probe.function, address=probe.address, count=probe.count
        )
        self._answers[probe] = words = await self._try(request)
        return words

    async def _try(self, request: Request) -> bytes | None:
        for _ in range(_TRIES):
            try:
                words = await self._read(request)
            except PortError:
                raise
            except MissingReplyError:
                self._silent += 1
                return None
            except MeterError:
                self._silent = 0
                return None
            except BusError:
                continue
            self._silent = 0
            return words
        return None

    async def _read(self, request: Request) -> bytes:
        return (await self._guard.read(request, _PACE)).words


def _unlikeliness(one: Candidate) -> tuple[int, str]:
    """Put first the model that finds most values that are not zero."""
    return -sum(value != 0 for value in one.values.values()), one.profile
