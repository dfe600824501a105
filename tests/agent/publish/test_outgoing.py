"""Live records first, the backlog behind, nothing forgotten and nothing sent for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.publish.outgoing import PLACES_MAX, RANGES_MAX, Cursors, Part, Span
from meterseal_agent.store.schema import NOWHERE, Place


def place(number: int) -> Place:
    return Place(number)


def test_after_a_connection_the_backlog_begins_behind_what_is_stored() -> None:
    cursors = Cursors.begin(place(3), place(9))

    assert cursors.next(place(9)) == Span(after=place(3), until=place(9), part=Part.BACKLOG)


def test_a_live_record_overtakes_the_backlog() -> None:
    cursors = Cursors.begin(place(3), place(9))

    assert cursors.next(place(10)) == Span(after=place(9), until=place(10), part=Part.LIVE)


def test_what_is_sent_is_not_sent_again() -> None:
    cursors = Cursors.begin(NOWHERE, place(9))
    span = cursors.next(place(9))
    assert span is not None

    cursors.sent(span, place(9))

    assert cursors.next(place(9)) is None
    assert cursors.reached == 9


def test_what_turns_out_to_be_stored_is_left_out_of_the_backlog() -> None:
    cursors = Cursors.begin(NOWHERE, place(9))

    cursors.stored(place(7))

    assert cursors.next(place(9)) == Span(after=place(7), until=place(9), part=Part.BACKLOG)


def test_an_aggregator_that_lost_records_gets_them_again() -> None:
    cursors = Cursors.begin(place(9), place(9))

    cursors.rewind(place(2), place(9))

    assert cursors.next(place(9)) == Span(after=place(2), until=place(9), part=Part.BACKLOG, turn=1)


def test_a_batch_that_was_read_before_the_cursors_were_set_back_moves_nothing() -> None:
    """A card is slow: while it reads a batch, the aggregator says that it lost all behind 2."""
    cursors = Cursors.begin(place(3), place(9))
    span = cursors.next(place(9))
    assert span is not None

    cursors.rewind(place(2), place(9))
    cursors.sent(span, place(9))

    assert cursors.next(place(9)) == Span(after=place(2), until=place(9), part=Part.BACKLOG, turn=1)


def test_a_wanted_range_is_sent_again_in_pieces_and_then_no_more() -> None:
    cursors = Cursors.begin(place(9), place(9))
    cursors.want([(place(1), place(5))])
    span = cursors.next(place(9))
    assert span == Span(after=place(1), until=place(5), part=Part.AGAIN)

    cursors.sent(span, place(3))
    rest = cursors.next(place(9))
    assert rest == Span(after=place(3), until=place(5), part=Part.AGAIN)
    cursors.sent(rest, place(5))

    assert cursors.next(place(9)) is None


def test_a_want_that_comes_while_another_is_sent_does_not_skip_the_backlog() -> None:
    cursors = Cursors.begin(place(5), place(9))
    cursors.want([(place(1), place(3))])
    span = cursors.next(place(9))
    assert span is not None

    cursors.want([(place(0), place(4))])
    cursors.sent(span, place(3))

    assert cursors.again == [(0, 1), (3, 4)]
    assert cursors.backlog == 5


def test_a_want_for_what_the_backlog_is_about_to_bring_is_ignored() -> None:
    cursors = Cursors.begin(place(2), place(9))

    cursors.want([(place(2), place(9))])

    assert cursors.again == []


def test_ranges_that_overlap_are_sent_once() -> None:
    """Four thousand unsigned demands, each a little larger, for one and the same chain."""
    cursors = Cursors.begin(place(9999), place(9999))

    for number in range(4000):
        cursors.want([(place(4000 - number), place(5000 + number))])

    assert len(cursors.again) == 1


def test_what_waits_to_be_sent_again_is_bounded_in_ranges_and_in_records() -> None:
    cursors = Cursors.begin(place(999_999), place(999_999))

    cursors.want([(place(0), place(999_999))])
    assert cursors.again == [(0, PLACES_MAX)]
    for number in range(1000):
        cursors.want([(place(10_000 + 2 * number), place(10_001 + 2 * number))])

    assert len(cursors.again) == RANGES_MAX


@given(st.data())
def test_sending_ends_and_covers_everything_behind_what_is_stored(data: st.DataObject) -> None:
    newest = data.draw(st.integers(-1, 40))
    stored = data.draw(st.integers(-1, newest))
    cursors = Cursors.begin(place(stored), place(newest))
    sent: set[int] = set()

    for _ in range(500):
        if data.draw(st.booleans()) and newest < 60:
            newest += 1
        span = cursors.next(place(newest))
        if span is None:
            break
        last = data.draw(st.integers(span.after + 1, span.until))
        sent |= set(range(span.after + 1, last + 1))
        cursors.sent(span, place(last))

    assert sent >= set(range(stored + 1, newest + 1))
