"""Live records first, the backlog behind, nothing forgotten and nothing sent for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.publish.outgoing import Cursors, Span
from meterseal_agent.store.schema import NOWHERE, Place


def place(number: int) -> Place:
    return Place(number)


def test_after_a_connection_the_backlog_begins_behind_what_is_stored() -> None:
    cursors = Cursors.begin(place(3), place(9))

    assert cursors.next(place(9)) == Span(after=place(3), until=place(9), live=False)


def test_a_live_record_overtakes_the_backlog() -> None:
    cursors = Cursors.begin(place(3), place(9))

    assert cursors.next(place(10)) == Span(after=place(9), until=place(10), live=True)


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

    assert cursors.next(place(9)) == Span(after=place(7), until=place(9), live=False)


def test_an_aggregator_that_lost_records_gets_them_again() -> None:
    cursors = Cursors.begin(place(9), place(9))

    cursors.rewind(place(2), place(9))

    assert cursors.next(place(9)) == Span(after=place(2), until=place(9), live=False)


def test_a_wanted_range_is_sent_again_in_pieces_and_then_no_more() -> None:
    cursors = Cursors.begin(place(9), place(9))
    cursors.want(place(1), place(5))
    span = cursors.next(place(9))
    assert span == Span(after=place(1), until=place(5), live=False)

    cursors.sent(span, place(3))
    rest = cursors.next(place(9))
    assert rest == Span(after=place(3), until=place(5), live=False)
    cursors.sent(rest, place(5))

    assert cursors.next(place(9)) is None


def test_a_want_for_what_the_backlog_is_about_to_bring_is_ignored() -> None:
    cursors = Cursors.begin(place(2), place(9))

    cursors.want(place(2), place(9))

    assert cursors.again == []


def test_the_same_want_ten_times_is_one_answer() -> None:
    cursors = Cursors.begin(place(9), place(9))

    for _ in range(10):
        cursors.want(place(1), place(5))

    assert len(cursors.again) == 1


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
