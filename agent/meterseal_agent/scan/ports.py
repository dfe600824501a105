"""The serial ports of this computer, each once, under the name that stays.

by-id before by-path, for it follows the adapter from socket to socket; but two clones that share
one id are told apart by their sockets only (see `bus/adapter.py`). Ports on the board have no such
names and keep the kernel's.
"""

from __future__ import annotations

from pathlib import Path

_DEV = Path("/dev")
_PSEUDO = "/dev/pts/"
# Names that rules of udev or the board's maker give to a built-in RS-485 port.
_BUILT_IN = ("ttyRS485*", "serial0", "ttyAMA[0-9]*", "ttyUSB*", "ttyACM*")


def serial_ports(dev: Path = _DEV) -> tuple[str, ...]:
    """List them.

    Args:
        dev: Where the names of devices are.
    """
    ids = _links(dev / "serial" / "by-id")
    paths = _links(dev / "serial" / "by-path")
    named = {link.resolve() for link in ids}
    clones = any("-usb-" in link.name and link.resolve() not in named for link in paths)
    links = [*paths, *ids] if clones else [*ids, *paths]
    found: dict[Path, str] = {}
    for link in [*links, *(one for glob in _BUILT_IN for one in sorted(dev.glob(glob)))]:
        found.setdefault(link.resolve(), str(link))
    return tuple(found.values())


def has_parity(port: str) -> bool:
    """Tell a wire from a pseudo-terminal (a tunnel, a simulator), which has no parity."""
    return not str(Path(port).resolve()).startswith(_PSEUDO)


def _links(folder: Path) -> list[Path]:
    try:
        return sorted(link for link in folder.iterdir() if link.exists())
    except OSError:
        return []
