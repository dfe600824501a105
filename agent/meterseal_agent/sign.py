"""The next record, built and signed from what the chain holds: pure, no clock, no disk.

- A boundary reading is signed first and the interval record right behind it: the reading is the
  last leaf of the interval it closes, and the opening of the next one. (protocol 5)
- What a tip was made from is checked again by `chain.advance` before it leaves us.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from meterseal import chain, merkle
from meterseal.errors import ChainError
from meterseal.interval import build_row
from meterseal.records import (
    Body,
    CheckpointPointer,
    Clock,
    Event,
    Gap,
    Interval,
    Light,
    Manifest,
    MeterState,
    Reading,
    Record,
    Restore,
    RowFlag,
    encode_record,
    record_hash,
)
from meterseal.types import ZERO_HASH, Epoch, Hash, Seq, UnixMs
from meterseal_agent.tip import Tip, registers_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal.keys import SigningKey


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """When a record is made.

    Attributes:
        time: UTC milliseconds, never below the time of the record before.
        clock: How far `time` can be believed.
        up: Milliseconds since boot.
    """

    time: UnixMs
    clock: Clock
    up: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Close:
    """Close the open interval.

    Attributes:
        end: Its end; None: where its last record stands, which makes it partial.
        checkpoint: The last checkpoint that was verified.
        states: The meters' states at the close, where no reading tells them.
        highest_wh: Most energy that flows through a meter in an interval, by its index.
    """

    end: UnixMs | None
    checkpoint: CheckpointPointer | None = None
    states: Mapping[int, MeterState] = field(default_factory=dict)
    highest_wh: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reopen:
    """Open the next epoch behind `base`.

    Attributes:
        base: The head at the record that the restore names: our own, or one we did not hold.
    """

    base: chain.Head
    restore: Restore


Draft: TypeAlias = Manifest | Reading | Gap | Event | Close | Reopen
"""What may be signed: typed bodies and the two that are completed from the tip. Nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A signed record, not yet released to anyone."""

    record: Record
    data: bytes
    hash: Hash


def sign(tip: Tip, draft: Draft, stamp: Stamp, key: SigningKey) -> tuple[Signed, Tip]:
    """Build and sign the next record.

    Returns:
        The record, which nobody may see before it is durable, and the tip behind it.

    Raises:
        ChainError: If the record would break the chain (our own defect, caught before it leaves).
        EncodingError: If a reader would refuse it.
    """
    base = draft.base if isinstance(draft, Reopen) else tip.head
    body = _body(tip, draft, stamp)
    light = None
    if not isinstance(body, Reading):
        light = (
            Light(n=0, hash=ZERO_HASH)
            if base is None
            else Light(n=base.light_n + 1, hash=base.light_hash)
        )
    epoch = 0 if base is None else base.epoch + (1 if isinstance(draft, Reopen) else 0)
    record = Record(
        device=tip.device,
        epoch=Epoch(epoch),
        seq=Seq(0 if base is None else base.seq + 1),
        time=stamp.time,
        clock=stamp.clock,
        prev=ZERO_HASH if base is None else base.hash,
        kind=body.kind,
        body=body,
        up=stamp.up,
        light=light,
    )
    data = encode_record(record, key)
    hashed = record_hash(data)
    return Signed(record=record, data=data, hash=hashed), tip.follow(record, hashed, base=base)


def _body(tip: Tip, draft: Draft, stamp: Stamp) -> Body:
    match draft:
        case Close():
            return _interval(tip, draft, stamp)
        case Reopen():
            return draft.restore
        case _:
            return draft


def _interval(tip: Tip, close: Close, stamp: Stamp) -> Interval:
    manifest, last, start = tip.manifest, tip.last, tip.start
    if manifest is None or last is None or start is None or not tip.leaves:
        raise ChainError("interval: there is no open interval to close")
    end = last.time if close.end is None else close.end
    if not start <= end <= stamp.time:
        raise ChainError(f"interval from {start} to {end}: it has not ended at {stamp.time}")
    closing = {} if close.end is None else registers_at(last, end, manifest.tolerance_ms)
    states = {**_states(last), **close.states}
    rows = tuple(
        build_row(
            meter=meter,
            identity=identity,
            start=start,
            end=UnixMs(end),
            opening=tip.openings.get(meter),
            closing=closing.get(meter),
            clocks=tip.clocks,
            state=states.get(meter, MeterState.NOT_PRESENT),
            flags=_flags(tip, meter),
            highest_wh=close.highest_wh.get(meter),
        )
        for meter, identity in enumerate(manifest.meters)
    )
    return Interval(
        start=start,
        end=UnixMs(end),
        first_seq=tip.tree_start,
        count=len(tip.leaves),
        root=merkle.root(tip.leaves),
        manifest_hash=tip.manifest_hash,
        checkpoint=close.checkpoint,
        flags=Interval.PARTIAL if tip.late or close.end is None else 0,
        rows=rows,
    )


def _flags(tip: Tip, meter: int) -> RowFlag:
    exchanged = RowFlag.METER_EXCHANGED if meter in tip.exchanged else RowFlag(0)
    return exchanged | tip.flagged.get(meter, RowFlag(0))


def _states(record: Record) -> dict[int, MeterState]:
    if not isinstance(record.body, Reading):
        return {}
    return {meter.meter: meter.state for meter in record.body.meters}
