"""Naming what was heard on a line although nobody asked for it: on bytes alone.

The frames of another master show themselves: a request has 8 bytes, a reply to a read 5 and an
even number, and both end in their CRC, so that no frame passes for the other kind. What is heard
first may be the end of a frame; what follows a frame may be noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import crc16

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterseal_agent.bus.frame import Request

_UNIT_MAX = 247
_READS = (1, 2, 3, 4)
_WRITES = (5, 6)
_WRITES_OF_MANY = (15, 16)
_EXCEPTION_BIT = 0x80
_REQUEST_BYTES = 8
_REFUSAL_BYTES = 5
_FRAME_MIN = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """A frame with a right CRC.

    Attributes:
        asks: It is a master's; otherwise a slave's reply.
    """

    data: bytes
    asks: bool

    @property
    def unit(self) -> int:
        """Whom it is for, or from."""
        return self.data[0]

    @property
    def function(self) -> int:
        """Function code, without the bit that marks a refusal."""
        return self.data[1] & ~_EXCEPTION_BIT

    def answers(self, request: Request) -> bool:
        """Tell whether it could be the reply to a request."""
        if self.asks or (self.unit, self.function) != (request.unit, request.function):
            return False
        refuses = bool(self.data[1] & _EXCEPTION_BIT)
        return refuses or self.data[2] == 2 * request.count

    def __str__(self) -> str:
        """Say what it does, in the words of messages."""
        if not self.asks:
            return f"unit {self.unit} answers function {self.function}"
        if self.function not in _READS:
            return f"somebody writes to unit {self.unit} with function {self.function}"
        first, count = (int.from_bytes(self.data[at : at + 2], "big") for at in (2, 4))
        return (
            f"somebody asks unit {self.unit}, function {self.function}, "
            f"registers {first}..{first + count - 1}"
        )


def frames_in(data: bytes) -> tuple[Frame, ...]:
    """Find the frames in what was heard, in order; noise between them is passed over."""
    found = []
    at = 0
    while at + _FRAME_MIN <= len(data):
        frame = next(_whole(data[at:]), None)
        if frame is None:
            at += 1
        else:
            found.append(frame)
            at += len(frame.data)
    return tuple(found)


def _whole(data: bytes) -> Iterator[Frame]:
    """Yield the frames that may begin here and whose CRC is right."""
    for length, asks in _lengths(data):
        frame = data[:length]
        if len(frame) == length and crc16(frame[:-2]) == frame[-2:]:
            yield Frame(data=frame, asks=asks)


def _lengths(data: bytes) -> Iterator[tuple[int, bool]]:
    unit, function = data[0], data[1]
    if unit > _UNIT_MAX:
        return
    if function in _READS:
        yield _REQUEST_BYTES, True
        yield 5 + data[2], False
    elif function in _WRITES:
        # A write is answered by its own words: whoever hears one hears a master's work.
        yield _REQUEST_BYTES, True
    elif function in _WRITES_OF_MANY:
        yield _REQUEST_BYTES, True
        if len(data) > 6:  # noqa: PLR2004 - the byte count follows address and count
            yield 9 + data[6], True
    elif function & _EXCEPTION_BIT:
        yield _REFUSAL_BYTES, False
