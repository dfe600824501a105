"""The name under which a serial adapter is found again after it was unplugged.

The kernel gives /dev/ttyUSB0 to whichever adapter comes first, so a second adapter may stand there
after a replug. udev keeps names that stay: by-id tells adapters apart by their serial number,
by-path by the socket they are plugged into.

- A port that is configured by a link (by-id, by-path, a rule of the operator's) is opened by it.
- A port that is configured by the kernel's name is remembered by its by-id name once it was open,
  and opened again by that alone: whatever else has taken /dev/ttyUSB0 meanwhile is not our line.
- Two clones with the same serial number share one by-id name, and udev gives it to one of them:
  then by-path is remembered, and a port that is configured by-id is warned of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

_DEV = Path("/dev")
_USB_MARK = "-usb-"


@dataclass(kw_only=True, slots=True)
class Adapter:
    """One configured serial port.

    Attributes:
        port: As configured.
        dev: Where the names of devices are.
    """

    port: str
    dev: Path = _DEV
    _remembered: Path | None = field(default=None, init=False)

    @property
    def path(self) -> str:
        """What to open now."""
        return self.port if self._remembered is None else str(self._remembered)

    def opened(self) -> None:
        """Remember how to find the adapter again, now that it is there."""
        port = Path(self.port)
        if not port.is_symlink() and self._remembered is None:
            self._remembered = self._stable_name(port)

    def has_wire(self) -> bool:
        """Tell whether characters take their time here: a pseudo-terminal has no baud rate."""
        return not Path(self.path).resolve().is_relative_to(self.dev / "pts")

    def warning(self) -> str:
        """Say what is unsafe about the name under which the adapter is known; empty if nothing."""
        folder = self._folder("by-id")
        if Path(self.path).parent != folder or not self._orphans():
            return ""
        orphan = min(self._orphans())
        return (
            f"{self.path}: two adapters share an id, and this name may be either of them. "
            f"Configure the port by its socket: one of {self._folder('by-path')}, such as {orphan}."
        )

    def _stable_name(self, port: Path) -> Path | None:
        device = port.resolve()
        kinds = ("by-path",) if self._orphans() else ("by-id", "by-path")
        for kind in kinds:
            for link in self._links(kind):
                if link.resolve() == device:
                    return link
        return None

    def _orphans(self) -> list[str]:
        """List the USB adapters that have no id of their own: another one took their name."""
        named = {link.resolve() for link in self._links("by-id")}
        return [
            link.name
            for link in self._links("by-path")
            if _USB_MARK in link.name and link.resolve() not in named
        ]

    def _links(self, kind: str) -> list[Path]:
        try:
            return sorted(self._folder(kind).iterdir())
        except OSError:
            return []

    def _folder(self, kind: str) -> Path:
        return self.dev / "serial" / kind
