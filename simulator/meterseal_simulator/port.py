"""A line at a pseudo-terminal, under a name that stays the same.

One thread owns the terminal and the schedule of its line. A pseudo-terminal has no baud rate of
its own: the schedule makes it as slow as the wire. Times are absolute deadlines on the monotonic
clock; the kernel's timer slack, which would add 50 microseconds to each, is set to the least.

Unplugged, the terminal is gone and so is its name: whoever had it open gets an I/O error. Plugged
in again it is another terminal (`/dev/pts/7` for `/dev/pts/5`) under the same stable name, which
is what udev does with `/dev/serial/by-id`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import threading
import time
import tty
from collections import deque
from typing import TYPE_CHECKING

from meterseal_simulator.errors import SimulatorError

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_simulator.line import Line
    from meterseal_simulator.reply import Overheard

_PR_SET_TIMERSLACK = 29
_READ_MAX = 4096
_STOP, _LOOK = b"s", b"l"


class PtyPort:
    """Serves a line at a pseudo-terminal.

    Args:
        link: The stable name: a symbolic link to the terminal that the kernel gave us.
    """

    def __init__(self, line: Line, link: Path) -> None:
        self.line = line  # after start(), owned by the thread
        self.link = link
        self._controller, self._terminal, self._name = -1, -1, ""
        self._plug()
        self._talks: deque[Overheard] = deque()  # from other threads to ours
        self._wake_reader, self._wake_writer = os.pipe()
        self._thread = threading.Thread(target=self._serve, name=f"line[{link.name}]", daemon=True)

    def start(self) -> None:
        """Publish the name and begin to answer.

        Raises:
            SimulatorError: The name is taken by something that is not a link.
        """
        if self.link.exists() and not self.link.is_symlink():
            msg = (
                f"{self.link}: expected nothing or a link there, found a file; choose another --pty"
            )
            raise SimulatorError(msg)
        self._publish()
        self._thread.start()

    def intrude(self, talk: Overheard) -> None:
        """Let another master ask something on this line."""
        self._talks.append(talk)
        os.write(self._wake_writer, _LOOK)

    def unplug(self, absent_s: float) -> None:
        """Pull the adapter out, and plug it in again after so many seconds."""
        self.line.absent_until = time.monotonic() + absent_s
        os.write(self._wake_writer, _LOOK)

    def close(self) -> None:
        """Stop answering and take the name away, if it is still ours."""
        os.write(self._wake_writer, _STOP)
        if self._thread.is_alive():
            self._thread.join()
        self._unplug()
        for descriptor in (self._wake_reader, self._wake_writer):
            os.close(descriptor)

    def _plug(self, other_than: str = "") -> None:
        self._controller, self._terminal = os.openpty()
        if os.ttyname(self._terminal) == other_than:
            # The kernel gives a new terminal the lowest free number: occupy it for a moment.
            occupied = self._controller, self._terminal
            self._controller, self._terminal = os.openpty()
            for descriptor in occupied:
                os.close(descriptor)
        # Our own end of the terminal stays open, so that it survives when a client closes it.
        tty.setraw(self._terminal)
        os.set_blocking(self._controller, False)
        self._name = os.ttyname(self._terminal)

    def _publish(self) -> None:
        fresh = self.link.with_name(f".{self.link.name}.{os.getpid()}")
        try:
            self.link.parent.mkdir(parents=True, exist_ok=True)
            fresh.symlink_to(self._name)
            fresh.replace(self.link)
        except OSError as error:
            msg = f"{self.link}: the name cannot be made ({error.strerror}); choose another --pty"
            raise SimulatorError(msg) from error

    def _unplug(self) -> None:
        """Take away the terminal, and its name if that is still ours."""
        with contextlib.suppress(OSError):
            if str(self.link.readlink()) == self._name:
                self.link.unlink()
        os.close(self._controller)
        os.close(self._terminal)

    def _serve(self) -> None:
        _least_timer_slack()
        while self._serve_terminal():
            self._unplug()
            stopped = self._wait_for_plug()
            self._plug(other_than=self._name)
            if stopped:
                return
            self._publish()

    def _wait_for_plug(self) -> bool:
        """Stay away until the line says so; tell whether to stop altogether."""
        poll = select.poll()
        poll.register(self._wake_reader, select.POLLIN)
        while (rest := self.line.absent_until - time.monotonic()) > 0:
            if poll.poll(rest * 1000 + 1) and os.read(self._wake_reader, 1) == _STOP:
                return True
        return False

    def _serve_terminal(self) -> bool:
        """Serve until told to stop, or until the adapter is pulled out: true."""
        poll = select.poll()
        poll.register(self._controller, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(self._patience_ms())}
            if self._wake_reader in ready and os.read(self._wake_reader, 1) == _STOP:
                return False
            if self._controller in ready:
                with contextlib.suppress(BlockingIOError):
                    self.line.hear(os.read(self._controller, _READ_MAX), time.monotonic())
            while self._talks:
                self.line.intrude(self._talks.popleft(), time.monotonic())
            self._sleep_to_deadline()
            spoken = self.line.speak(time.monotonic())
            if time.monotonic() < self.line.absent_until:
                return True
            # When nobody reads and the terminal is full, bytes are lost, as on a real line.
            with contextlib.suppress(BlockingIOError):
                if spoken:
                    os.write(self._controller, spoken)

    def _patience_ms(self) -> int | None:
        """Poll in whole milliseconds; the rest of the way is slept precisely."""
        deadline = self.line.deadline()
        if deadline is None:
            return None
        return max(0, int((deadline - time.monotonic()) * 1000))

    def _sleep_to_deadline(self) -> None:
        deadline = self.line.deadline()
        if deadline is not None and 0 < (rest := deadline - time.monotonic()) < 0.001:  # noqa: PLR2004
            time.sleep(rest)


def _least_timer_slack() -> None:
    """Ask for exact timers for this thread; where the system has no such call, do without."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
