"""Which records a snapshot leads to: intervals, gaps, clocks, epochs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterseal.interval import energy_wh
from meterseal.records import (
    Clock,
    Event,
    EventCode,
    Gap,
    GapReason,
    Interval,
    Kind,
    Manifest,
    MeterState,
    Restore,
    RestoreReason,
    RowFlag,
)
from meterseal.types import Seq, UnixMs
from meterseal_agent.record import Reopening
from support.device import INTERVAL_S, METER, NOON_MS, Bench, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.records import Record

GOOD, SILENT = MeterState.GOOD, MeterState.TIMEOUT


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(folder=tmp_path)


def kinds(records: list[Record]) -> list[Kind]:
    return [record.kind for record in records]


def bodies(bench: Bench, kind: type[Gap | Event | Restore]) -> list[object]:
    return [record.body for record in bench.records() if isinstance(record.body, kind)]


def test_the_boundary_reading_is_signed_first_and_the_interval_right_behind_it(
    bench: Bench,
) -> None:
    bench.turn_on()
    for _ in range(5):
        bench.read()

    records = bench.read()

    assert kinds(records) == [Kind.READING, Kind.INTERVAL]
    body = records[1].body
    assert isinstance(body, Interval)
    assert body.first_seq + body.count == records[1].seq
    assert body.end == NOON_MS + INTERVAL_S * 1000


def test_closing_and_next_opening_are_one_value_of_one_record(bench: Bench) -> None:
    bench.turn_on()
    for _ in range(18):
        bench.read()

    rows = [interval.rows[0] for interval in bench.intervals()]

    assert rows[1].opening_import_wh == rows[0].closing_import_wh == 1060
    assert rows[2].opening_import_wh == rows[1].closing_import_wh
    assert energy_wh(rows[1]) == (60, 0)


def test_an_agent_that_starts_on_a_boundary_closes_a_whole_interval_without_opening(
    bench: Bench,
) -> None:
    bench.turn_on()
    bench.read(after_ms=0)
    for _ in range(6):
        bench.read()

    first = bench.intervals()[0]

    # Its manifest stands in front of the reading, so no boundary reading opened the interval.
    assert first.flags == 0
    assert first.rows[0].flags == RowFlag.NO_OPENING


def test_an_agent_that_starts_late_closes_a_partial_interval(bench: Bench) -> None:
    bench.now_ms += 17_000
    bench.turn_on()
    for _ in range(5):
        bench.read()

    assert [interval.flags for interval in bench.intervals()] == [Interval.PARTIAL]


def test_no_good_reading_at_the_boundary_is_null_and_never_the_last_value(bench: Bench) -> None:
    bench.turn_on()
    for _ in range(5):
        bench.read()

    bench.read(SILENT)
    bench.read()

    row = bench.intervals()[0].rows[0]
    assert (row.closing_import_wh, row.closing_offset_ms) == (None, None)
    assert row.flags & RowFlag.NO_CLOSING
    assert row.state is SILENT


def test_a_snapshot_without_an_answer_is_no_reading(bench: Bench) -> None:
    bench.turn_on()
    bench.read()

    assert bench.read(SILENT) == []
    assert bench.read(SILENT) == []


def test_silence_is_one_gap_when_the_meter_answers_again(bench: Bench) -> None:
    bench.turn_on()
    bench.read()
    last_ms = bench.now_ms
    bench.read(SILENT)
    bench.read(SILENT)

    records = bench.read()

    assert kinds(records) == [Kind.GAP, Kind.READING]
    assert records[0].body == Gap(
        start=UnixMs(last_ms),
        end=UnixMs(bench.now_ms),
        reason=GapReason.NO_METER_ANSWERED,
        meter=None,
    )


def test_silence_over_a_boundary_is_stated_in_each_interval(bench: Bench) -> None:
    bench.turn_on()
    for _ in range(3):
        bench.read()
    for _ in range(9):
        bench.read(SILENT)
    bench.read()

    gaps = [gap for gap in bodies(bench, Gap) if isinstance(gap, Gap)]

    assert gaps[0].end == NOON_MS + 60_000
    assert gaps[1].start == gaps[0].end


def test_silence_over_many_intervals_is_one_gap_and_closes_only_what_was_open(
    bench: Bench,
) -> None:
    bench.turn_on()
    bench.read(SILENT, after_ms=200_000)
    bench.read(SILENT)

    bench.read()

    spans = [(each.start - NOON_MS, each.end - NOON_MS) for each in bench.intervals()]
    found = [gap for gap in bodies(bench, Gap) if isinstance(gap, Gap)]
    gaps = [(gap.start - NOON_MS, gap.end - NOON_MS) for gap in found]
    assert spans == [(0, 60_000)]
    assert gaps == [(0, 60_000), (60_000, 220_000)]


def test_one_silent_meter_of_two_does_not_hide_the_other(bench: Bench) -> None:
    bench.wanted = manifest(METER, replace(METER, serial="4712", address=2))
    bench.turn_on()

    records = bench.read(GOOD, SILENT)

    assert kinds(records) == [Kind.READING]


def test_dark_quarters_get_one_gap_and_no_intervals(bench: Bench) -> None:
    bench.turn_on()
    for _ in range(7):
        bench.read()
    bench.turn_off()
    bench.now_ms += 10 * INTERVAL_S * 1000

    bench.turn_on()

    assert [interval.end - NOON_MS for interval in bench.intervals()] == [60_000, 120_000]
    gaps = [gap for gap in bodies(bench, Gap) if isinstance(gap, Gap)]
    assert [gap.reason for gap in gaps] == [GapReason.AGENT_STOPPED]


def test_after_a_power_cut_that_lost_nothing_the_open_interval_is_closed_first_as_partial(
    bench: Bench,
) -> None:
    """The aggregator answered, so no epoch is needed; power was lost all the same."""
    bench.turn_on()
    for _ in range(3):
        bench.read()
    tip_time = bench.store.tip.last
    bench.cut_power(dark_ms=300_000)

    records = bench.turn_on(answered=True)

    assert kinds(records) == [Kind.INTERVAL, Kind.GAP, Kind.EVENT]
    body = records[0].body
    assert isinstance(body, Interval)
    assert body.flags == Interval.PARTIAL
    assert tip_time is not None
    assert body.end == tip_time.time


def test_a_meter_that_was_exchanged_gives_a_new_manifest_and_a_flag(bench: Bench) -> None:
    bench.turn_on()
    for _ in range(8):
        bench.read()

    bench.wanted = manifest(replace(METER, serial="9999"))
    records = bench.read()
    for _ in range(4):
        bench.read()

    assert kinds(records) == [Kind.MANIFEST, Kind.READING]
    assert isinstance(records[0].body, Manifest)
    row = bench.intervals()[1].rows[0]
    assert row.flags & RowFlag.METER_EXCHANGED
    assert row.opening_import_wh is None


def test_a_believed_clock_below_the_floor_opens_an_epoch_with_reason_3(bench: Bench) -> None:
    bench.turn_on()
    bench.read()
    bench.now_ms -= 3_600_000
    bench.booted_ms -= 3_600_000

    records = bench.read()

    assert kinds(records)[:3] == [Kind.INTERVAL, Kind.RESTORE, Kind.EVENT]
    body = records[1].body
    assert isinstance(body, Restore)
    assert body.reason is RestoreReason.CLOCK
    assert records[-1].time == bench.now_ms


def test_a_clock_that_cannot_be_believed_is_held_at_the_floor_and_goes_on(bench: Bench) -> None:
    """A board without a battery clock wakes up in 1970, without a network."""
    bench.turn_on()
    bench.read()
    floor = bench.now_ms
    bench.cut_power()
    bench.now_ms, bench.booted_ms, bench.clock = 10_000, 0, Clock.UNSYNCHRONISED
    bench.turn_on()

    one = bench.read()[-1]
    two = bench.read()[-1]

    assert one.time >= floor
    assert two.time == one.time + 10_000
    assert one.clock is Clock.UNSYNCHRONISED


def test_the_first_synchronisation_closes_the_open_interval_as_partial(bench: Bench) -> None:
    bench.clock = Clock.UNSYNCHRONISED
    bench.turn_on()
    bench.read()
    bench.clock = Clock.SYNCHRONISED
    bench.now_ms += 86_400_000
    bench.booted_ms += 86_400_000

    records = bench.read()

    assert kinds(records)[:2] == [Kind.INTERVAL, Kind.EVENT]
    assert records[1].body == Event(
        code=EventCode.CLOCK_STEP, detail=(bench.now_ms - 86_400_000, bench.now_ms)
    )


def test_a_restore_behind_a_record_that_we_did_not_hold_links_to_it(
    bench: Bench, tmp_path: Path
) -> None:
    """A card from last week meets an aggregator that holds more. Method: two benches, one key."""
    ahead = Bench(folder=tmp_path / "ahead", nonces=100)
    ahead.turn_on()
    for _ in range(4):
        ahead.read()
    bench.turn_on()
    head = ahead.store.tip.head
    assert head is not None
    data = [one.data for one in ahead.released]
    for each in (data[-1], data[1]):
        bench.store.keep_recovered(each)

    reopening = Reopening(
        reason=RestoreReason.AGGREGATOR_AHEAD, base=head, missing=(Seq(2), Seq(5))
    )
    bench.now_ms = ahead.now_ms
    records = bench.reopen(reopening)

    assert (records[0].epoch, records[0].seq, records[0].prev) == (1, head.seq + 1, head.hash)
    bench.turn_off()
    bench.open()
    bench.check()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["read", "silent", "restart", "cut", "late"]), max_size=40))
def test_differences_over_any_run_telescope_to_last_closing_minus_first_opening(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    bench = Bench(folder=tmp_path_factory.mktemp("bench"))
    bench.turn_on()
    for step in steps:
        match step:
            case "read":
                bench.read()
            case "silent":
                bench.read(SILENT)
            case "late":
                bench.read(after_ms=23_000)
            case "restart":
                bench.turn_off()
                bench.turn_on()
            case _:
                bench.cut_power(dark_ms=95_000)
                bench.turn_on()
    rows = [interval.rows[0] for interval in bench.intervals()]

    run = 0
    for before, after in pairwise(rows):
        if None in {before.closing_import_wh, after.opening_import_wh}:
            continue
        energy, _ = energy_wh(after)
        if energy is not None:
            assert after.opening_import_wh is not None
            assert after.closing_import_wh is not None
            assert energy == after.closing_import_wh - after.opening_import_wh
            run += energy
    assert run <= bench.import_wh
    bench.turn_off()
