"""Settings of one line, and the times that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Parity = Literal["N", "E", "O"]

# MODBUS over Serial Line 1.02, 2.5.1.1: above 19200 baud the silence is a fixed 1.750 ms.
_T35_FIXED_ABOVE_BAUD = 19200
_T35_FIXED_S = 0.00175
_T35_CHARACTERS = 3.5


@dataclass(frozen=True, kw_only=True, slots=True)
class SerialLine:
    """An RS-485 line behind a serial port (kind "rtu").

    Attributes:
        timeout_s: Longest wait for the first byte of a reply, after the request left the wire.
        quiet_s: Silence after any doubt; longer than the slowest reply that may still come.
        echo: The adapter hears what it sends.
    """

    port: str
    baud: int = 9600
    parity: Parity = "N"
    stop_bits: int = 1
    timeout_s: float = 1.0
    quiet_s: float = 1.5
    echo: bool = False

    @property
    def label(self) -> str:
        """The port, as messages name it."""
        return self.port

    @property
    def char_s(self) -> float:
        """Seconds that one character takes: start, 8 data, parity, stop bits."""
        bits = 1 + 8 + (self.parity != "N") + self.stop_bits
        return bits / self.baud

    @property
    def silence_s(self) -> float:
        """Silence that ends a frame (t3.5)."""
        if self.baud > _T35_FIXED_ABOVE_BAUD:
            return _T35_FIXED_S
        return _T35_CHARACTERS * self.char_s


@dataclass(frozen=True, kw_only=True, slots=True)
class TcpLine:
    """A line behind TCP: Modbus TCP, or RTU frames carried over TCP.

    Attributes:
        rtu: RTU frames with CRC instead of the MBAP header (kind "rtu-over-tcp").
        timeout_s: Longest wait for a reply.
        quiet_s: Silence after any doubt: a gateway may still hold a late reply of its serial side.
    """

    host: str
    tcp_port: int = 502
    rtu: bool = False
    timeout_s: float = 1.0
    quiet_s: float = 1.5

    @property
    def label(self) -> str:
        """Host and port, as messages name them."""
        return f"{self.host}:{self.tcp_port}"

    @property
    def char_s(self) -> float:
        """Zero: the speed behind the socket is not known here, `timeout_s` covers it."""
        return 0.0

    @property
    def silence_s(self) -> float:
        """Zero: the gateway keeps the silence of its own line."""
        return 0.0


Line = SerialLine | TcpLine


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What one meter needs on the line.

    Attributes:
        silence_s: Silence before each request; t3.5 of the line is kept in any case.
        timeout_s: Longest wait for the first byte of its reply; at least the line's own.
    """

    silence_s: float = 0.0
    timeout_s: float = 0.0
