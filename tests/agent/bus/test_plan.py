"""Requests cost the line the least time, are whole, and within what a meter allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.bus.plan import Cost, Limits, Span, may_join, plan
from meterseal_agent.bus.settings import Pace, SerialLine, TcpLine

LINE_9600 = SerialLine(port="/dev/ttyTEST", baud=9600)
INSTANT = Cost.of(LINE_9600, Pace())


def spans_of(*addresses: int) -> list[Span]:
    return [Span(function=4, address=address, count=2) for address in addresses]


def reads(spans: list[Span], limits: Limits, cost: Cost = INSTANT) -> list[tuple[int, int]]:
    return [(request.address, request.count) for request in plan(1, spans, limits, cost)]


@pytest.mark.parametrize(
    ("line", "expected_ms"),
    [
        (LINE_9600, (25.0, 104.2, 187.5, 281.2)),
        (SerialLine(port="/dev/ttyTEST", baud=9600, parity="E"), (27.5, 114.6, 206.2, 309.4)),
        (SerialLine(port="/dev/ttyTEST", baud=19200), (12.5, 52.1, 93.7, 140.6)),
        (SerialLine(port="/dev/ttyTEST", baud=19200, parity="E"), (13.8, 57.3, 103.1, 154.7)),
    ],
    ids=["9600 8N1", "9600 8E1", "19200 8N1", "19200 8E1"],
)
def test_a_read_costs_what_the_formula_of_the_line_says(
    line: SerialLine, expected_ms: tuple[float, ...]
) -> None:
    # T(n) = 8c + 3.5c + turnaround + (5 + 2n)c + 3.5c, by hand for 2, 40, 80 and 125 registers.
    cost = Cost.of(line, Pace())

    for count, expected in zip((2, 40, 80, 125), expected_ms, strict=True):
        taken_s = cost.request_s + count * cost.register_s
        assert taken_s * 1000 == pytest.approx(expected, abs=0.06)


def test_a_meters_own_silence_takes_the_place_of_the_lines() -> None:
    slow = Cost.of(LINE_9600, Pace(silence_s=0.060), turnaround_s=0.020)

    assert slow.request_s - INSTANT.request_s == pytest.approx(0.020 + 0.060 - LINE_9600.silence_s)


def test_near_registers_share_a_request_and_far_ones_do_not() -> None:
    # 20 characters a request, 2 a register: a hole of 8 registers is worth it, of 12 is not.
    limits = Limits(registers_max=80, gap_max=80)

    assert reads(spans_of(0, 10, 24), limits) == [(0, 12), (24, 2)]


def test_a_slower_answer_is_worth_a_wider_hole() -> None:
    limits = Limits(registers_max=80, gap_max=80)
    slow = Cost.of(LINE_9600, Pace(), turnaround_s=0.020)

    assert reads(spans_of(0, 18), limits) == [(0, 2), (18, 2)]
    assert reads(spans_of(0, 18), limits, slow) == [(0, 20)]


def test_the_cut_falls_where_the_hole_is_widest() -> None:
    # In address order, as far as the limit goes, it would be (0, 8) and (14, 2).
    limits = Limits(registers_max=10, gap_max=10)

    assert reads(spans_of(0, 6, 8, 14), limits) == [(0, 2), (6, 10)]


def test_registers_are_free_over_tcp_and_requests_are_few() -> None:
    cost = Cost.of(TcpLine(host="localhost"), Pace())

    assert reads(spans_of(0, 50, 120), Limits(gap_max=125), cost) == [(0, 122)]


def test_a_hole_that_the_meter_may_refuse_is_not_read_across() -> None:
    assert reads(spans_of(0, 6), Limits(gap_max=3)) == [(0, 2), (6, 2)]


def test_a_request_never_reaches_a_barrier_from_below() -> None:
    limits = Limits(barriers=(4, 8))

    assert reads(spans_of(0, 2, 4, 6, 8), limits) == [(0, 4), (4, 4), (8, 2)]


def test_a_request_never_exceeds_the_meters_limit() -> None:
    limits = Limits(registers_max=4, gap_max=100)

    assert reads(spans_of(0, 2, 4, 6), limits) == [(0, 4), (4, 4)]


def test_a_meter_that_wants_even_requests_gets_them() -> None:
    odd = [Span(function=3, address=5, count=1)]

    assert reads(odd, Limits(even=True)) == [(4, 2)]


def test_functions_are_not_mixed() -> None:
    spans = [Span(function=3, address=0, count=2), Span(function=4, address=2, count=2)]

    assert [request.function for request in plan(1, spans, Limits())] == [3, 4]


def test_a_value_that_no_request_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        plan(1, [Span(function=3, address=0, count=9)], Limits(registers_max=8))
    with pytest.raises(ValueError, match="barriers"):
        plan(1, [Span(function=3, address=0, count=4)], Limits(barriers=(2,)))


spans = st.builds(
    Span,
    function=st.sampled_from([3, 4]),
    address=st.integers(0, 300),
    count=st.sampled_from([1, 2, 4]),
)
limits = st.builds(
    Limits,
    registers_max=st.integers(8, 125),
    gap_max=st.integers(0, 40),
    even=st.booleans(),
)


@given(st.lists(spans, max_size=30), limits)
def test_every_value_lies_whole_in_one_request(wanted: list[Span], bounds: Limits) -> None:
    requests = plan(7, wanted, bounds)

    for span in wanted:
        assert any(
            request.function == span.function
            and request.address <= span.address
            and span.end <= request.address + request.count
            for request in requests
        )
    for request in requests:
        assert request.count <= bounds.registers_max
        if bounds.even:
            assert request.address % 2 == request.count % 2 == 0


costs = st.builds(
    Cost, request_s=st.floats(0, 0.2), register_s=st.sampled_from([0.0, 0.0011, 0.0021])
)


@given(st.sets(st.integers(0, 30), max_size=7), limits, costs)
def test_no_other_way_to_cut_is_cheaper(addresses: set[int], bounds: Limits, cost: Cost) -> None:
    """Every way to cut at most seven values into requests is tried."""
    wanted = spans_of(*(2 * address for address in sorted(addresses)))

    planned_s = cost.total_s(plan(1, wanted, bounds, cost))

    assert planned_s <= cheapest_s(wanted, bounds, cost) + 1e-7


def cheapest_s(wanted: list[Span], bounds: Limits, cost: Cost) -> float:
    if not wanted:
        return 0.0
    ways = []
    for count in range(1, len(wanted) + 1):
        part = wanted[:count]
        if may_join(part, bounds):
            registers = part[-1].end - part[0].address
            taken_s = cost.request_s + registers * cost.register_s
            ways.append(taken_s + cheapest_s(wanted[count:], bounds, cost))
    return min(ways)
