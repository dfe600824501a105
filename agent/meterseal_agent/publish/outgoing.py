"""What to send next: live records first, the backlog behind, nothing twice in one connection.

Two cursors over the places of the store:

- live: records made since the connection was ready. They go at once.
- backlog: from what the aggregator is known to hold up to where live began.

Neither is kept on disk. After a lost connection both are set again from what is shown to be
stored, so that what a broker acknowledged and forgot is sent again.
"""

from __future__ import annotations

from dataclasses import dataclass

from meterseal_agent.store.schema import NOWHERE, Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Places to send: those behind `after`, up to and with `until`."""

    after: Place
    until: Place
    live: bool


@dataclass(kw_only=True, slots=True)
class Cursors:
    """Where sending stands in this connection; owned by the publish task.

    Attributes:
        live: All up to here were sent since `live_from`.
        live_from: Where live began.
        backlog: All up to here were sent, or are known to be stored.
        again: Ranges that the aggregator asked for.
    """

    live: Place = NOWHERE
    live_from: Place = NOWHERE
    backlog: Place = NOWHERE
    again: list[Span]

    @classmethod
    def begin(cls, stored: Place, newest: Place) -> Cursors:
        """Start a connection: what is stored is done, the rest up to now is backlog."""
        return cls(live=newest, live_from=newest, backlog=min(stored, newest), again=[])

    def next(self, newest: Place) -> Span | None:
        """The next span to send, or None when all is sent."""
        if self.live < newest:
            return Span(after=self.live, until=newest, live=True)
        if self.again:
            return self.again[0]
        if self.backlog < self.live_from:
            return Span(after=self.backlog, until=self.live_from, live=False)
        return None

    def sent(self, span: Span, last: Place) -> None:
        """A batch of `span` up to `last` was handed to the broker."""
        if span.live:
            self.live = max(self.live, last)
        elif self.again and span == self.again[0]:
            self.again.pop(0)
            if last < span.until:
                self.again.insert(0, Span(after=last, until=span.until, live=False))
        else:
            self.backlog = max(self.backlog, last)

    def stored(self, at: Place) -> None:
        """The aggregator holds all up to `at`: no need to send that."""
        self.backlog = max(self.backlog, min(at, self.live_from))

    def rewind(self, at: Place, newest: Place) -> None:
        """The aggregator lacks what is behind `at`, although it was sent: send it again."""
        self.backlog, self.live_from, self.live = min(at, newest), newest, newest

    def want(self, after: Place, until: Place) -> None:
        """The aggregator asks for a range; what the backlog is about to bring is left to it."""
        done = [(NOWHERE, self.backlog), (self.live_from, self.live)]
        for first, last in done:
            span = Span(after=max(after, first), until=min(until, last), live=False)
            if span.after < span.until and span not in self.again:
                self.again.append(span)

    @property
    def reached(self) -> Place:
        """All up to here was sent."""
        return self.live if self.backlog >= self.live_from else self.backlog
