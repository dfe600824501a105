"""Intervals: boundaries, the tree, and rows whose differences telescope."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal import merkle
from meterseal.bodies import Clock, MeterReading, MeterState, Reading
from meterseal.errors import ChainError
from meterseal.interval import (
    OpenInterval,
    Registers,
    boundary_registers,
    build_row,
    check_telescopes,
    energy_wh,
    interval_start,
    next_boundary,
    worst_clock,
)
from meterseal.rows import Row, RowFlag, decode_rows, encode_rows
from meterseal.types import Hash, Seq, UnixMs
from support.records import EVENT_RECORD, H1, INTERVAL, METER, NOON, READING, ROW, record_of

if TYPE_CHECKING:
    from meterseal.records import Record

LENGTHS = st.sampled_from([1, 10, 60, 300, 900, 3600, 86_400])
QUARTER_MS = 900_000
START, END = UnixMs(NOON - QUARTER_MS), NOON


@given(st.integers(0, 2**50), LENGTHS)
def test_boundaries_are_whole_multiples_since_1970(time_ms: int, length_s: int) -> None:
    start, following = interval_start(time_ms, length_s), next_boundary(time_ms, length_s)

    assert start <= time_ms < following
    assert start % (length_s * 1000) == 0
    assert following - start == length_s * 1000


def test_a_time_on_the_boundary_begins_the_interval() -> None:
    assert interval_start(NOON, 900) == NOON
    assert interval_start(NOON - 1, 900) == START
    assert next_boundary(NOON, 900) == NOON + QUARTER_MS


def reading(import_wh: int | None, *, offset_ms: int = 0, state: str = "G") -> Record:
    values = {} if state != "G" else {1: import_wh, 2: None}
    meter = MeterReading(
        meter=0, state=MeterState(state), offset_ms=offset_ms, values=values, raw={}
    )
    return record_of(Reading(meters=(meter,)))


@pytest.mark.parametrize(
    ("offset_ms", "counts"), [(-1, False), (0, True), (5000, True), (5001, False)]
)
def test_a_boundary_reading_lies_within_the_tolerance(offset_ms: int, *, counts: bool) -> None:
    found = boundary_registers(reading(7, offset_ms=offset_ms), NOON, 5000)

    assert (0 in found) == counts


@pytest.mark.parametrize("record", [reading(7, state="T"), reading(None), EVENT_RECORD])
def test_no_good_answer_is_no_boundary_reading(record: Record) -> None:
    assert boundary_registers(record, NOON, 5000) == {}


def test_each_meter_has_its_own_time() -> None:
    good = replace(READING.meters[0], values={1: 5, 2: 6}, raw={})
    record = record_of(
        Reading(meters=(replace(good, offset_ms=0), replace(good, meter=1, offset_ms=800)))
    )

    found = boundary_registers(record, NOON, 500)

    assert found == {0: Registers(at=NOON, import_wh=5, export_wh=6)}


def row(opening: Registers | None, closing: Registers | None, *clocks: Clock) -> Row:
    return build_row(
        meter=0,
        identity=METER,
        start=START,
        end=END,
        opening=opening,
        closing=closing,
        clocks=clocks or [Clock.SYNCHRONISED],
        state=MeterState.GOOD,
        highest_wh=25_000,
    )


def at(boundary: int, import_wh: int | None, export_wh: int | None = 0) -> Registers:
    return Registers(at=UnixMs(boundary + 300), import_wh=import_wh, export_wh=export_wh)


def test_an_honest_row_has_no_flag_and_tells_the_energy() -> None:
    honest = row(at(START, 1000, 50), at(END, 1250, 50))

    assert honest.flags == 0
    assert energy_wh(honest) == (250, 0)
    assert (honest.opening_offset_ms, honest.closing_offset_ms) == (300, 300)
    assert decode_rows(encode_rows([honest])) == (honest,)


def test_a_missing_boundary_is_null_and_flagged_never_the_last_known_value() -> None:
    opened, closed = row(at(START, 1000), None), row(None, at(END, 1250))

    assert (opened.flags, closed.flags) == (RowFlag.NO_CLOSING, RowFlag.NO_OPENING)
    assert (opened.closing_import_wh, opened.closing_offset_ms) == (None, None)
    assert (closed.opening_import_wh, closed.opening_offset_ms) == (None, None)
    assert energy_wh(opened) == energy_wh(closed) == (None, None)


def test_a_register_that_the_meter_lacks_is_null_and_no_fault() -> None:
    half = row(at(START, 1000, None), at(END, 1250, None))

    assert half.flags == 0
    assert energy_wh(half) == (250, None)


def test_a_counter_that_falls_or_jumps_is_flagged_and_not_corrected() -> None:
    fell, jumped = row(at(START, 1000), at(END, 999)), row(at(START, 0), at(END, 25_001))

    assert (fell.flags, fell.closing_import_wh) == (RowFlag.COUNTER_FELL, 999)
    assert (jumped.flags, jumped.closing_import_wh) == (RowFlag.COUNTER_JUMPED, 25_001)
    assert energy_wh(fell) == energy_wh(jumped) == (None, None)


def test_a_clock_that_was_lost_in_between_is_flagged_with_the_worst_state() -> None:
    lost = row(at(START, 1), at(END, 2), Clock.SYNCHRONISED, Clock.RELATIVE, Clock.SYNCHRONISED)

    assert (lost.flags, lost.clock) == (RowFlag.CLOCK_LOST, Clock.RELATIVE)


def test_the_worst_clock_is_the_one_that_says_least() -> None:
    assert worst_clock([]) is Clock.SYNCHRONISED
    assert worst_clock([Clock.SYNCHRONISED, Clock.INFORMATIVE]) is Clock.INFORMATIVE
    assert worst_clock([Clock.RELATIVE, Clock.UNSYNCHRONISED]) is Clock.UNSYNCHRONISED


@given(st.lists(st.integers(0, 5000), min_size=2, max_size=20))
def test_the_energies_of_a_day_add_up_to_its_first_and_last_register(steps: list[int]) -> None:
    total, registers = 0, []
    for n, step in enumerate(steps):
        total += step
        registers.append(at(n * QUARTER_MS, total))

    energies = [
        energy_wh(row(opening, closing))[0] or 0 for opening, closing in pairwise(registers)
    ]

    assert sum(energies) == total - steps[0]


NEXT = replace(
    INTERVAL,
    start=INTERVAL.end,
    end=UnixMs(INTERVAL.end + QUARTER_MS),
    rows=(
        replace(
            ROW,
            opening_import_wh=ROW.closing_import_wh,
            opening_export_wh=ROW.closing_export_wh,
            opening_offset_ms=ROW.closing_offset_ms,
        ),
    ),
)


def test_closing_and_opening_are_one_value_of_one_record() -> None:
    check_telescopes(INTERVAL, NEXT)

    for bent in ({"opening_import_wh": 1}, {"opening_export_wh": 1}, {"opening_offset_ms": 1}):
        wrong = replace(NEXT, rows=(replace(NEXT.rows[0], **bent),))  # type: ignore[arg-type]
        with pytest.raises(ChainError, match="opens with"):
            check_telescopes(INTERVAL, wrong)


def test_after_a_gap_or_with_another_meter_nothing_has_to_meet() -> None:
    wrong = replace(NEXT.rows[0], opening_import_wh=1)

    check_telescopes(INTERVAL, replace(NEXT, start=UnixMs(NEXT.start + 1), rows=(wrong,)))
    check_telescopes(INTERVAL, replace(NEXT, rows=(replace(wrong, meter_id=bytes(16)),)))
    check_telescopes(INTERVAL, replace(NEXT, rows=(replace(wrong, opening_offset_ms=None),)))


@given(st.lists(st.binary(min_size=32, max_size=32).map(Hash), max_size=20), st.integers(0, 20))
def test_a_tree_taken_up_again_after_a_power_cut_is_the_same(leaves: list[Hash], cut: int) -> None:
    resumed = OpenInterval(Seq(7), leaves[:cut])
    for leaf in leaves[cut:]:
        resumed.add(leaf)

    assert (resumed.first_seq, resumed.count) == (7, len(leaves))
    assert resumed.root == merkle.root(leaves)


def test_an_interval_without_records_has_the_empty_root() -> None:
    assert OpenInterval(Seq(7)).root == merkle.EMPTY_ROOT != H1
