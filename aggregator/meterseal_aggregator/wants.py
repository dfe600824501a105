"""What is missing between a device's head and the records that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.messages import MAX_WANT_RANGES
from meterseal.types import Epoch, Seq

if TYPE_CHECKING:
    from collections.abc import Sequence

Range = tuple[Epoch, Seq, Seq]


def missing(
    head: tuple[int, int] | None,
    waiting: Sequence[tuple[int, int, int | None]],
    *,
    readings: bool,
) -> tuple[Range, ...]:
    """List the gaps, the oldest first, as many as one message holds.

    Args:
        head: (epoch, seq) of the head, None when nothing is connected.
        waiting: (epoch, seq, light number) of the waiting records, in order.
        readings: Whether readings are to be expected; else a gap in seq between two successive
            light numbers is what stayed at home.
    """
    found: list[Range] = []
    epoch, seq = head or (0, -1)
    light: int | None = None
    for next_epoch, next_seq, next_light in waiting:
        if next_epoch < epoch or (next_epoch == epoch and next_seq <= seq):
            # An older branch: what it hangs on is asked for as one range up to it.
            found.append((Epoch(next_epoch), Seq(0), Seq(max(0, next_seq - 1))))
            continue
        if next_epoch > epoch:
            # The restore names a record of an older epoch; itself it may be missing as well.
            found.append((Epoch(epoch), Seq(seq + 1), Seq(max(seq + 1, next_seq - 1))))
            found.append((Epoch(next_epoch), Seq(0), Seq(max(0, next_seq - 1))))
        elif next_seq > seq + 1 and not _at_home(readings, light, next_light):
            found.append((Epoch(epoch), Seq(seq + 1), Seq(next_seq - 1)))
        epoch, seq, light = next_epoch, next_seq, next_light
    return tuple(dict.fromkeys(found))[:MAX_WANT_RANGES]


def _at_home(readings: bool, light: int | None, next_light: int | None) -> bool:  # noqa: FBT001
    """Whether what lies between two waiting records is readings that were never sent."""
    return not readings and light is not None and next_light == light + 1
