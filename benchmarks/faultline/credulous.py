"""The same line read without a guard: the first frame with a right checksum is believed.

What many a master does: empty the input, ask, take what comes. It shows that the weather is worth
guarding against; a line on which this client makes no mistake tests nothing.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import serial

from faultline.weather import Weather
from faultline.witness import Tally
from faultline.world import Scene, watched
from meterseal_simulator.faults import Trigger
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.modbus import EXCEPTION_BIT, crc16, rtu_frame
from meterseal_simulator.virtual import VirtualLoop, VirtualTerminal

if TYPE_CHECKING:
    from faultline.meters import Meter
    from faultline.witness import WatchedBus
    from meterseal_agent.profiles.model import Point

_PORT = "virtual://line"
_FRAME_MIN = 5
_WORDS = slice(3, 7)


def run_credulous(scene: Scene, seed: str, count: int) -> Tally:
    """Read a line in virtual time until so many faults have happened, and believe everything."""
    tally = Tally()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)  # noqa: S101 - made by this factory
        bus = watched(scene, loop.time)
        line = Line(LineTiming(baud=scene.baud, turnaround_s=scene.turnaround_s), bus.answer)
        loop.plug("line", VirtualTerminal(line, latency_s=scene.latency_s))
        weather = Weather(
            seed, bus, tally, quiet_s=lambda: 1.5 * scene.timeout_s, now=loop.time, limit=count
        )
        bus.faults.arm(weather, Trigger(times=None))
        runner.run(_read_all(scene, bus, tally, count))
    return tally


async def _read_all(scene: Scene, bus: WatchedBus, tally: Tally, count: int) -> None:
    dice = random.Random(0)  # noqa: S311 - not a secret
    while tally.faults < count:
        bus.begin_round()
        try:
            port = serial.serial_for_url(_PORT)
        except serial.SerialException:
            await asyncio.sleep(1)
            continue
        try:
            for unit, meter in scene.meters.items():
                for point in meter.profile.points:
                    heard = await _ask(port, unit, meter, point, scene.timeout_s)
                    _believe(tally, bus, unit, meter, point, heard)
        except serial.SerialException:
            await asyncio.sleep(1)
        finally:
            port.close()
        await asyncio.sleep(dice.random())


async def _ask(
    port: serial.Serial, unit: int, meter: Meter, point: Point, timeout_s: float
) -> bytes | None:
    """Ask for one value; return the first frame with a right checksum."""
    loop = asyncio.get_running_loop()
    pdu = bytes([meter.function]) + point.field.address.to_bytes(2) + b"\0\2"
    heard = bytearray()
    came = asyncio.Event()

    def take() -> None:
        try:
            heard.extend(port.read(1024))
        except serial.SerialException:
            loop.remove_reader(port.fileno())
        came.set()

    port.reset_input_buffer()
    port.write(rtu_frame(unit, pdu))
    loop.add_reader(port.fileno(), take)
    try:
        async with asyncio.timeout(timeout_s):
            while (frame := first_frame(bytes(heard))) is None:
                came.clear()
                await came.wait()
    except TimeoutError:
        return None
    finally:
        loop.remove_reader(port.fileno())
    return frame


def first_frame(heard: bytes) -> bytes | None:
    """Find the first reply whose checksum is right, whatever it answers."""
    for start in range(len(heard) - _FRAME_MIN + 1):
        rest = heard[start:]
        length = _FRAME_MIN if rest[1] & EXCEPTION_BIT else _FRAME_MIN + rest[2]
        if length <= len(rest) and crc16(rest[:length]) == 0:
            return rest[:length]
    return None


def _believe(  # noqa: PLR0913, PLR0917 - what a value is
    tally: Tally, bus: WatchedBus, unit: int, meter: Meter, point: Point, frame: bytes | None
) -> None:
    if frame is None or frame[1] & EXCEPTION_BIT or len(words := frame[_WORDS]) < 4:  # noqa: PLR2004
        return
    said = bus.said(unit, point.field.function, point.field.address)
    tally.values += 1
    tally.wrong += meter.decode(point, words) not in {meter.decode(point, one) for one in said}
