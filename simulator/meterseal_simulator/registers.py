"""A slave whose registers are images: what it answers, and when it refuses.

The order of the checks is that of MODBUS Application Protocol 1.1b3, figures 13 and 14: function,
then quantity, then address.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from meterseal_simulator.modbus import ExceptionCode, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Image = Mapping[int, int]

_READ_PDU = struct.Struct(">BHH")


class Slave(Protocol):
    """Whatever sits at one address of a line."""

    def answer(self, pdu: bytes) -> bytes:
        """Answer a request PDU with a response PDU."""
        ...


class RegisterSlave:
    """Answers reads from the image of each function; refuses everything else.

    Args:
        images: For each function code, what yields the image as it stands now: one call per
            request, so that all values of an answer belong to one moment.
        limit: The most registers that one request may ask for.
        even: Function codes whose start and quantity must be even (values of two registers).
    """

    def __init__(
        self,
        images: Mapping[int, Callable[[], Image]],
        *,
        limit: int,
        even: frozenset[int] = frozenset(),
    ) -> None:
        self._images = images
        self._limit = limit
        self._even = even

    def answer(self, pdu: bytes) -> bytes:
        """Answer one request."""
        function = pdu[0]
        if function not in self._images:
            return refusal(function, ExceptionCode.ILLEGAL_FUNCTION)
        if len(pdu) != _READ_PDU.size:
            return refusal(function, ExceptionCode.ILLEGAL_VALUE)
        _, start, count = _READ_PDU.unpack(pdu)
        if not 1 <= count <= self._limit:
            return refusal(function, ExceptionCode.ILLEGAL_VALUE)
        if function in self._even and (start % 2 or count % 2):
            return refusal(function, ExceptionCode.ILLEGAL_ADDRESS)
        image = self._images[function]()
        words = [image.get(address) for address in range(start, start + count)]
        return _reading(function, words)


def _reading(function: int, words: list[int | None]) -> bytes:
    present = [word for word in words if word is not None]
    if len(present) != len(words):
        return refusal(function, ExceptionCode.ILLEGAL_ADDRESS)
    return struct.pack(f">BB{len(present)}H", function, 2 * len(present), *present)


def f32(value: float) -> tuple[int, int]:
    """Code a value as IEEE 754 single precision, most significant word first."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return high, low


def u32(value: int) -> tuple[int, int]:
    """Code an unsigned value in two words, most significant first; it wraps at 2^32."""
    high, low = divmod(value & 0xFFFFFFFF, 0x10000)
    return high, low


def i16(value: int) -> int:
    """Code a signed value in one word."""
    return value & 0xFFFF


def text(value: str, registers: int) -> list[int]:
    """Code ASCII text, two characters a word, filled up with NUL."""
    data = value.encode("ascii").ljust(2 * registers, b"\0")
    return list(struct.unpack(f">{registers}H", data))


def place(image: dict[int, int], address: int, words: Iterable[int]) -> None:
    """Write words into an image from an address on."""
    image.update(enumerate(words, address))
