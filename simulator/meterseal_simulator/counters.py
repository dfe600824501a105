"""Meters whose counters do what a counter must not: fall to zero, or begin again too early.

The change is made in the reply's registers, so that it holds for whatever slave answers, a
recording included. A reply that holds only a part of the counter passes unchanged.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from meterseal_simulator.modbus import EXCEPTION_BIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_simulator.reply import Reply

WordType = Literal["f32", "u16", "u32"]
_FORMS: dict[WordType, str] = {"f32": ">f", "u16": ">H", "u32": ">I"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """Where a counter lies, most significant word first."""

    register: int
    word_type: WordType = "f32"

    def place(self, reply: Reply) -> slice | None:
        """Find the counter's bytes in the reply's PDU; None if they are not all there."""
        if reply.request is None or reply.pdu[0] & EXCEPTION_BIT:
            return None
        start = int.from_bytes(reply.request.pdu[1:3])
        first = 2 + 2 * (self.register - start)
        last = first + struct.calcsize(_FORMS[self.word_type])
        return slice(first, last) if first >= 2 and last <= len(reply.pdu) else None  # noqa: PLR2004 - function and byte count

    def read(self, words: bytes) -> float:
        """Decode the counter."""
        value: float = struct.unpack(_FORMS[self.word_type], words)[0]
        return value

    def write(self, value: float) -> bytes:
        """Code the counter."""
        whole = value if self.word_type == "f32" else int(value)
        return struct.pack(_FORMS[self.word_type], whole)


@dataclass(frozen=True, kw_only=True, slots=True)
class CounterReset:
    """The counter shows what has flowed since `base`: somebody reset it there."""

    register: int
    word_type: WordType = "f32"
    base: float = 0.0

    def change(self, reply: Reply) -> Reply:
        """Take the base off the counter; below it, it stands at zero."""
        counter = Counter(register=self.register, word_type=self.word_type)
        return _rewritten(reply, counter, lambda value: max(0.0, value - self.base))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollover:
    """The counter begins again at `wrap`."""

    register: int
    word_type: WordType = "f32"
    wrap: float = 1000.0

    def change(self, reply: Reply) -> Reply:
        """Leave what is above the last wrap."""
        counter = Counter(register=self.register, word_type=self.word_type)
        return _rewritten(reply, counter, lambda value: value % self.wrap)


def _rewritten(reply: Reply, counter: Counter, change: Callable[[float], float]) -> Reply:
    where = counter.place(reply)
    if where is None:
        return reply
    words = counter.write(change(counter.read(reply.pdu[where])))
    return replace(reply, pdu=reply.pdu[: where.start] + words + reply.pdu[where.stop :])
