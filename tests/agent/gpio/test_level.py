"""Contacts bounce; what is counted held for long enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.gpio.level import Level, Pulses
from meterseal_agent.gpio.press import Press, meaning
from meterseal_agent.gpio.spacing import Spacing

MS = 1_000_000
S = 1000 * MS


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def counted(hand: Hand, pulses: Pulses, *edges: tuple[int, bool]) -> int:
    for after_ms, active in edges:
        hand.now_ns += after_ms * MS
        pulses.edge(active=active)
    return pulses.count()


def test_a_pulse_that_holds_is_counted_once() -> None:
    hand = Hand()
    pulses = Pulses(10 * MS, hand, active=False)

    assert counted(hand, pulses, (100, True), (30, False), (500, True), (30, False)) == 2


def test_a_bouncing_pulse_is_one_pulse() -> None:
    hand = Hand()
    pulses = Pulses(10 * MS, hand, active=False)

    edges = [(100, True), (1, False), (2, True), (1, False), (1, True), (40, False), (1, True)]
    assert counted(hand, pulses, *edges, (1, False), (100, True), (30, False)) == 2


def test_a_spark_is_no_pulse() -> None:
    hand = Hand()
    pulses = Pulses(10 * MS, hand, active=False)

    assert counted(hand, pulses, (100, True), (3, False), (100, True), (9, False)) == 0


def test_a_pulse_under_way_counts_when_it_has_held_and_never_twice() -> None:
    hand = Hand()
    pulses = Pulses(10 * MS, hand, active=False)
    counted(hand, pulses, (100, True))
    hand.now_ns += 15 * MS

    counts = (pulses.count(), pulses.count(), counted(hand, pulses, (15, False), (50, True)))

    assert counts == (1, 1, 1)


def test_a_contact_that_is_closed_at_the_start_is_no_pulse() -> None:
    hand = Hand()
    pulses = Pulses(10 * MS, hand, active=True)
    hand.now_ns += 100 * MS

    assert counted(hand, pulses, (100, False)) == 0


@given(st.lists(st.tuples(st.integers(30, 500), st.integers(30, 500), st.integers(0, 3))))
def test_as_many_pulses_are_counted_as_there_were_however_they_bounce(
    shapes: list[tuple[int, int, int]],
) -> None:
    """Pauses and pulses of 30 ms at least, as IEC 62053-31 asks, with bounces of 1 ms in both."""
    hand = Hand()
    pulses = Pulses(10 * MS, hand, active=False)
    for pause_ms, pulse_ms, bounces in shapes:
        for length_ms, active in ((pause_ms, True), (pulse_ms, False)):
            hand.now_ns += length_ms * MS
            for _ in range(bounces):
                pulses.edge(active=active)
                hand.now_ns += MS
                pulses.edge(active=not active)
                hand.now_ns += MS
            pulses.edge(active=active)

    assert pulses.count() == len(shapes)


def test_a_level_is_told_when_it_changes_and_not_again() -> None:
    level = Level(50 * MS, 0, active=True)

    assert level.edge(100 * MS, active=False) is None
    assert level.settle(149 * MS) is None
    assert level.settle(150 * MS) is False
    assert level.settle(300 * MS) is None


def test_a_press_means_what_its_length_says_and_between_them_nothing() -> None:
    meanings = [meaning(seconds) for seconds in (0.2, 2.0, 2.5, 3.0, 7.0, 8.5, 10.0, 30.0, 60.0)]

    assert meanings == [
        Press.CLAIM, Press.CLAIM, None, Press.SCAN, Press.SCAN, None,
        Press.SHUTDOWN, Press.SHUTDOWN, None,
    ]  # fmt: skip


def test_ten_events_at_once_and_then_four_an_hour() -> None:
    spacing = Spacing()

    at_once = sum(spacing.allows(0) for _ in range(100))
    a_day = sum(spacing.allows(second * S) for second in range(0, 86_400, 10))

    assert at_once == 10
    assert a_day == 95
    assert spacing.wait_s(86_400 * S) == 0.0
