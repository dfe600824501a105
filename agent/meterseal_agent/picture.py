"""The picture of this moment for the status page, put together from what each part knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from meterseal.quantities import BY_CODE, ENERGY_EXPORT, ENERGY_IMPORT
from meterseal.records import Kind, MeterState, Reading, decode_record
from meterseal_agent.status.view import (
    EnergyToday,
    MeterView,
    RecordView,
    StateCount,
)
from meterseal_agent.store import receipts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from meterseal.records import MeterIdentity
    from meterseal_agent.config import MeterConfig
    from meterseal_agent.poll import MeterHealth, MeterSample
    from meterseal_agent.status.view import RecordState
    from meterseal_agent.store.schema import Place
    from meterseal_agent.tip import Tip


def meter_views(
    meters: Sequence[MeterConfig],
    identities: Sequence[MeterIdentity],
    health: Sequence[MeterHealth],
) -> tuple[MeterView, ...]:
    """What each meter says now, with the time at which it said it."""
    return tuple(
        MeterView(
            name=meter.name,
            role=meter.role,
            model=f"{identity.make} {identity.model}".strip(),
            serial=identity.serial,
            state=now.state.value,
            since_ms=now.since_ms,
            at_ms=None if now.last_good is None else now.last_good.at_ms,
            values={} if now.last_good is None else _named(now.last_good),
            message=now.message,
        )
        for meter, identity, now in zip(meters, identities, health, strict=True)
    )


def record_view(connection: sqlite3.Connection, tip: Tip, sent: Place) -> RecordView | None:
    """The head and the states; called in the store's thread."""
    head = tip.head
    if head is None:
        return None
    return RecordView(
        epoch=head.epoch,
        seq=head.seq,
        hash_hex=head.hash.hex(),
        time_ms=head.time,
        light_n=head.light_n,
        states=tuple(
            StateCount(state=cast("RecordState", one.state), count=one.count, since_ms=one.since_ms)
            for one in receipts.counts(connection, sent)
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Counters:
    """Energy counters of one meter at one moment, in watt-hours."""

    at_ms: int
    import_wh: int | None
    export_wh: int | None


@dataclass(kw_only=True, slots=True)
class Today:
    """The counters of each meter at the first good reading of the day; owned by the record task.

    Attributes:
        midnight_ms: When the day began, local time of the machine.
    """

    midnight_ms: int = -1
    openings: dict[int, Counters] = field(default_factory=dict)

    def begin(self, midnight_ms: int, openings: Mapping[int, Counters]) -> None:
        """Start a day with what the store has of it."""
        self.midnight_ms, self.openings = midnight_ms, dict(openings)

    def take(self, samples: Sequence[MeterSample]) -> None:
        """Note the first good sample of each meter."""
        for sample in samples:
            if sample.state is MeterState.GOOD and sample.at_ms >= self.midnight_ms:
                self.openings.setdefault(sample.meter, _counters(sample.values, sample.at_ms))

    def views(
        self, meters: Sequence[MeterConfig], health: Sequence[MeterHealth]
    ) -> tuple[EnergyToday, ...]:
        """What flowed since then, by the newest good samples."""
        shown = []
        for meter, now in zip(meters, health, strict=True):
            first, last = self.openings.get(now.meter), now.last_good
            if first is None or last is None or last.at_ms < first.at_ms:
                continue
            end = _counters(last.values, last.at_ms)
            shown.append(
                EnergyToday(
                    name=meter.name,
                    role=meter.role,
                    since_ms=first.at_ms,
                    at_ms=last.at_ms,
                    import_wh=_difference(first.import_wh, end.import_wh),
                    export_wh=_difference(first.export_wh, end.export_wh),
                )
            )
        return tuple(shown)


def midnight_ms(now_ms: int) -> int:
    """The last midnight of the machine's time zone."""
    local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone()
    start = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return round(start.timestamp() * 1000)


def openings_since(connection: sqlite3.Connection, since_ms: int) -> dict[int, Counters]:
    """Each meter's counters at its first good reading since then, from the store.

    Looks through one interval's readings at most, found by the logged records around it.
    """
    (start,) = connection.execute(
        "SELECT coalesce(max(place), -1) FROM record"
        " WHERE light_n IS NOT NULL AND kind = ? AND time_ms < ?",
        (Kind.INTERVAL, since_ms),
    ).fetchone()
    rows = connection.execute(
        "SELECT bytes FROM record WHERE place > ? AND kind = ? AND time_ms >= ?"
        " ORDER BY place LIMIT 1",
        (start, Kind.READING, since_ms),
    ).fetchall()
    found: dict[int, Counters] = {}
    for (data,) in rows:
        record = decode_record(data)
        if isinstance(record.body, Reading):
            for meter in record.body.meters:
                if meter.state is MeterState.GOOD:
                    at_ms = record.time + meter.offset_ms
                    found[meter.meter] = _counters(meter.values, at_ms)
    return found


def _named(sample: MeterSample) -> dict[str, int]:
    return {
        BY_CODE[code].name: value
        for code, value in sample.values.items()
        if value is not None and code in BY_CODE
    }


def _counters(values: Mapping[int, int | None], at_ms: int) -> Counters:
    return Counters(
        at_ms=at_ms, import_wh=values.get(ENERGY_IMPORT), export_wh=values.get(ENERGY_EXPORT)
    )


def _difference(first: int | None, last: int | None) -> int | None:
    return None if first is None or last is None else last - first
