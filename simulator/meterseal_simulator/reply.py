"""One answer on its way to the wire, with everything that may be wrong about it.

Only bytes and spans of time: the line (`line.py`) and the socket (`tcp.py`) decide what leaves
when. What a Modbus TCP gateway does not pass on (noise, bad checksums, echoes) becomes silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_simulator.modbus import mbap_frame, rtu_frame

if TYPE_CHECKING:
    from meterseal_simulator.modbus import Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Overheard:
    """What another master asks on the same line.

    Attributes:
        request: Its question.
        pdu: What the slave tells it; None for silence.
        after_s: When it begins to ask, counted from the moment our own request is whole.
    """

    request: Request
    pdu: bytes | None
    after_s: float

    def on_serial_line(self) -> bytes:
        """Return question and answer as a gateway hands them on: without the pause."""
        asked = rtu_frame(self.request.unit, self.request.pdu)
        return asked + (b"" if self.pdu is None else rtu_frame(self.request.unit, self.pdu))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One answer on its way to the wire.

    Attributes:
        unit: The address it claims to come from.
        request: What was asked; faults that repeat or compare it need it.
        delay_s: How much later than usual it starts.
        crc_flip: Bits to flip in the checksum.
        cut: Bytes missing at its end.
        flips: Bits to flip in the frame, by position from its first byte.
        early: Bytes on the line at once, before the slave's turnaround.
        before: Bytes that run into the frame.
        after: Bytes behind the frame.
        after_s: Pause between the frame and `after`.
        deaf_s: The slave restarts: it forgets what it was asked and hears nothing for so long.
        unplug_s: The adapter is pulled out, for so long.
        overheard: What another master asks meanwhile.
    """

    unit: int
    pdu: bytes
    request: Request | None = None
    delay_s: float = 0.0
    crc_flip: int = 0
    cut: int = 0
    flips: tuple[tuple[int, int], ...] = ()
    early: bytes = b""
    before: bytes = b""
    after: bytes = b""
    after_s: float = 0.0
    deaf_s: float = 0.0
    unplug_s: float = 0.0
    overheard: tuple[Overheard, ...] = ()

    def on_serial_line(self) -> bytes:
        """Return the frame as it goes over a serial line, with what runs into it."""
        return self.before + self._frame() + (b"" if self.after_s else self.after)

    def behind(self) -> bytes:
        """Return what follows the frame after a pause."""
        return self.after if self.after_s else b""

    def on_tcp(self, transaction: int) -> bytes:
        """Return the frame as it goes over Modbus TCP.

        A frame that is spoiled on the serial side dies in the gateway: nothing goes out.
        """
        if self.crc_flip or self.flips or self.before or self.early:
            return b""
        frame = mbap_frame(transaction, self.unit, self.pdu)
        return frame[: len(frame) - self.cut]

    def _frame(self) -> bytes:
        frame = bytearray(rtu_frame(self.unit, self.pdu))
        checksum = int.from_bytes(frame[-2:]) ^ self.crc_flip
        frame[-2:] = checksum.to_bytes(2)
        for position, bits in self.flips:
            frame[position % len(frame)] ^= bits
        return bytes(frame[: len(frame) - self.cut])
