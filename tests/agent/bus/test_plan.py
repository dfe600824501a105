"""Requests are few, whole, and within what a meter allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.bus.plan import Limits, Span, plan


def spans_of(*addresses: int) -> list[Span]:
    return [Span(function=4, address=address, count=2) for address in addresses]


def reads(spans: list[Span], limits: Limits) -> list[tuple[int, int]]:
    return [(request.address, request.count) for request in plan(1, spans, limits)]


def test_near_registers_share_a_request_and_far_ones_do_not() -> None:
    limits = Limits(registers_max=80, gap_max=4)

    assert reads(spans_of(0, 2, 8, 20), limits) == [(0, 10), (20, 2)]


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


spans = st.builds(
    Span,
    function=st.sampled_from([3, 4]),
    address=st.integers(0, 400),
    count=st.sampled_from([1, 2, 4]),
)
limits = st.builds(
    Limits,
    registers_max=st.integers(6, 125),
    gap_max=st.integers(0, 60),
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
