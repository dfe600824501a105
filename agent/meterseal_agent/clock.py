"""The two clocks of the device: UTC for people, time since boot for order.

- UTC may step; nothing that decides order or duration uses it.
- CLOCK_BOOTTIME counts suspended time too and never steps.
- Whether UTC can be believed comes from the kernel's own discipline state, adjtimex(2), which
  every time service (chrony, ntpd, systemd-timesyncd) keeps: never from a guess of ours.
- An operator may vouch for the clock instead (`[agent] clock = "trusted"`): then records say
  synchronised on his word, and the status page says so.
"""

from __future__ import annotations

import ctypes
import time
from dataclasses import dataclass
from typing import Protocol

from meterseal.records import Clock

# linux/timex.h: the clock is not synchronised.
_STA_UNSYNC = 0x0040
# A clock whose largest possible error exceeds this is shown as informative only. The kernel lets
# the figure grow by 500 ppm between two corrections, so half a second is about 15 minutes' worth.
MAX_ERROR_SYNCHRONISED_US = 500_000


class TimeSource(Protocol):
    """What the agent asks about time; tests put a clock they move by hand in its place."""

    def now_ms(self) -> int:
        """UTC milliseconds since 1970."""
        ...

    def up_ms(self) -> int:
        """Milliseconds since boot, suspended time included."""
        ...

    def state(self) -> Clock:
        """How far UTC can be believed now."""
        ...

    @property
    def source(self) -> str:
        """Where `state` comes from, in words for the status page."""
        ...


class _Timex(ctypes.Structure):
    """The head of `struct timex`; the rest is room that the kernel may fill."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_long * 32),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class KernelClock:
    """The kernel's opinion of its clock.

    Attributes:
        synchronised: A time service has set and keeps it.
        max_error_us: Largest possible error in microseconds.
    """

    synchronised: bool
    max_error_us: int


def kernel_clock() -> KernelClock | None:
    """Ask adjtimex(2) without changing anything; None where the kernel does not answer."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "adjtimex"):
        return None
    timex = _Timex()
    if libc.adjtimex(ctypes.byref(timex)) < 0:
        return None
    return KernelClock(
        synchronised=not timex.status & _STA_UNSYNC, max_error_us=int(timex.maxerror)
    )


def judge(kernel: KernelClock | None) -> Clock:
    """Translate the kernel's opinion into the record's clock state."""
    if kernel is None or not kernel.synchronised:
        return Clock.UNSYNCHRONISED
    if kernel.max_error_us > MAX_ERROR_SYNCHRONISED_US:
        return Clock.INFORMATIVE
    return Clock.SYNCHRONISED


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemTime:
    """The machine's clocks.

    Attributes:
        trusted: The operator vouches for UTC; the kernel is not asked.
    """

    trusted: bool = False

    def now_ms(self) -> int:
        """UTC milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def up_ms(self) -> int:
        """Milliseconds since boot, suspended time included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def state(self) -> Clock:
        """How far UTC can be believed now."""
        return Clock.SYNCHRONISED if self.trusted else judge(kernel_clock())

    @property
    def source(self) -> str:
        """Where `state` comes from, in words for the status page."""
        return "the operator's word" if self.trusted else "the kernel (adjtimex)"
