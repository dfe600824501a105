"""Telling systemd that we are ready and alive: one datagram, no library.

The protocol is that of sd_notify(3): newline-separated assignments in one datagram to the unix
socket named by NOTIFY_SOCKET, where a leading "@" means the abstract namespace.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ABSTRACT = "@"


@dataclass(frozen=True, kw_only=True, slots=True)
class Notifier:
    """Sends state to the service manager, or nothing at all when there is none.

    Attributes:
        address: The socket's address as `sendto` takes it, or None outside systemd.
        watchdog_s: Longest time between two `alive` calls, or None when no watchdog is set.
    """

    address: str | None = None
    watchdog_s: float | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], pid: int) -> Notifier:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.

        Args:
            environ: The process environment.
            pid: Our process id; WATCHDOG_USEC meant for another process is ignored.
        """
        name = environ.get("NOTIFY_SOCKET", "")
        if not name.startswith(("/", _ABSTRACT)):
            return cls()
        address = "\0" + name[1:] if name.startswith(_ABSTRACT) else name
        return cls(address=address, watchdog_s=_watchdog_s(environ, pid))

    def ready(self) -> None:
        """Say that start-up is over."""
        self._send("READY=1")

    def alive(self) -> None:
        """Pat the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the one line that `systemctl status` shows."""
        self._send("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        """Say that shutdown has begun."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if self.address is None:
            return
        # A service manager that is gone must not stop the readings: what fails here is dropped,
        # and the manager's own watchdog draws the consequence.
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.settimeout(0)
                out.sendto(text.encode(), self.address)
        except OSError:
            return


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    usec = environ.get("WATCHDOG_USEC", "")
    owner = environ.get("WATCHDOG_PID", str(pid))
    if not (usec.isascii() and usec.isdigit()) or owner != str(pid):
        return None
    return int(usec) / 1_000_000
