"""What a line carries when others talk too, a slave restarts, or an adapter is pulled out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meterseal_simulator.faults import Reply
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.modbus import Request, crc16, rtu_frame
from meterseal_simulator.reply import Overheard

READ_ONE = bytes.fromhex("0400000001")
ANSWER = bytes.fromhex("04020001")
FOREIGN = bytes.fromhex("04020099")
TIMING = LineTiming(turnaround_s=0.02)
C, G = TIMING.character_s, TIMING.silence_s


def line_that_answers(pattern: Reply = Reply(unit=1, pdu=ANSWER)) -> Line:  # noqa: B008 - frozen
    def answer(request: Request) -> Reply | None:
        return replace(pattern, unit=request.unit)

    return Line(TIMING, answer)


def follow(line: Line, until: float = 10.0, start: float = 0.0) -> list[tuple[float, bytes]]:
    """Follow the deadlines, and join bytes that leave without a pause into one piece."""
    pieces: list[tuple[float, bytes]] = []
    now = last = start
    while (deadline := line.deadline()) is not None and deadline <= until:
        now = max(now, deadline)
        for byte in line.speak(now):
            if pieces and now - last < 1.5 * C:
                pieces[-1] = (pieces[-1][0], pieces[-1][1] + bytes([byte]))
            else:
                pieces.append((now, bytes([byte])))
            last = now
    return pieces


def other_master(after_s: float, unit: int = 2) -> Overheard:
    return Overheard(request=Request(unit=unit, pdu=READ_ONE), pdu=FOREIGN, after_s=after_s)


def test_another_masters_question_and_its_answer_are_heard() -> None:
    line = line_that_answers()

    line.intrude(other_master(1.0), 0.0)
    pieces = follow(line)

    asked, answered = rtu_frame(2, READ_ONE), rtu_frame(2, FOREIGN)
    starts = [1.0 + C, 1.0 + 8 * C + G + 0.02 + C]
    assert [piece for _, piece in pieces] == [asked, answered]
    assert [at for at, _ in pieces] == pytest.approx(starts)
    assert line.statistics.requests == 0


def test_two_that_talk_at_once_leave_one_spoiled_stream() -> None:
    """The other master starts in the middle of the reply to us."""
    line = line_that_answers()
    line.hear(rtu_frame(1, READ_ONE), 0.0)
    reply_starts = 8 * C + G + 0.02

    line.intrude(other_master(reply_starts + 3.5 * C), 0.0)
    pieces = follow(line)

    ((_, stream),) = pieces
    assert stream[:3] == rtu_frame(1, ANSWER)[:3]
    assert crc16(stream[:7]) != 0
    assert line.statistics.intrusions == 1


def test_a_question_that_another_master_talks_into_is_spoiled_for_every_slave() -> None:
    line = line_that_answers()

    line.intrude(other_master(2 * C), 0.0)
    line.hear(rtu_frame(1, READ_ONE), 0.0)
    pieces = follow(line)

    assert line.statistics.requests == 0
    assert line.statistics.collisions == 1
    assert rtu_frame(1, ANSWER) not in [piece for _, piece in pieces]
    assert rtu_frame(2, FOREIGN) not in [piece for _, piece in pieces]


def test_what_we_send_while_another_master_asks_is_lost_and_spoils_it() -> None:
    line = line_that_answers()
    line.intrude(other_master(0.0), 0.0)
    line.speak(2.5 * C)

    line.hear(rtu_frame(1, READ_ONE), 2.5 * C)
    pieces = follow(line, start=2.5 * C)

    assert line.statistics.collisions == 1
    assert rtu_frame(2, FOREIGN) not in [piece for _, piece in pieces]


def test_a_slave_that_restarts_forgets_what_it_was_asked_and_hears_nothing_for_a_while() -> None:
    replies = iter((Reply(unit=1, pdu=ANSWER, delay_s=5.0), Reply(unit=1, pdu=ANSWER, deaf_s=1.0)))
    heard = []

    def answer(request: Request) -> Reply:
        heard.append(request)
        return next(replies, Reply(unit=1, pdu=ANSWER))

    line = Line(TIMING, answer)
    for at in (0.0, 0.2, 0.4, 2.0):
        line.speak(at)
        line.hear(rtu_frame(1, READ_ONE), at)
    pieces = follow(line)

    assert len(heard) == 3
    assert [piece for _, piece in pieces] == [rtu_frame(1, ANSWER)]


def test_an_echo_comes_at_once_and_the_reply_after_it() -> None:
    line = line_that_answers(Reply(unit=1, pdu=ANSWER, early=rtu_frame(1, READ_ONE)))

    line.hear(rtu_frame(1, READ_ONE), 0.0)
    pieces = follow(line)

    assert [piece for _, piece in pieces] == [rtu_frame(1, READ_ONE), rtu_frame(1, ANSWER)]
    assert pieces[0][0] == pytest.approx(8 * C + G + C)


def test_noise_after_a_pause_is_a_piece_of_its_own() -> None:
    line = line_that_answers(Reply(unit=1, pdu=ANSWER, after=b"\x55\x55", after_s=0.05))

    line.hear(rtu_frame(1, READ_ONE), 0.0)
    (first, frame), (second, noise) = follow(line)

    assert (frame, noise) == (rtu_frame(1, ANSWER), b"\x55\x55")
    assert second - first == pytest.approx(7 * C + 0.05)


def test_a_line_whose_adapter_is_pulled_out_says_until_when() -> None:
    line = line_that_answers(Reply(unit=1, pdu=ANSWER, unplug_s=2.0))

    line.hear(rtu_frame(1, READ_ONE), 0.0)
    follow(line)

    assert line.absent_until == pytest.approx(8 * C + G + 2.0)
