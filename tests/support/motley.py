"""A line with meters of several makers, each deaf to every speed but its own.

Registers hold what the golden vectors say, and nothing else: the rest is refused. The vectors are
typed by hand from documents, so the meters here are not made by what reads them.
"""

from __future__ import annotations

import asyncio
import os
import struct
import termios
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from meterseal_agent.bus.port import ModbusPort
from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.scan.progress import Quiet
from meterseal_agent.scan.scan import Scan, Target
from meterseal_agent.scan.settings import SERIAL_TIMEOUT_S as TIMEOUT_S
from meterseal_agent.scan.settings import patient
from meterseal_simulator.bus import Bus
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.port import PtyPort
from meterseal_simulator.registers import RegisterSlave, Slave, place
from meterseal_simulator.virtual import VirtualLoop, VirtualTerminal
from support.golden import load_vector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from meterseal_agent.bus.settings import Line as BusLine
    from meterseal_agent.bus.settings import Parity
    from meterseal_agent.profiles import Profile
    from meterseal_agent.scan.found import LineReport
    from meterseal_simulator.modbus import Request
    from meterseal_simulator.reply import Reply
    from meterseal_simulator.virtual import _World

SPEEDS = {
    1200: termios.B1200,
    2400: termios.B2400,
    4800: termios.B4800,
    9600: termios.B9600,
    19200: termios.B19200,
    38400: termios.B38400,
    57600: termios.B57600,
    115200: termios.B115200,
}
PORT = "virtual://line"
TIMING = LineTiming(baud=19200, turnaround_s=0.02)
_OUTPUT_SPEED = 5


def golden_slave(name: str, *, limit: int = 125, **changed: tuple[int, int, str]) -> RegisterSlave:
    """Make a meter from a golden vector.

    Args:
        name: Of the map.
        limit: The most registers that one request may ask for.
        changed: Identity words by key in the vector's place: function, address, hex words.
    """
    vector = load_vector(name)
    images: dict[int, dict[int, int]] = {3: {}, 4: {}}
    # A further row of a quantity (an overflow, say) tells of another moment.
    for row in sorted(vector.rows, key=lambda row: row.value is None):
        if row.address not in images[row.function]:
            place(images[row.function], row.address, _words(row.words))
            if row.scale_address is not None:
                place(images[row.function], row.scale_address, _words(row.scale))
    for told in vector.identity.values():
        place(images[told.function], told.address, _words(told.words))
    for function, address, words in changed.values():
        place(images[function], address, _words(bytes.fromhex(words)))
    return RegisterSlave({3: lambda: images[3], 4: lambda: images[4]}, limit=limit)


def _words(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


@dataclass(kw_only=True)
class MotleyLine:
    """The slaves, what each listens to, and every request that was heard.

    Attributes:
        bus: Arm faults here.
        settings: Speed and parity by address.
        current: What the master has set now; no parity where the line has none.
    """

    bus: Bus
    settings: Mapping[int, Setting]
    current: Callable[[], tuple[int, str | None]]
    port: str = ""
    requests: list[Request] = field(default_factory=list)

    @property
    def functions(self) -> set[int]:
        return {request.pdu[0] for request in self.requests}

    def answer(self, request: Request) -> Reply | None:
        self.requests.append(request)
        wanted = self.settings.get(request.unit)
        baud, parity = self.current()
        if wanted is None or wanted[0] != baud or parity not in (None, wanted[1]):
            return None
        return self.bus.answer(request)


Setting = tuple[int, str]
Meters = Mapping[int, tuple[Setting, Slave]]


def motley(meters: Meters, current: Callable[[], tuple[int, str | None]]) -> MotleyLine:
    bus = Bus({unit: slave for unit, (_, slave) in meters.items()})
    settings = {unit: setting for unit, (setting, _) in meters.items()}
    return MotleyLine(bus=bus, settings=settings, current=current)


@contextmanager
def pty_line(folder: Path, meters: Meters) -> Iterator[MotleyLine]:
    """Serve meters at a pseudo-terminal, in real time. It keeps a speed and no parity."""
    link = folder / "ttyRS485"

    def current() -> tuple[int, str | None]:
        terminal = os.open(link, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            speed = termios.tcgetattr(terminal)[_OUTPUT_SPEED]
        finally:
            os.close(terminal)
        return next(baud for baud, known in SPEEDS.items() if known == speed), None

    line = motley(meters, current)
    line.port = str(link)
    port = PtyPort(Line(TIMING, line.answer), link)
    port.start()
    try:
        yield line
    finally:
        port.close()


class EchoingTerminal(VirtualTerminal):
    """An adapter that hands back what it sends, each byte when it has left."""

    def __init__(self, line: Line) -> None:
        super().__init__(line)
        self._echo: list[tuple[float, int]] = []

    def due(self) -> float | None:
        times = [at for at in (super().due(),) if at is not None]
        return min([*times, *(at for at, _ in self._echo)], default=None)

    def advance(self, now: float) -> None:
        while self._echo and self._echo[0][0] <= now:
            self._buffer.append(self._echo.pop(0)[1])
        super().advance(now)

    def write(self, data: bytes, world: _World) -> None:
        super().write(data, world)
        character_s = self.line.timing.character_s
        self._echo += [(world.now + (at + 1) * character_s, one) for at, one in enumerate(data)]


class VirtualScan:
    """A scan of one line in virtual time: nobody waits.

    Attributes:
        meters: The line; arm its faults before `run`.
        seconds: How long the scan took, by the line's clock.
        plugged: The adapter is there.
        echoes: The adapter hands back what it sends.
    """

    def __init__(self, meters: Meters, timing: LineTiming = TIMING) -> None:
        self.meters = motley(meters, lambda: (self._line.baud, self._line.parity))
        self.seconds = 0.0
        self.plugged = True
        self.echoes = False
        self._line = SerialLine(port=PORT)
        self._wire = Line(timing, self.meters.answer)

    def run(
        self, *settings: Setting, units: Sequence[int], profiles: Sequence[Profile]
    ) -> tuple[LineReport, ...]:
        lines = tuple(
            patient(SerialLine(port=PORT, baud=baud, parity=cast("Parity", parity)), TIMEOUT_S)
            for baud, parity in settings
        )
        target = Target(lines=lines, units=tuple(units))
        scan = Scan([target], profiles, Quiet(), self._open)
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, VirtualLoop)
            if self.plugged:
                terminal = EchoingTerminal if self.echoes else VirtualTerminal
                loop.plug("line", terminal(self._wire))
            runner.run(scan.run())
            self.seconds = loop.time()
        return tuple(scan.reports[0])

    def _open(self, line: BusLine) -> ModbusPort:
        assert isinstance(line, SerialLine)
        self._line = line
        # Who talks at another speed talks in characters of that speed.
        self._wire.timing = replace(self._wire.timing, baud=line.baud, parity=line.parity)
        return ModbusPort(line)
