"""What the gate writes down: event records of code 7 about one meter's counters, read back again.

    [what, meter, flags, quantity, before, now, raw]

- what: "held": the value stays out of the readings, whose state says O; "taken": it is believed
  from here on though it does not continue what was before; "frozen": nothing of the meter moves.
- flags: `RowFlag` bits. Those of "taken" go into the row of the interval that the event lies in:
  counters before and behind it have no common difference.
- quantity, before, now, raw: the counter, in its unit, with the words that the meter sent.

A tip is made from records alone, so a restart finds the same flags.
"""

from __future__ import annotations

from typing import Final

from meterseal.records import Event, EventCode, RowFlag

HELD: Final = "held"
TAKEN: Final = "taken"
FROZEN: Final = "frozen"

_FIELDS = 7
_RAW_MAX = 64


def alarm(  # noqa: PLR0913, PLR0917 -- the seven details, in their order
    what: str,
    meter: int,
    flags: RowFlag,
    quantity: int,
    before: int,
    now: int,
    raw: bytes | None,
) -> Event:
    """Make the event."""
    words = None if raw is None else raw[:_RAW_MAX]
    return Event(
        code=EventCode.ALARM, detail=(what, meter, int(flags), quantity, before, now, words)
    )


def row_flags(event: Event) -> tuple[int, RowFlag] | None:
    """Tell which meter's row an event flags, and how; None if it flags none."""
    if event.code is not EventCode.ALARM or len(event.detail) != _FIELDS:
        return None
    what, meter, flags = event.detail[:3]
    if what != TAKEN or not isinstance(meter, int) or not isinstance(flags, int):
        return None
    return meter, RowFlag(flags)
