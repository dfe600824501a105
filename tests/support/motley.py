"""A line with meters of several makers, each deaf to every speed but its own.

Registers hold what the golden vectors say, and nothing else: the rest is refused. The vectors are
typed by hand from documents, so the meters here are not made by what reads them.
"""

from __future__ import annotations

import os
import struct
import termios
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meterseal_simulator.bus import Bus
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.port import PtyPort
from meterseal_simulator.registers import RegisterSlave, place
from support.golden import load_vector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from meterseal_simulator.modbus import Request
    from meterseal_simulator.registers import Slave
    from meterseal_simulator.reply import Reply

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
    for row in vector.rows:
        # A further row of a quantity (an overflow, say) tells of another moment.
        if row.value is not None and row.address not in images[row.function]:
            place(images[row.function], row.address, _words(row.words))
    for told in vector.identity.values():
        place(images[told.function], told.address, _words(told.words))
    for function, address, words in changed.values():
        place(images[function], address, _words(bytes.fromhex(words)))
    return RegisterSlave({3: lambda: images[3], 4: lambda: images[4]}, limit=limit)


def _words(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


@dataclass(kw_only=True)
class MotleyLine:
    """The slaves, their speeds, and every request that reached one of them or none.

    Attributes:
        port: What the scan opens.
        bus: Arm faults here.
    """

    port: Path
    bus: Bus
    speeds: Mapping[int, int]
    requests: list[Request] = field(default_factory=list)

    @property
    def functions(self) -> set[int]:
        return {request.pdu[0] for request in self.requests}

    def answer(self, request: Request) -> Reply | None:
        self.requests.append(request)
        speed = self.speeds.get(request.unit)
        if speed is None or SPEEDS[speed] != self.speed():
            return None
        return self.bus.answer(request)

    def speed(self) -> int:
        """Read which speed the scan has set at its end of the pseudo-terminal."""
        terminal = os.open(self.port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            speed: int = termios.tcgetattr(terminal)[_OUTPUT_SPEED]
        finally:
            os.close(terminal)
        return speed


@contextmanager
def motley_line(
    folder: Path, slaves: Mapping[int, tuple[int, Slave]], turnaround_s: float = 0.02
) -> Iterator[MotleyLine]:
    """Serve slaves at a pseudo-terminal.

    Args:
        folder: Where the port's stable name is made.
        slaves: Speed and slave by address.
        turnaround_s: What each takes to begin its answer.
    """
    bus = Bus({unit: slave for unit, (_, slave) in slaves.items()})
    speeds = {unit: speed for unit, (speed, _) in slaves.items()}
    line = MotleyLine(port=folder / "ttyRS485", bus=bus, speeds=speeds)
    timing = LineTiming(baud=19200, turnaround_s=turnaround_s)
    port = PtyPort(Line(timing, line.answer), line.port)
    port.start()
    try:
        yield line
    finally:
        port.close()
