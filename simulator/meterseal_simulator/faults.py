"""What goes wrong on a line, as changes to one reply.

A reply passes through every armed fault that matches its request. A fault is a frozen value with
one method, `change`: reply in, changed reply out, or None for silence. It knows neither serial
lines nor sockets; the line turns the changed reply into bytes and times. To add a fault, write
such a class and enter it in `KINDS`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Protocol

from meterseal_simulator.modbus import (
    EXCEPTION_BIT,
    ExceptionCode,
    Request,
    mbap_frame,
    refusal,
    rtu_frame,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One answer on its way to the wire.

    Attributes:
        unit: The address it claims to come from.
        delay_s: How much later than usual it starts.
        crc_flip: Bits to flip in the checksum.
        cut: Bytes missing at its end.
    """

    unit: int
    pdu: bytes
    delay_s: float = 0.0
    crc_flip: int = 0
    cut: int = 0

    def on_serial_line(self) -> bytes:
        """Return the frame as it goes over a serial line."""
        frame = rtu_frame(self.unit, self.pdu)
        checksum = int.from_bytes(frame[-2:]) ^ self.crc_flip
        frame = frame[:-2] + checksum.to_bytes(2)
        return frame[: len(frame) - self.cut]

    def on_tcp(self, transaction: int) -> bytes:
        """Return the frame as it goes over Modbus TCP.

        A frame with a bad checksum dies in the gateway: nothing goes out.
        """
        if self.crc_flip:
            return b""
        frame = mbap_frame(transaction, self.unit, self.pdu)
        return frame[: len(frame) - self.cut]


class Fault(Protocol):
    """One way in which a reply goes wrong."""

    def change(self, reply: Reply) -> Reply | None:
        """Return the reply as it really goes out; None is silence."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Late:
    """The reply is whole and right, and starts late: it may answer the next request."""

    delay_s: float

    def change(self, reply: Reply) -> Reply:
        """Add to the delay."""
        return replace(reply, delay_s=reply.delay_s + self.delay_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Short:
    """The reply has fewer registers than asked for, with a byte count and checksum that fit."""

    registers: int = 1

    def change(self, reply: Reply) -> Reply:
        """Drop the last registers; an exception has none to drop."""
        if reply.pdu[0] & EXCEPTION_BIT:
            return reply
        data = reply.pdu[2:][: max(0, len(reply.pdu) - 2 - 2 * self.registers)]
        return replace(reply, pdu=bytes([reply.pdu[0], len(data)]) + data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Truncated:
    """The last bytes of the frame never arrive."""

    missing: int = 1

    def change(self, reply: Reply) -> Reply:
        """Cut the frame."""
        return replace(reply, cut=self.missing)


@dataclass(frozen=True, kw_only=True, slots=True)
class WrongFunction:
    """The reply claims to answer another function; its checksum is right."""

    function: int = 3

    def change(self, reply: Reply) -> Reply:
        """Replace the function code."""
        return replace(reply, pdu=bytes([self.function]) + reply.pdu[1:])


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignUnit:
    """The reply claims to come from another slave; its checksum is right."""

    unit: int

    def change(self, reply: Reply) -> Reply:
        """Replace the unit."""
        return replace(reply, unit=self.unit)


@dataclass(frozen=True, kw_only=True, slots=True)
class BadChecksum:
    """The checksum does not fit."""

    flip: int = 0x0001

    def change(self, reply: Reply) -> Reply:
        """Flip bits of the checksum."""
        return replace(reply, crc_flip=self.flip)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dead:
    """The slave does not answer."""

    def change(self, reply: Reply) -> None:
        """Return silence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """The slave refuses with an exception."""

    code: int = ExceptionCode.DEVICE_FAILURE

    def change(self, reply: Reply) -> Reply:
        """Replace the reply by an exception."""
        function = reply.pdu[0] & ~EXCEPTION_BIT
        return replace(reply, pdu=refusal(function, self.code))


KINDS: dict[str, type[Fault]] = {
    "late": Late,
    "short": Short,
    "truncated": Truncated,
    "wrong-function": WrongFunction,
    "foreign-unit": ForeignUnit,
    "bad-checksum": BadChecksum,
    "dead": Dead,
    "exception": Refusal,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trigger:
    """Which requests a fault meets.

    Attributes:
        unit: Only requests to this slave; None for any.
        function: Only this function; None for any.
        address: Only reads that start here; None for any.
        after: How many matching requests pass unharmed first.
        times: How many are hit then; None for all.
    """

    unit: int | None = None
    function: int | None = None
    address: int | None = None
    after: int = 0
    times: int | None = 1

    def matches(self, request: Request) -> bool:
        """Tell whether the request is one that this trigger counts."""
        return (
            self.unit in (None, request.unit)
            and self.function in (None, request.function)
            and self.address in (None, int.from_bytes(request.pdu[1:3]))
        )

    def hits(self, ordinal: int) -> bool:
        """Tell whether the matching request of this ordinal, from 0, is hit."""
        return ordinal >= self.after and (self.times is None or ordinal < self.after + self.times)


@dataclass(kw_only=True, slots=True)
class Armed:
    """A fault in place, and what it has done so far."""

    number: int
    fault: Fault
    trigger: Trigger
    matched: int = 0
    hit: int = 0


class Faults:
    """The faults in place; safe to change while lines are answering."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: list[Armed] = []  # guarded by _lock
        self._number = 0  # guarded by _lock

    def arm(self, fault: Fault, trigger: Trigger | None = None) -> int:
        """Put a fault in place and return its number; by default it hits the next request."""
        with self._lock:
            self._number += 1
            armed = Armed(number=self._number, fault=fault, trigger=trigger or Trigger())
            self._armed.append(armed)
            return armed.number

    def clear(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._armed.clear()

    def armed(self) -> list[Armed]:
        """Return a copy of what is in place, with its counts."""
        with self._lock:
            return [replace(one) for one in self._armed]

    def apply(self, request: Request, reply: Reply) -> Reply | None:
        """Let a reply pass through every fault whose trigger it meets, in order of arming."""
        changed: Reply | None = reply
        with self._lock:
            for armed in self._armed:
                if not armed.trigger.matches(request):
                    continue
                ordinal, armed.matched = armed.matched, armed.matched + 1
                if armed.trigger.hits(ordinal) and changed is not None:
                    armed.hit += 1
                    changed = armed.fault.change(changed)
        return changed
