"""An event loop whose clock is turned, not awaited, and serial ports that live in it.

What runs in it is the unchanged code of a master: asyncio, pymodbus, pyserial down to the
descriptor. Only the two things that the kernel would do are done here: waiting (`_World.select`
moves the clock to whatever comes next) and moving bytes (`VirtualTerminal`, a `Line` behind a
serial adapter). Hours of a line pass in seconds, and the same seed gives the same bytes at the
same times.

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().plug("line", VirtualTerminal(Line(timing, bus.answer)))
        runner.run(...)     # opens "virtual://line"

- An adapter hands bytes on in lumps, every `latency_s`, as USB adapters do.
- A stall is time that the computer spends elsewhere: the line goes on, bytes pile up.
- Where nothing will ever happen again, `RuntimeError` says so instead of waiting for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import selectors
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import FileDescriptorLike

    from meterseal_simulator.line import Line

# Far above any descriptor that the kernel hands out.
_FIRST_DESCRIPTOR = 1_000_000
_BUFFER_MAX = 4096
_HANDLERS = "meterseal_simulator.urlhandler"


class VirtualTerminal:
    """A serial adapter on a line; at most one program has it open.

    Args:
        latency_s: How often the adapter hands on what it heard; 0 is each byte at once.
        stall: Seconds that the computer is busy before it sends; called for each write.
    """

    def __init__(
        self,
        line: Line,
        *,
        latency_s: float = 0.0,
        stall: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.line = line
        self.latency_s = latency_s
        self.lost_bytes = 0
        self._stall = stall
        self._buffer = bytearray()
        self._descriptor: int | None = None

    def due(self) -> float | None:
        """Return when something happens next here."""
        at = self.line.deadline()
        if at is None or not self.latency_s or self.line.frame_end() is None:
            return at
        return (at // self.latency_s + 1) * self.latency_s

    def advance(self, now: float) -> None:
        """Bring the line to this moment."""
        spoken = self.line.speak(now)
        if self._descriptor is None or now < self.line.absent_until:
            self.lost_bytes += len(spoken)
            return
        self._buffer += spoken[: _BUFFER_MAX - len(self._buffer)]

    def readable(self, now: float) -> bool:
        """Tell whether a read would return at once: bytes, or the news that the plug is out."""
        return bool(self._buffer) or now < self.line.absent_until

    def open(self, descriptor: int) -> bool:
        """Take the terminal; false when another program has it."""
        if self._descriptor is not None:
            return False
        self._descriptor = descriptor
        self._buffer.clear()
        return True

    def close(self) -> None:
        """Give the terminal back."""
        self._descriptor = None

    def read(self, size: int) -> bytes:
        """Take what has arrived."""
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def write(self, data: bytes, world: _World) -> None:
        """Put bytes on the line, after whatever keeps the computer busy."""
        if stall_s := self._stall():
            world.pass_time(stall_s)
        self.advance(world.now)
        self.line.hear(data, world.now)

    def discard(self) -> None:
        """Throw away what has arrived and was not read."""
        self._buffer.clear()


class _World(selectors.BaseSelector):
    """The selector of a virtual loop: its clock, and the terminals in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.terminals: dict[str, VirtualTerminal] = {}
        self.opened: dict[int, VirtualTerminal] = {}
        self.numbers = itertools.count(_FIRST_DESCRIPTOR)
        self._keys: dict[FileDescriptorLike, selectors.SelectorKey] = {}

    def register(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        """Watch a descriptor."""
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = selectors.SelectorKey(fileobj, number, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """Watch a descriptor no more."""
        return self._keys.pop(fileobj)

    def modify(
        self, fileobj: FileDescriptorLike, events: int, data: object = None
    ) -> selectors.SelectorKey:
        """Watch a descriptor for something else."""
        return self.register(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """Return what is watched."""
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Move the clock until something is ready or the time is over."""
        events = self._ready()
        if events or timeout == 0:
            return events
        horizon = None if timeout is None else self.now + max(0.0, timeout)
        while not events:
            due = min(
                (at for each in self.terminals.values() if (at := each.due()) is not None),
                default=None,
            )
            if due is None and horizon is None:
                raise RuntimeError(f"virtual time {self.now:.3f} s: nothing will ever happen")
            if due is None or (horizon is not None and horizon < due):
                self.now = max(self.now, horizon or 0.0)
                return self._ready()
            self.now = max(self.now, due)
            self._advance()
            events = self._ready()
        return events

    def pass_time(self, seconds: float) -> None:
        """Let the lines go on while nobody looks."""
        until = self.now + seconds
        while True:
            dues = (each.due() for each in self.terminals.values())
            due = min((at for at in dues if at is not None), default=until)
            if due >= until:
                self.now = until
                return
            self.now = max(self.now, due)
            self._advance()

    def _advance(self) -> None:
        for terminal in self.terminals.values():
            terminal.advance(self.now)

    def _ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        ready = []
        for key in self._keys.values():
            terminal = self.opened.get(key.fd)
            if terminal is None:
                continue  # the loop's own pipe: nothing from outside wakes it
            events = key.events & selectors.EVENT_WRITE
            if terminal.readable(self.now):
                events |= key.events & selectors.EVENT_READ
            if events:
                ready.append((key, events))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; `virtual://NAME` opens the terminal plugged in as NAME."""

    def __init__(self) -> None:
        self.world = _World()
        super().__init__(self.world)
        import serial  # noqa: PLC0415 - only who runs in virtual time needs it

        if _HANDLERS not in serial.protocol_handler_packages:
            serial.protocol_handler_packages.append(_HANDLERS)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self.world.now

    def plug(self, name: str, terminal: VirtualTerminal) -> None:
        """Put a terminal where it can be opened."""
        self.world.terminals[name] = terminal

    def stall(self, seconds: float) -> None:
        """Be busy elsewhere: the lines go on, nobody reads."""
        self.world.pass_time(seconds)
