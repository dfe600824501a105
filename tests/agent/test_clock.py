"""The clock's state comes from the kernel, or from the operator's word, never from a guess."""

from __future__ import annotations

import pytest

from meterseal.records import Clock
from meterseal_agent.clock import KernelClock, SystemTime, judge, kernel_clock


@pytest.mark.parametrize(
    ("kernel", "state"),
    [
        (None, Clock.UNSYNCHRONISED),
        (KernelClock(synchronised=False, max_error_us=0), Clock.UNSYNCHRONISED),
        (KernelClock(synchronised=True, max_error_us=2_000_000), Clock.INFORMATIVE),
        (KernelClock(synchronised=True, max_error_us=20_000), Clock.SYNCHRONISED),
    ],
)
def test_the_state_follows_the_kernels_opinion(kernel: KernelClock | None, state: Clock) -> None:
    assert judge(kernel) is state


def test_the_kernel_answers_without_any_privilege() -> None:
    kernel = kernel_clock()

    assert kernel is not None
    assert kernel.max_error_us >= 0
    assert SystemTime().state() is judge(kernel_clock())


def test_a_trusted_clock_says_on_whose_word() -> None:
    time = SystemTime(trusted=True)

    assert time.state() is Clock.SYNCHRONISED
    assert "operator" in time.source
    assert "kernel" in SystemTime().source


def test_time_since_boot_never_goes_back() -> None:
    time = SystemTime()
    samples = [time.up_ms() for _ in range(1000)]

    assert samples == sorted(samples)
    assert time.now_ms() > 1_600_000_000_000
