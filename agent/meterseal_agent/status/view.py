"""What the page shows, as frozen values; the daemon fills them in, the server only formats.

Every figure carries the time it was read: a page that shows a number without its age would lie
as soon as a meter falls silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

RecordState = Literal["signed", "sent", "stored", "logged", "witnessed", "anchored"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterView:
    """One meter now.

    Attributes:
        state: OCMF letter of the last sample ("G" good).
        since_ms: UTC milliseconds since which this state holds.
        at_ms: UTC milliseconds at which `values` were read, or None if never.
        values: Last good values by quantity name; never a value that was not read.
        message: One sentence for the installer when the state is not good, else empty.
    """

    name: str
    role: str
    model: str
    serial: str
    state: str
    since_ms: int
    at_ms: int | None
    values: Mapping[str, int]
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class EnergyToday:
    """Energy of one meter since `since_ms`: midnight, or the first good reading after it."""

    name: str
    role: str
    since_ms: int
    at_ms: int
    import_wh: int | None
    export_wh: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StateCount:
    """How many records have reached `state` and no further, and since when the oldest waits."""

    state: RecordState
    count: int
    since_ms: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordView:
    """The head of the device's chain and how far its records have come."""

    epoch: int
    seq: int
    hash_hex: str
    time_ms: int
    light_n: int
    states: tuple[StateCount, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockView:
    """The clock's state as records carry it, and where it comes from."""

    state: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """Something that a person should know: one sentence with its remedy, worst first."""

    since_ms: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusView:
    """Everything the page shows at one moment."""

    device: str
    fingerprint: str
    software: str
    now_ms: int
    clock: ClockView
    meters: tuple[MeterView, ...]
    today: tuple[EnergyToday, ...]
    record: RecordView | None
    notices: tuple[Notice, ...] = ()


class StatusSource(Protocol):
    """Where the page gets its data; the daemon implements it.

    Both are called from the event loop and must not block on the disk for long.
    """

    def view(self) -> StatusView:
        """Take the picture of this moment."""
        ...

    async def changed(self) -> None:
        """Return at the next change worth showing (a new snapshot, a new record state)."""
        ...
