"""Intervals: boundaries in time, the tree over their records, and rows that telescope (protocol 5).

- A boundary is a whole multiple of the interval's length since 1970, so quarter-hours are UTC's.
- A meter's first good reading in [boundary, boundary + tolerance] is its boundary reading. It
  closes one interval and opens the next: one value of one record, so differences telescope.
- There is no other boundary reading: without one the row says null, never the last known value.
- Nothing is corrected here. A counter that falls, jumps or belongs to another meter is flagged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal.bodies import Clock, MeterState, Reading
from meterseal.errors import ChainError
from meterseal.merkle import CompactRange
from meterseal.quantities import ENERGY_EXPORT, ENERGY_IMPORT
from meterseal.rows import Row, RowFlag, meter_id
from meterseal.types import Hash, Seq, UnixMs, WattHours

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meterseal.bodies import Interval, MeterIdentity
    from meterseal.records import Record

_FROM_BEST: Final = (Clock.SYNCHRONISED, Clock.INFORMATIVE, Clock.RELATIVE, Clock.UNSYNCHRONISED)
_OFFSET_MAX_MS: Final = 2**32 - 2
_NO_FLAGS: Final = RowFlag(0)


def interval_start(time_ms: int, interval_s: int) -> UnixMs:
    """Give the last boundary at or before `time_ms`."""
    length_ms = interval_s * 1000
    return UnixMs(time_ms - time_ms % length_ms)


def next_boundary(time_ms: int, interval_s: int) -> UnixMs:
    """Give the first boundary after `time_ms`."""
    return UnixMs(interval_start(time_ms, interval_s) + interval_s * 1000)


def worst_clock(clocks: Iterable[Clock]) -> Clock:
    """Give the worst of the clock states of an interval's records; SYNCHRONISED for none."""
    return max(clocks, key=_FROM_BEST.index, default=Clock.SYNCHRONISED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Registers:
    """One meter's billing counters at a boundary.

    Attributes:
        at: UTC milliseconds when they were read.
        import_wh: Counter of import, None if the meter has no value.
        export_wh: Counter of export, None if the meter has no value.
    """

    at: UnixMs
    import_wh: int | None
    export_wh: int | None


def boundary_registers(record: Record, boundary: UnixMs, tolerance_ms: int) -> dict[int, Registers]:
    """Pick from a record what counts as reading at `boundary`, by meter index.

    Args:
        record: Any record; only readings give something.
        boundary: Beginning of the window in UTC milliseconds.
        tolerance_ms: Length of the window.
    """
    if not isinstance(record.body, Reading):
        return {}
    found: dict[int, Registers] = {}
    for meter in record.body.meters:
        at = UnixMs(record.time + meter.offset_ms)
        import_wh = meter.values.get(ENERGY_IMPORT)
        export_wh = meter.values.get(ENERGY_EXPORT)
        inside = boundary <= at <= boundary + tolerance_ms
        if inside and meter.state is MeterState.GOOD and (import_wh, export_wh) != (None, None):
            found[meter.meter] = Registers(at=at, import_wh=import_wh, export_wh=export_wh)
    return found


def build_row(  # noqa: PLR0913 - a row is what these eight say
    *,
    meter: int,
    identity: MeterIdentity,
    start: UnixMs,
    end: UnixMs,
    opening: Registers | None,
    closing: Registers | None,
    clocks: Iterable[Clock],
    state: MeterState,
    flags: RowFlag = _NO_FLAGS,
    highest_wh: int | None = None,
) -> Row:
    """Build one meter's row from its two boundary readings.

    Args:
        meter: Index in the manifest.
        identity: The meter, as the manifest names it.
        start: Beginning of the interval.
        end: End of the interval.
        opening: Boundary reading at `start`: the very one that closed the interval before.
        closing: Boundary reading at `end`.
        clocks: Clock state of every record in the interval.
        state: The meter's state at the close.
        flags: What the caller knows beyond this, e.g. METER_EXCHANGED.
        highest_wh: Most energy that the meter's rating lets flow in the interval, if known.
    """
    seen = list(clocks)
    if opening is None:
        flags |= RowFlag.NO_OPENING
    if closing is None:
        flags |= RowFlag.NO_CLOSING
    if any(clock is not Clock.SYNCHRONISED for clock in seen):
        flags |= RowFlag.CLOCK_LOST
    for delta in _deltas(opening, closing):
        if delta < 0:
            flags |= RowFlag.COUNTER_FELL
        if highest_wh is not None and delta > highest_wh:
            flags |= RowFlag.COUNTER_JUMPED
    return Row(
        meter=meter,
        state=state,
        clock=worst_clock(seen),
        flags=int(flags),
        opening_import_wh=opening.import_wh if opening else None,
        opening_export_wh=opening.export_wh if opening else None,
        closing_import_wh=closing.import_wh if closing else None,
        closing_export_wh=closing.export_wh if closing else None,
        opening_offset_ms=_offset(opening, start),
        closing_offset_ms=_offset(closing, end),
        meter_id=meter_id(identity),
    )


def energy_wh(row: Row) -> tuple[WattHours | None, WattHours | None]:
    """Give import and export of an interval; None where an end is null or the row is flagged."""
    if row.flags:
        return None, None
    return (
        _difference(row.opening_import_wh, row.closing_import_wh),
        _difference(row.opening_export_wh, row.closing_export_wh),
    )


def check_telescopes(before: Interval, after: Interval) -> None:
    """Check that each meter's closing registers are the next interval's opening registers.

    Raises:
        ChainError: If `after` begins where `before` ends and a meter's registers differ.
    """
    if after.start != before.end:
        return
    closings = {(row.meter, row.meter_id): row for row in before.rows}
    for row in after.rows:
        last = closings.get((row.meter, row.meter_id))
        if last is None or row.opening_offset_ms is None:
            continue
        closing = (last.closing_import_wh, last.closing_export_wh, last.closing_offset_ms)
        opening = (row.opening_import_wh, row.opening_export_wh, row.opening_offset_ms)
        if closing != opening:
            raise ChainError(
                f"interval from {after.start}, meter {row.meter}: opens with {opening}, "
                f"the interval before closed with {closing}"
            )


class OpenInterval:
    """The tree over the records since the last interval or restore.

    Attributes:
        first_seq: Sequence number of the first leaf.
    """

    __slots__ = ("_tree", "first_seq")

    def __init__(self, first_seq: Seq, leaves: Iterable[Hash] = ()) -> None:
        """Begin at `first_seq`, or take up again with the hashes of the records since.

        Args:
            first_seq: Sequence number of the first leaf.
            leaves: Hashes of the records from there on, in order.
        """
        self.first_seq = first_seq
        self._tree = CompactRange()
        for leaf in leaves:
            self.add(leaf)

    def add(self, record_hash: Hash) -> None:
        """Append the next record."""
        self._tree.append(record_hash)

    @property
    def count(self) -> int:
        """Number of leaves; the interval record's sequence number is first_seq + count."""
        return self._tree.size

    @property
    def root(self) -> Hash:
        """RFC 9162 root over the leaves."""
        return self._tree.root()


def _deltas(opening: Registers | None, closing: Registers | None) -> list[int]:
    if opening is None or closing is None:
        return []
    pairs = (
        (opening.import_wh, closing.import_wh),
        (opening.export_wh, closing.export_wh),
    )
    return [last - first for first, last in pairs if first is not None and last is not None]


def _difference(first: int | None, last: int | None) -> WattHours | None:
    return None if first is None or last is None else WattHours(last - first)


def _offset(registers: Registers | None, boundary: UnixMs) -> int | None:
    return None if registers is None else min(max(registers.at - boundary, 0), _OFFSET_MAX_MS)
