"""What the wires' symptoms are taken for, on numbers alone."""

from __future__ import annotations

from meterseal_agent.bus.settings import SerialLine, TcpLine
from meterseal_agent.scan.found import LineReport, Tally
from meterseal_agent.scan.symptoms import hints

SLOW = SerialLine(port="/dev/ttyUSB0", baud=9600)
FAST = SerialLine(port="/dev/ttyUSB0", baud=38400)


def report(line: SerialLine, *, short: Tally, long: Tally) -> LineReport:
    return LineReport(line=line, asked=10, answers=[1], tallies={2: short, 60: long})


def test_replies_that_break_at_any_length_do_not_speak_for_the_termination() -> None:
    heard = report(SLOW, short=Tally(whole=5, broken=5), long=Tally(whole=5, broken=5))

    assert hints([heard]) == ()


def test_one_broken_reply_is_no_symptom() -> None:
    heard = report(SLOW, short=Tally(whole=50), long=Tally(whole=3, broken=1))

    assert hints([heard]) == ()


def test_long_replies_that_break_far_oftener_than_short_ones_are() -> None:
    heard = report(SLOW, short=Tally(whole=50, broken=1), long=Tally(whole=6, broken=4))

    (hint,) = hints([heard])

    assert "4 of 10 long replies broke, 1 of 51 short ones" in hint
    assert "120 ohms" in hint


def test_replies_that_break_at_the_higher_speed_only_ask_for_the_lower() -> None:
    slow = report(SLOW, short=Tally(whole=50), long=Tally(whole=10))
    fast = report(FAST, short=Tally(whole=30, broken=20), long=Tally(whole=6, broken=4))

    (hint,) = hints([slow, fast])

    assert "40% of the replies broke at 38400 baud, 0% at 9600" in hint


def test_a_gateway_without_an_answer_is_not_told_to_swap_wires() -> None:
    heard = LineReport(line=TcpLine(host="192.0.2.7"), asked=10)

    (hint,) = hints([heard])

    assert "no unit answers" in hint
    assert "swapped" not in hint


def test_a_good_line_has_no_hints() -> None:
    assert hints([report(SLOW, short=Tally(whole=50), long=Tally(whole=10))]) == ()
