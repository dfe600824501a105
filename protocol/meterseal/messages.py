"""Unsigned MQTT payloads between device and aggregator: strict CBOR maps, never evidence.

What they carry is a question or a hint. Nothing here moves a head, deletes a record or convicts
anybody; the signed answer does (statements.py, receipt.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from meterseal.encoding import decode, encode
from meterseal.fields import array, bstr, items, keyed, one_of, uint
from meterseal.types import Epoch, Hash, Seq
from meterseal.wire import plain_pointer, read_pointer

if TYPE_CHECKING:
    from meterseal.bodies import CheckpointPointer

MAX_WANT_RANGES: Final = 16
_MAX_MESSAGE: Final = 1024


class RejectCode(IntEnum):
    """Why the aggregator did not store a record as part of the chain."""

    INVALID = 1
    NOT_ENROLLED = 2
    CONTRADICTS = 3
    FROZEN = 4
    TOO_FAR_AHEAD = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Hello:
    """Device to aggregator at each start: this is my head, what is yours?

    Attributes:
        nonce: 16 random bytes that the head statement must repeat.
        boot_nonce: 16 random bytes, constant until the next boot: two alternating are two cards.
        epoch: Epoch of the device's head.
        seq: Sequence number of the device's head.
        hash: Hash of the device's head.
        light_n: Number of its last light record.
        checkpoint: Last checkpoint that the device verified.
    """

    nonce: bytes
    boot_nonce: bytes
    epoch: Epoch
    seq: Seq
    hash: Hash
    light_n: int
    checkpoint: CheckpointPointer | None

    def encode(self) -> bytes:
        """Write the payload of `…/hello`."""
        return encode(
            {
                1: self.nonce,
                2: self.boot_nonce,
                3: self.epoch,
                4: self.seq,
                5: self.hash,
                6: self.light_n,
                7: plain_pointer(self.checkpoint),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Hello:
        """Read the payload of `…/hello` strictly."""
        nonce, boot, epoch, seq, last, light_n, checkpoint = keyed(
            decode(data, limit=_MAX_MESSAGE), "hello", (1, 2, 3, 4, 5, 6, 7)
        )
        return cls(
            nonce=bstr(nonce, "hello.nonce", 16),
            boot_nonce=bstr(boot, "hello.boot_nonce", 16),
            epoch=Epoch(uint(epoch, "hello.epoch")),
            seq=Seq(uint(seq, "hello.seq")),
            hash=Hash(bstr(last, "hello.hash", 32)),
            light_n=uint(light_n, "hello.light_n"),
            checkpoint=read_pointer(checkpoint, "hello.checkpoint"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Want:
    """Aggregator to device: send these again.

    Attributes:
        ranges: Up to 16 of (epoch, first seq, last seq).
    """

    ranges: tuple[tuple[Epoch, Seq, Seq], ...]

    def encode(self) -> bytes:
        """Write the payload of `…/want`."""
        return encode({1: [list(one) for one in self.ranges]})

    @classmethod
    def decode(cls, data: bytes) -> Want:
        """Read the payload of `…/want` strictly."""
        (ranges,) = keyed(decode(data, limit=_MAX_MESSAGE), "want", (1,))
        return cls(ranges=tuple(map(_read_range, items(ranges, "want.ranges", MAX_WANT_RANGES))))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reject:
    """Aggregator to device: this record was not taken.

    Attributes:
        hash: Hash of the bytes as they came.
        code: Why.
    """

    hash: Hash
    code: RejectCode

    def encode(self) -> bytes:
        """Write the payload of `…/reject`."""
        return encode([self.hash, int(self.code)])

    @classmethod
    def decode(cls, data: bytes) -> Reject:
        """Read the payload of `…/reject` strictly."""
        refused, code = array(decode(data, limit=_MAX_MESSAGE), "reject", 2)
        return cls(
            hash=Hash(bstr(refused, "reject.hash", 32)),
            code=one_of(code, "reject.code", RejectCode),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """Device to aggregator: send a receipt whose consistency proof begins at my stored size.

    Attributes:
        size: Size of the checkpoint that the device holds, 0 if none.
    """

    size: int

    def encode(self) -> bytes:
        """Write the payload of `…/ask`."""
        return encode({1: self.size})

    @classmethod
    def decode(cls, data: bytes) -> Ask:
        """Read the payload of `…/ask` strictly."""
        (size,) = keyed(decode(data, limit=_MAX_MESSAGE), "ask", (1,))
        return cls(size=uint(size, "ask.size"))


def _read_range(value: object) -> tuple[Epoch, Seq, Seq]:
    epoch, first, last = array(value, "want.range", 3)
    end = Seq(uint(last, "want.range.last"))
    start = Seq(uint(first, "want.range.first", end))
    return Epoch(uint(epoch, "want.range.epoch")), start, end
