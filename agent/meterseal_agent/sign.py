"""The next record, built and signed from what the chain holds: pure, no clock, no disk.

`Tip` is everything that the next record depends on: the chain's head, the manifest in force, and
the interval that is open. It is made by following records, whether they were just signed or read
back from the store, so that a restart continues exactly where the last commit ended.

- A boundary reading is signed first and the interval record right behind it: the reading is the
  last leaf of the interval it closes, and the opening of the next one. (protocol 5)
- What a tip was made from is checked again by `chain.advance` before it leaves us.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from meterseal import chain, merkle
from meterseal.errors import ChainError
from meterseal.interval import Registers, boundary_registers, build_row, interval_start
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
    meter_id,
    record_hash,
)
from meterseal.types import ZERO_HASH, DeviceId, Epoch, Hash, Seq, UnixMs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal.keys import SigningKey

_FIRST = Seq(0)


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
    """

    end: UnixMs | None
    checkpoint: CheckpointPointer | None = None
    states: Mapping[int, MeterState] = field(default_factory=dict)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Tip:
    """What the next record depends on.

    Attributes:
        head: The chain's head, or None before genesis.
        manifest: The manifest in force.
        manifest_hash: Hash of its record.
        last: The newest record.
        tree_start: Sequence number of the open interval's first leaf.
        leaves: Hashes of the records since the last interval or restore.
        start: Start of the open interval, or None while no record is in it.
        openings: Boundary reading of each meter at `start`.
        late: The open interval was begun after its boundary window: it will be partial.
        clocks: Clock states of the open interval's records.
        exchanged: Meters whose identity changed within the open interval.
    """

    device: DeviceId
    head: chain.Head | None = None
    manifest: Manifest | None = None
    manifest_hash: Hash = ZERO_HASH
    last: Record | None = None
    tree_start: Seq = _FIRST
    leaves: tuple[Hash, ...] = ()
    start: UnixMs | None = None
    openings: Mapping[int, Registers] = field(default_factory=dict)
    late: bool = False
    clocks: frozenset[Clock] = frozenset()
    exchanged: frozenset[int] = frozenset()

    @property
    def end(self) -> UnixMs | None:
        """End of the open interval."""
        if self.start is None or self.manifest is None:
            return None
        return UnixMs(self.start + self.manifest.interval_s * 1000)

    def follow(self, record: Record, hashed: Hash, *, base: chain.Head | None = None) -> Tip:
        """The tip behind `record`, whose signature the caller has made or checked.

        Args:
            record: The next record.
            hashed: Its record hash.
            base: For a restore: the head at the record that it names.

        Raises:
            ChainError: If `record` does not continue the chain.
        """
        head = chain.advance(base if base is not None else self.head, record, hashed)
        return _behind(replace(self, head=head, last=record), record, hashed, self.last)

    @classmethod
    def behind(
        cls,
        record: Record,
        hashed: Hash,
        *,
        before: Record | None,
        manifest: Manifest | None,
        manifest_hash: Hash,
    ) -> Tip:
        """The tip behind an interval or restore, where the chain before it is not at hand.

        Args:
            record: A record of kind 2 or 5, its signature checked.
            hashed: Its record hash.
            before: The record in front of it, which may be the boundary reading.
            manifest: The manifest in force, if there is one.
            manifest_hash: Hash of the manifest's record.
        """
        tip = cls(
            device=record.device,
            head=head_at(record, hashed),
            manifest=manifest,
            manifest_hash=manifest_hash,
            last=record,
        )
        return _behind(tip, record, hashed, before)


def head_at(record: Record, hashed: Hash, light: Light | None = None) -> chain.Head:
    """The chain's head at a record, from the record alone.

    Args:
        record: A record whose signature is checked.
        hashed: Its record hash.
        light: Number and hash of the last logged record, where `record` is a reading.

    Raises:
        ChainError: If `record` is a reading and nothing tells the light chain's state.
    """
    at = light if record.light is None else Light(n=record.light.n, hash=hashed)
    if at is None:
        raise ChainError(f"reading {record.epoch}/{record.seq}: its light chain is not known")
    return chain.Head(
        device=record.device,
        epoch=record.epoch,
        seq=record.seq,
        hash=hashed,
        light_n=at.n,
        light_hash=at.hash,
        time=record.time,
        up=record.up,
    )


def sign(tip: Tip, draft: Draft, stamp: Stamp, key: SigningKey) -> tuple[Signed, Tip]:
    """Build and sign the next record.

    Returns:
        The record, which nobody may see before it is durable, and the tip behind it.

    Raises:
        ChainError: If the record would break the chain (our own defect, caught before it leaves).
        EncodingError: If a reader would refuse it.
    """
    base = draft.base if isinstance(draft, Reopen) else tip.head
    body = _body(tip, draft)
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


def _behind(tip: Tip, record: Record, hashed: Hash, before: Record | None) -> Tip:
    match record.body:
        case Interval():
            return _after_interval(tip, record.body, before)
        case Restore():
            fresh = replace(tip, tree_start=record.seq, leaves=(), start=None)
            return _with_leaf(fresh, record, hashed)
        case Manifest():
            changed = _exchanged(tip.manifest, record.body)
            openings = {m: at for m, at in tip.openings.items() if m not in changed}
            tip = replace(
                tip,
                manifest=record.body,
                manifest_hash=hashed,
                openings=openings,
                exchanged=tip.exchanged | changed,
            )
            return _with_leaf(tip, record, hashed)
        case _:
            return _with_leaf(tip, record, hashed)


def _with_leaf(tip: Tip, record: Record, hashed: Hash) -> Tip:
    manifest, end = tip.manifest, tip.end
    # Without a manifest this is a restore on a store that lost its records: the manifest follows.
    if manifest is not None and (end is None or (not tip.leaves and record.time >= end)):
        # Nothing was recorded in the interval before: dark time belongs to no interval.
        start = interval_start(record.time, manifest.interval_s)
        tip = replace(
            tip,
            start=start,
            # A boundary reading that closes nothing still opens an interval.
            openings=_registers(record, start, manifest.tolerance_ms),
            late=record.time > start + manifest.tolerance_ms,
            clocks=frozenset(),
            exchanged=frozenset(),
        )
    return replace(tip, leaves=(*tip.leaves, hashed), clocks=tip.clocks | {record.clock})


def _after_interval(tip: Tip, body: Interval, before: Record | None) -> Tip:
    tip = replace(
        tip,
        tree_start=Seq(body.first_seq + body.count + 1),
        leaves=(),
        start=None,
        openings={},
        late=False,
        clocks=frozenset(),
        exchanged=frozenset(),
    )
    if tip.manifest is None or body.end - body.start != tip.manifest.interval_s * 1000:
        return tip
    closing = _registers(before, body.end, tip.manifest.tolerance_ms)
    clocks = frozenset({before.clock} if before is not None and closing else ())
    return replace(tip, start=body.end, openings=closing, clocks=clocks)


def _body(tip: Tip, draft: Draft) -> Body:
    match draft:
        case Close():
            return _interval(tip, draft)
        case Reopen():
            return draft.restore
        case _:
            return draft


def _interval(tip: Tip, close: Close) -> Interval:
    manifest, last, start = tip.manifest, tip.last, tip.start
    if manifest is None or last is None or start is None or not tip.leaves:
        raise ChainError("interval: there is no open interval to close")
    end = last.time if close.end is None else close.end
    closing = {} if close.end is None else _registers(last, end, manifest.tolerance_ms)
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
            flags=RowFlag.METER_EXCHANGED if meter in tip.exchanged else RowFlag(0),
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


def _registers(record: Record | None, boundary: int, tolerance_ms: int) -> Mapping[int, Registers]:
    if record is None:
        return {}
    return boundary_registers(record, UnixMs(boundary), tolerance_ms)


def _states(record: Record) -> dict[int, MeterState]:
    if not isinstance(record.body, Reading):
        return {}
    return {meter.meter: meter.state for meter in record.body.meters}


def _exchanged(before: Manifest | None, after: Manifest) -> frozenset[int]:
    """Meters that are not the ones that stood at their place before."""
    if before is None:
        return frozenset()
    old = dict(enumerate(map(meter_id, before.meters)))
    new = dict(enumerate(map(meter_id, after.meters)))
    return frozenset(m for m in old.keys() | new.keys() if old.get(m) != new.get(m))
