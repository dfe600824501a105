"""When to say what: decided from times and answers, so that no test waits."""

from __future__ import annotations

import pytest

from meterseal.messages import RejectCode
from meterseal_agent.publish.talk import PROBE_EVERY_S, SILENCE_S, Due, Talk

DAY_S = 86_400


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.begin(0.0)
    return talk


def hellos(talk: Talk, until_s: float, *, behind: bool = False) -> list[float]:
    """The times of all hellos, when somebody looks every few seconds."""
    times = (tick * PROBE_EVERY_S for tick in range(1, int(until_s / PROBE_EVERY_S) + 1))
    return [now_s for now_s in times if talk.due(now_s, behind=behind).hello]


def test_a_hello_whose_answer_is_lost_is_said_again_in_pauses_that_double(talk: Talk) -> None:
    assert hellos(talk, 200) == [5, 15, 35, 75, 135, 195]


def test_an_aggregator_that_is_away_for_a_day_is_asked_every_minute_and_not_more(
    talk: Talk,
) -> None:
    assert len(hellos(talk, DAY_S)) < 2 * DAY_S / 60


def test_who_was_answered_says_no_more_hellos_while_nothing_is_behind(talk: Talk) -> None:
    talk.answer(behind_stored=False)

    assert hellos(talk, DAY_S) == []


def test_silence_about_what_was_sent_is_asked_about_and_its_answer_sends_again(talk: Talk) -> None:
    talk.answer(behind_stored=False)

    assert not talk.due(SILENCE_S, behind=True).hello
    assert talk.due(SILENCE_S + 1, behind=True) == Due(hello=True, ask=True)
    assert talk.answer(behind_stored=False)
    assert not talk.answer(behind_stored=False)


def test_silence_without_anything_sent_asks_for_receipts_only(talk: Talk) -> None:
    talk.answer(behind_stored=False)

    assert talk.due(SILENCE_S + 1, behind=False) == Due(hello=False, ask=True)
    assert not talk.answer(behind_stored=False)


def test_progress_ends_the_silence(talk: Talk) -> None:
    talk.answer(behind_stored=False)
    talk.progress(SILENCE_S)

    assert talk.due(SILENCE_S + 1, behind=True) == Due(hello=False, ask=False)


def test_an_aggregator_that_lost_what_it_had_gets_it_again(talk: Talk) -> None:
    assert talk.answer(behind_stored=True)


def test_refusals_pause_in_times_that_double_until_something_is_taken(talk: Talk) -> None:
    pauses = []
    for _ in range(9):
        pauses.append(talk.refuse(RejectCode.NOT_ENROLLED))
        assert talk.refuse(RejectCode.NOT_ENROLLED) is None  # one pause at a time
        talk.resume()
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert "not enrolled" in talk.trouble

    talk.progress(1.0)

    assert talk.trouble == ""
    assert talk.refuse(RejectCode.TOO_FAR_AHEAD) == 2


def test_a_record_that_is_invalid_or_contradicts_does_not_pause_the_others(talk: Talk) -> None:
    for code in (RejectCode.INVALID, RejectCode.CONTRADICTS, RejectCode.FROZEN):
        assert talk.refuse(code) is None
    assert not talk.paused


def test_of_a_flood_of_unsigned_demands_few_are_granted(talk: Talk) -> None:
    """Anybody at the broker can ask: a hundred demands a second, for a day."""
    granted = sum(talk.grant(float(second)) for second in range(DAY_S))

    assert granted < DAY_S / 300 + 10


def test_an_aggregator_that_takes_what_it_asked_for_is_granted_more_soon(talk: Talk) -> None:
    for _ in range(10):
        talk.grant(10_000.0 * _)
    talk.taken()

    assert talk.grant(200_000.0)
    assert not talk.grant(200_004.0)
    assert talk.grant(200_005.0)
