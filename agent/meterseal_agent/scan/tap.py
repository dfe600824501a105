"""A port that counts how the requests of each length end: symptoms of the wires show there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meterseal_agent.bus.overheard import frames_in
from meterseal_agent.errors import MeterError, MissingReplyError, WrongReplyError
from meterseal_agent.scan.found import Tally

if TYPE_CHECKING:
    from meterseal_agent.bus.frame import Request
    from meterseal_agent.bus.port import Port
    from meterseal_agent.scan.found import LineReport


# Silence that ends what comes, and the longest wait for it.
_LULL_S = 0.05
_LULL_MAX_S = 0.5


class Tap:
    """Passes everything on to a port, and counts.

    Args:
        report: Where the counts are.
    """

    def __init__(self, port: Port, report: LineReport) -> None:
        self._port = port
        self._report = report

    async def open(self) -> None:
        """Open the port anew."""
        await self._port.open()

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def reset(self) -> None:
        """Throw away whatever was received and not asked for."""
        self._port.reset()

    async def exchange(self, request: Request, timeout_s: float) -> bytes:
        """Send one request, and count what comes of it.

        A refusal is as short as a reply to one register, whatever was asked.
        """
        try:
            words = await self._port.exchange(request, timeout_s)
        except MeterError:
            self._whole(request.unit, 1)
            raise
        except (MissingReplyError, WrongReplyError):
            # Nothing at all is silence; a whole frame that is not for us has other reasons.
            await still(self._port)
            if self._port.heard and not frames_in(self._port.heard):
                self._broken(request.unit, request.count)
            raise
        self._whole(request.unit, request.count)
        return words

    @property
    def alive(self) -> bool:
        """Whether the connection stands."""
        return self._port.alive

    @property
    def received(self) -> int:
        """Bytes received since the last reply or reset, which nobody asked for."""
        return self._port.received

    @property
    def heard(self) -> bytes:
        """These bytes, as far as they are kept."""
        return self._port.heard

    @property
    def warning(self) -> str:
        """What is unsafe about how the port is found; empty if nothing."""
        return self._port.warning

    @property
    def last_byte_s(self) -> float:
        """Event-loop time at which the last byte left or arrived."""
        return self._port.last_byte_s

    def _whole(self, unit: int, registers: int) -> None:
        self._report.tallies.setdefault(registers, Tally()).whole += 1
        self._report.units.setdefault(unit, Tally()).whole += 1

    def _broken(self, unit: int, registers: int) -> None:
        self._report.tallies.setdefault(registers, Tally()).broken += 1
        self._report.units.setdefault(unit, Tally()).broken += 1


async def still(port: Port) -> None:
    """Wait until nothing has come for a while, or for too long; not at all where nothing came."""
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + _LULL_MAX_S
    while port.received and (now_s := loop.time()) < ends_s:
        rest_s = port.last_byte_s + _LULL_S - now_s
        if rest_s <= 0:
            return
        await asyncio.sleep(rest_s)
