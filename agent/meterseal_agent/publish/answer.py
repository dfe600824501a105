"""What a head statement means to us: pure, from bytes and what the store holds.

A head moves nothing by itself. "Ahead" is believed only from a head that answers our own hello and
whose record verifies under our own key; any other head only tells what to send again. (protocol 5)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.errors import ProtocolError
from meterseal.records import Kind, Light, Record, open_record, record_hash
from meterseal.statements import open_head
from meterseal.types import Seq
from meterseal_agent.tip import head_at

if TYPE_CHECKING:
    from collections.abc import Collection

    from meterseal.chain import Head
    from meterseal.types import DeviceId, Hash, PublicKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A head statement by the pinned key about this device.

    Attributes:
        asked: It answers our hello: nobody can have replayed it.
        time_ms: UTC milliseconds of the aggregator.
        record: The last record of ours that the aggregator holds durably; None: none at all.
        hash: Its hash.
        head: The chain's head there.
        kept: Bytes to keep if it turns out that we do not hold that record.
        due_ms: Until when all up to that record is promised to be logged.
    """

    asked: bool
    time_ms: int
    record: Record | None = None
    hash: Hash | None = None
    head: Head | None = None
    kept: tuple[bytes, ...] = ()
    due_ms: int = 0


def read_answer(
    payload: bytes,
    *,
    head_key: PublicKey,
    device: DeviceId,
    public: PublicKey,
    nonces: Collection[bytes],
) -> Answer:
    """Check a head statement.

    Args:
        payload: As it came.
        head_key: The acknowledgement key pinned in the configuration.
        device: Our id.
        public: Our record key.
        nonces: Those of our hellos that no answer has used up.

    Raises:
        ProtocolError: It is not by the pinned key, not about us, or holds what we never signed.
    """
    statement = open_head(payload, head_key)
    if statement.device != device:
        raise ProtocolError(f"head: about device {statement.device.hex()}, we are {device.hex()}")
    asked = statement.nonce in nonces
    if statement.last_record is None:
        return Answer(asked=asked, time_ms=statement.time)
    record = _ours(statement.last_record, device, public)
    hashed = record_hash(statement.last_record)
    kept = [statement.last_record]
    light = None
    if record.kind is Kind.READING:
        if statement.last_light is None:
            raise ProtocolError("head: the last record is a reading and no logged record is given")
        logged = _ours(statement.last_light, device, public)
        if logged.light is None:
            raise ProtocolError("head: what is given as last logged record is a reading")
        light = Light(n=logged.light.n, hash=record_hash(statement.last_light))
        kept.append(statement.last_light)
    return Answer(
        asked=asked,
        time_ms=statement.time,
        record=record,
        hash=hashed,
        head=head_at(record, hashed, light),
        kept=tuple(kept),
        due_ms=statement.time + statement.longest_delay_ms,
    )


def proves_ahead(answer: Answer, ours: Head | None, *, held: bool) -> bool:
    """Tell whether the aggregator holds a record that must not be signed over.

    Args:
        answer: A checked head.
        ours: Our own head.
        held: Whether we hold the record that it names.
    """
    return answer.asked and not held and is_news(answer, ours)


def is_news(answer: Answer, ours: Head | None) -> bool:
    """Tell whether a record that we do not hold calls for an epoch behind it.

    One of an older epoch than ours does not: our restore has left that branch already.
    """
    if answer.record is None:
        return False
    return ours is None or answer.record.epoch >= ours.epoch


def missing_between(ours: Head | None, theirs: Head) -> tuple[Seq, Seq] | None:
    """Numbers that the aggregator holds and we do not; None when that cannot be told."""
    first = 0 if ours is None else ours.seq + 1
    return (Seq(first), theirs.seq) if first <= theirs.seq else None


def _ours(data: bytes, device: DeviceId, public: PublicKey) -> Record:
    record = open_record(data, public)
    if record.device != device:
        raise ProtocolError(f"head: names a record of device {record.device.hex()}")
    return record
