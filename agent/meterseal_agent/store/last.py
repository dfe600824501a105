"""The last value that was signed of each meter and pulse input: what the next one must continue.

There is no table of totals beside the chain that could say something else. A counter's turns and
the pulses of an input are what the last signed reading says, found by looking back through the
newest records. A meter that has been silent for longer than that, or whose readings were pruned,
is found by the rows of the intervals, which have import and export only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from meterseal.quantities import BY_NAME, ENERGY_EXPORT, ENERGY_IMPORT
from meterseal.records import Interval, Kind, Manifest, MeterState, Reading, Record, decode_record
from meterseal_agent.gate import base_keys
from meterseal_agent.store.schema import place

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from meterseal.records import MeterIdentity, MeterReading

S0_COUNT: Final = BY_NAME["s0_count"].code
# Half a day at one reading in ten seconds, and a month of quarter-hours: a second or two of work,
# and only where a meter is silent.
_READINGS_MAX = 4_320
_INTERVALS_MAX = 2_976


@dataclass(frozen=True, kw_only=True, slots=True)
class LastReading:
    """What was signed last of a meter.

    Attributes:
        at_ms: UTC milliseconds at which it was read.
        values: All values, by quantity code.
        counters: The codes among them whose raw words were kept.
    """

    at_ms: int
    values: Mapping[int, int | None]
    counters: frozenset[int]


@dataclass(kw_only=True, slots=True)
class LastValues:
    """What was signed last, of meters by plate (`base_keys`) and of pulse inputs by name."""

    meters: dict[bytes, LastReading] = field(default_factory=dict)
    pulses: dict[str, int] = field(default_factory=dict)

    def note(self, manifest: Manifest, reading: Reading, time_ms: int) -> None:
        """Take what an older reading says of those that are not found yet."""
        keys = base_keys(manifest.meters)
        for one in reading.meters:
            if one.state is not MeterState.GOOD:
                continue
            if one.meter < len(keys):
                self.meters.setdefault(keys[one.meter], _last(one, time_ms))
            elif one.meter - len(keys) < len(manifest.s0):
                count = one.values.get(S0_COUNT)
                if count is not None:
                    self.pulses.setdefault(manifest.s0[one.meter - len(keys)].name, count)

    def note_rows(self, manifest: Manifest, interval: Interval) -> None:
        """Take what an older interval closed with."""
        keys = base_keys(manifest.meters)
        for row in interval.rows:
            values = {ENERGY_IMPORT: row.closing_import_wh, ENERGY_EXPORT: row.closing_export_wh}
            known = {code: value for code, value in values.items() if value is not None}
            if known and row.closing_offset_ms is not None and row.meter < len(keys):
                last = LastReading(
                    at_ms=interval.end + row.closing_offset_ms,
                    values=known,
                    counters=frozenset(known),
                )
                self.meters.setdefault(keys[row.meter], last)

    def lacks(self, meters: Sequence[MeterIdentity], inputs: Sequence[str]) -> bool:
        """Tell whether one of these has not been found."""
        return not (
            set(base_keys(meters)) <= self.meters.keys() and set(inputs) <= self.pulses.keys()
        )


def last_values(
    connection: sqlite3.Connection, meters: Sequence[MeterIdentity], inputs: Sequence[str]
) -> LastValues:
    """Look back until everybody is found, or for as long as is worth it.

    The records were checked when the store was opened, or when they were signed.
    """
    found = LastValues()
    _note_recovered(connection, found)
    for manifest, record in _back(connection, Kind.READING, _READINGS_MAX):
        if isinstance(record.body, Reading):
            found.note(manifest, record.body, record.time)
        if not found.lacks(meters, inputs):
            return found
    for manifest, record in _back(connection, Kind.INTERVAL, _INTERVALS_MAX):
        if isinstance(record.body, Interval):
            found.note_rows(manifest, record.body)
        if not found.lacks(meters, ()):
            break
    return found


def _note_recovered(connection: sqlite3.Connection, found: LastValues) -> None:
    """Take what came back from the aggregator, if it is newer than all that this card has.

    Such a record's own manifest may be missing here; it is read by the last one that is not.
    """
    _, manifest = next(_manifests(connection), (-1, None))
    (newest,) = connection.execute(
        "SELECT coalesce(max(place), -1) FROM record WHERE kind = ?", (Kind.READING,)
    ).fetchone()
    rows = connection.execute("SELECT bytes FROM recovered").fetchall()
    records = [decode_record(data) for (data,) in rows]
    for record in sorted(records, key=lambda one: (one.epoch, one.seq), reverse=True):
        newer = place(record.epoch, record.seq) > newest
        if manifest is not None and newer and isinstance(record.body, Reading):
            found.note(manifest, record.body, record.time)


def _back(
    connection: sqlite3.Connection, kind: Kind, limit: int
) -> Iterator[tuple[Manifest, Record]]:
    """Records of one kind, newest first, each with the manifest that was in force."""
    manifests = _manifests(connection)
    at, manifest = next(manifests, (-1, None))
    cursor = connection.execute(
        "SELECT place, bytes FROM record WHERE kind = ? ORDER BY place DESC LIMIT ?", (kind, limit)
    )
    for here, data in cursor:
        while manifest is not None and at > here:
            at, manifest = next(manifests, (-1, None))
        if manifest is None:
            return
        yield manifest, decode_record(data)


def _manifests(connection: sqlite3.Connection) -> Iterator[tuple[int, Manifest]]:
    cursor = connection.execute(
        "SELECT place, bytes FROM record"
        " WHERE light_n IS NOT NULL AND kind = ? ORDER BY place DESC",
        (Kind.MANIFEST,),
    )
    for here, data in cursor:
        body = decode_record(data).body
        if isinstance(body, Manifest):
            yield here, body


def _last(reading: MeterReading, time_ms: int) -> LastReading:
    return LastReading(
        at_ms=time_ms + reading.offset_ms,
        values=reading.values,
        counters=frozenset(code for code, raw in reading.raw.items() if raw is not None),
    )
