"""Waiting longer each time, never in step with the neighbours, and slow to forgive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.publish.backoff import Backoff


def test_delays_double_up_to_the_ceiling() -> None:
    backoff = Backoff(random=lambda: 1.0, first_s=1.0, last_s=5.0)

    assert [backoff.delay_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_connection_that_lasted_resets_the_delay() -> None:
    backoff = Backoff(random=lambda: 1.0, first_s=1.0, stable_s=60.0)
    backoff.delay_s()
    backoff.delay_s()

    backoff.lasted(60.0)

    assert backoff.delay_s() == 1.0


def test_a_broker_that_accepts_and_kicks_does_not_reset_the_delay() -> None:
    backoff = Backoff(random=lambda: 1.0, first_s=1.0, stable_s=60.0)
    backoff.delay_s()

    backoff.lasted(0.1)

    assert backoff.delay_s() == 2.0


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 2000))
def test_every_delay_is_jittered_and_bounded(draw: float, failures: int) -> None:
    backoff = Backoff(random=lambda: draw, first_s=1.0, last_s=300.0)

    delays = [backoff.delay_s() for _ in range(failures)]

    assert all(0.5 <= delay <= 300.0 for delay in delays)
