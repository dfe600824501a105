"""What to send next: live records first, the backlog behind, nothing twice in one connection.

Three parts of the chain, by places of the store:

- live: records made since the connection was ready. They go at once.
- again: what the aggregator asked for. Anybody at the broker can ask, so it is bounded.
- backlog: from what the aggregator is known to hold up to where live began.

None of it is kept on disk. After a lost connection all is set again from what is shown to be
stored, so that what a broker acknowledged and forgot is sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from meterseal_agent.store.schema import NOWHERE, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Range = tuple[Place, Place]

RANGES_MAX: Final = 64
"""Most ranges that wait to be sent again; what is beyond is dropped, and asked for again."""
PLACES_MAX: Final = 4096
"""Most records that one demand brings; half a day of readings, each 10 s."""


class Part(Enum):
    """Of which part of the chain a span is."""

    LIVE = "live"
    AGAIN = "again"
    BACKLOG = "backlog"


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Places to send: those behind `after`, up to and with `until`.

    Attributes:
        turn: Of which turn of the cursors it is; one of an earlier turn moves nothing.
    """

    after: Place
    until: Place
    part: Part
    turn: int = 0


@dataclass(kw_only=True, slots=True)
class Cursors:
    """Where sending stands in this connection; owned by the publish task.

    Attributes:
        live: All up to here were sent since `live_from`.
        live_from: Where live began.
        backlog: All up to here were sent, or are known to be stored.
        again: Ranges (behind, up to) that are asked for: disjoint, in order.
        turn: Grows whenever the cursors are set back.
    """

    live: Place = NOWHERE
    live_from: Place = NOWHERE
    backlog: Place = NOWHERE
    again: list[Range] = field(default_factory=list)
    turn: int = 0

    @classmethod
    def begin(cls, stored: Place, newest: Place) -> Cursors:
        """Start a connection: what is stored is done, the rest up to now is backlog."""
        return cls(live=newest, live_from=newest, backlog=min(stored, newest))

    def next(self, newest: Place) -> Span | None:
        """The next span to send, or None when all is sent."""
        if self.live < newest:
            return Span(after=self.live, until=newest, part=Part.LIVE, turn=self.turn)
        if self.again:
            after, until = self.again[0]
            return Span(after=after, until=until, part=Part.AGAIN, turn=self.turn)
        if self.backlog < self.live_from:
            return Span(after=self.backlog, until=self.live_from, part=Part.BACKLOG, turn=self.turn)
        return None

    def sent(self, span: Span, last: Place) -> None:
        """A batch of `span` up to `last` was handed to the broker."""
        if span.turn != self.turn:
            # The cursors were set back while the batch was read: it does not say where they are.
            return
        match span.part:
            case Part.LIVE:
                self.live = max(self.live, last)
            case Part.AGAIN:
                self.again = list(_without(self.again, (span.after, last)))
            case Part.BACKLOG:
                self.backlog = max(self.backlog, last)

    def stored(self, at: Place) -> None:
        """The aggregator holds all up to `at`: no need to send that."""
        self.backlog = max(self.backlog, min(at, self.live_from))

    def rewind(self, at: Place, newest: Place) -> None:
        """The aggregator lacks what is behind `at`, although it was sent: send it again."""
        self.backlog, self.live_from, self.live = min(at, newest), newest, newest
        # What was asked for behind it comes with the backlog.
        self.again = list(_without(self.again, (self.backlog, newest)))
        self.turn += 1

    def want(self, ranges: Iterable[Range]) -> None:
        """The aggregator asks for ranges; what the backlog is about to bring is left to it."""
        sent = ((NOWHERE, self.backlog), (self.live_from, self.live))
        wanted = _joined(
            (max(after, first), min(until, last))
            for after, until in ranges
            for first, last in sent
            if max(after, first) < min(until, last)
        )
        self.again = _joined([*self.again, *_first(wanted, PLACES_MAX)])[:RANGES_MAX]

    @property
    def reached(self) -> Place:
        """All up to here was sent."""
        return self.live if self.backlog >= self.live_from else self.backlog


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """The same places as disjoint ranges, in order."""
    joined: list[Range] = []
    for after, until in sorted(ranges):
        if joined and after <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], until))
        else:
            joined.append((after, until))
    return joined


def _first(ranges: Iterable[Range], places: int) -> Iterator[Range]:
    """The first so many places."""
    for after, until in ranges:
        if places <= 0:
            return
        end = min(until, Place(after + places))
        yield after, end
        places -= end - after


def _without(ranges: Iterable[Range], cut: Range) -> Iterator[Range]:
    """What is left of ranges without the places of `cut`."""
    for after, until in ranges:
        for left in ((after, min(until, cut[0])), (max(after, cut[1]), until)):
            if left[0] < left[1]:
                yield left
