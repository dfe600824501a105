"""Why a port or connection did not open: expected, got, remedy."""

from __future__ import annotations

import errno

from meterseal_agent.bus.settings import Line, SerialLine

CONNECT_S = 5.0
"""Longest wait for a connection."""


def no_answer(line: Line) -> str:
    """Say that nothing answered in time."""
    return (
        f"expected a connection within {CONNECT_S:g} s, got none. "
        "Check that the device is on and its address right."
        if not isinstance(line, SerialLine)
        else f"expected the port to open within {CONNECT_S:g} s, got no answer from its driver."
    )


def why_not_open(line: Line, error: OSError) -> str:
    """Say why a port did not open: expected, got, remedy."""
    text = str(error)
    match error.errno:
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return (
                "expected a serial port, got no such device. Plug the adapter in; "
                "`ls -l /dev/serial/by-id` shows the stable names of those present."
            )
        case errno.EACCES | errno.EPERM:
            return (
                "expected to open the port, got permission denied. "
                "Add the agent's user to the group of the device (dialout)."
            )
        case errno.ECONNREFUSED:
            return (
                "expected a Modbus TCP server, got the connection refused. "
                "Check address and port, and that Modbus TCP is enabled in the device."
            )
        case errno.EBUSY | errno.EAGAIN:
            return _BUSY
        case _:
            pass
    if "exclusively lock" in text:
        return _BUSY
    what = "a serial port" if isinstance(line, SerialLine) else "a connection"
    return f"expected {what}, got: {text}."


GONE = "expected a serial port, got it lost while it was being opened. Check the adapter's plug."
_BUSY = (
    "expected the port for ourselves, got it busy. Another program holds it (a second agent, a "
    "home automation system): `fuser -v` on the port names it."
)
