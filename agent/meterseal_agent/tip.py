"""The tip: everything that the next record depends on, made by following records.

Whether a record was just signed or read back from the store, following it gives the same tip; so a
restart continues exactly where the last commit ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from meterseal import chain
from meterseal.errors import ChainError
from meterseal.interval import Registers, boundary_registers, interval_start
from meterseal.records import (
    Clock,
    Event,
    Interval,
    Light,
    Manifest,
    Record,
    Restore,
    RowFlag,
    meter_id,
)
from meterseal.types import ZERO_HASH, DeviceId, Hash, Seq, UnixMs
from meterseal_agent.alarm import row_flags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meterseal.records import Body

_FIRST = Seq(0)


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
        flagged: What events of the open interval say against the counters of a meter.
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
    flagged: Mapping[int, RowFlag] = field(default_factory=dict)

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


def registers_at(
    record: Record | None, boundary: int, tolerance_ms: int
) -> Mapping[int, Registers]:
    """What a record says as reading at a boundary; nothing if there is no record."""
    if record is None:
        return {}
    return boundary_registers(record, UnixMs(boundary), tolerance_ms)


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
            openings=registers_at(record, start, manifest.tolerance_ms),
            late=record.time > start + manifest.tolerance_ms,
            clocks=frozenset(),
            exchanged=frozenset(),
            flagged={},
        )
    return replace(
        tip,
        leaves=(*tip.leaves, hashed),
        clocks=tip.clocks | {record.clock},
        flagged=_flagged(tip.flagged, record.body),
    )


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
        flagged={},
    )
    if tip.manifest is None or body.end - body.start != tip.manifest.interval_s * 1000:
        return tip
    closing = registers_at(before, body.end, tip.manifest.tolerance_ms)
    clocks = frozenset({before.clock} if before is not None and closing else ())
    return replace(tip, start=body.end, openings=closing, clocks=clocks)


def _exchanged(before: Manifest | None, after: Manifest) -> frozenset[int]:
    """Meters that are not the ones that stood at their place before."""
    if before is None:
        return frozenset()
    old = dict(enumerate(map(meter_id, before.meters)))
    new = dict(enumerate(map(meter_id, after.meters)))
    return frozenset(m for m in old.keys() | new.keys() if old.get(m) != new.get(m))


def _flagged(before: Mapping[int, RowFlag], body: Body) -> Mapping[int, RowFlag]:
    found = row_flags(body) if isinstance(body, Event) else None
    if found is None:
        return before
    meter, flags = found
    return {**before, meter: before.get(meter, RowFlag(0)) | flags}
