"""The serial port `virtual://NAME`: pyserial's interface to a terminal of the running loop."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING

from serial.serialutil import SerialBase, SerialException

from meterseal_simulator.virtual import VirtualLoop, VirtualTerminal

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_SCHEME = "virtual://"


class Serial(SerialBase):
    """A port that is opened in a `VirtualLoop`."""

    def open(self) -> None:
        """Open the terminal.

        Raises:
            SerialException: It is not plugged in, or another program has it.
        """
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise SerialException(f"{self.portstr}: expected a virtual loop around it")
        self._world = loop.world
        name = str(self.portstr).removeprefix(_SCHEME)
        terminal = self._world.terminals.get(name)
        if terminal is None or self._world.now < terminal.line.absent_until:
            raise SerialException(errno.ENOENT, f"{self.portstr}: no such device")
        self._number = next(self._world.numbers)
        if not terminal.open(self._number):
            raise SerialException(errno.EBUSY, f"{self.portstr}: could not exclusively lock")
        self._terminal: VirtualTerminal = terminal
        self._world.opened[self._number] = terminal
        self.is_open = True

    def close(self) -> None:
        """Close it; harmless when closed."""
        if self.is_open:
            self.is_open = False
            self._world.opened.pop(self._number, None)
            self._terminal.close()

    def fileno(self) -> int:
        """Return its descriptor in the virtual world."""
        return self._number

    def _reconfigure_port(self) -> None:
        """Take any setting: the line behind the terminal has its own speed."""

    @property
    def in_waiting(self) -> int:
        """Tell whether there is something to read."""
        self._check_plug()
        return int(self._terminal.readable(self._world.now))

    def read(self, size: int = 1) -> bytes:
        """Take what has arrived, without waiting."""
        self._check_plug()
        return self._terminal.read(size)

    def write(self, data: ReadableBuffer, /) -> int:
        """Send."""
        self._check_plug()
        sent = bytes(data)
        self._terminal.write(sent, self._world)
        return len(sent)

    def reset_input_buffer(self) -> None:
        """Throw away what has arrived and was not read."""
        self._check_plug()
        self._terminal.discard()

    def _check_plug(self) -> None:
        if self._world.now < self._terminal.line.absent_until:
            raise SerialException(errno.EIO, f"{self.portstr}: the adapter is gone")


def serial_class_for_url(url: str) -> tuple[str, type[Serial]]:
    """Return the port's name and class, as pyserial asks for them."""
    return url, Serial
