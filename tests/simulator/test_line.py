"""When bytes leave, on a clock that the test turns: no second is really waited for."""

from __future__ import annotations

import itertools

import pytest

from meterseal_simulator.faults import Reply
from meterseal_simulator.line import Line, LineTiming
from meterseal_simulator.modbus import Request, rtu_frame

READ_ONE = bytes.fromhex("04000000 01".replace(" ", ""))
ANSWER = bytes.fromhex("04020001")


def line_of(timing: LineTiming, delays: dict[int, float] | None = None) -> Line:
    def answer(request: Request) -> Reply | None:
        delay_s = (delays or {}).get(request.unit)
        return Reply(unit=request.unit, pdu=ANSWER, delay_s=delay_s or 0.0)

    return Line(timing, answer)


def run(line: Line, start: float = 0.0, until: float = 10.0) -> list[tuple[float, int]]:
    """Follow the deadlines as the port does and note when each byte leaves."""
    spoken: list[tuple[float, int]] = []
    now = start
    while (deadline := line.deadline()) is not None and deadline <= until:
        now = max(now, deadline)
        spoken += [(now, byte) for byte in line.speak(now)]
    return spoken


@pytest.mark.parametrize(
    ("timing", "character_ms", "silence_ms"),
    [
        (LineTiming(baud=9600, parity="N"), 1.042, 3.65),
        (LineTiming(baud=9600, parity="E"), 1.146, 4.01),
        (LineTiming(baud=19200, parity="N"), 0.521, 1.82),
        (LineTiming(baud=19200, parity="E"), 0.573, 2.01),
        (LineTiming(baud=115200, parity="N"), 0.087, 1.75),
    ],
)
def test_a_character_and_a_silence_last_as_long_as_the_specification_says(
    timing: LineTiming, character_ms: float, silence_ms: float
) -> None:
    assert timing.character_s * 1000 == pytest.approx(character_ms, abs=0.001)
    assert timing.silence_s * 1000 == pytest.approx(silence_ms, abs=0.01)


def test_a_read_takes_the_time_of_the_physical_limit() -> None:
    """T(n) = 8c + g + turnaround + (5 + 2n)c, then g before the next request."""
    timing = LineTiming(turnaround_s=0.02)
    line = line_of(timing)

    line.hear(rtu_frame(1, READ_ONE), 1.0)
    spoken = run(line, start=1.0)

    c, g = timing.character_s, timing.silence_s
    assert len(spoken) == 7
    assert spoken[-1][0] == pytest.approx(1.0 + 8 * c + g + 0.02 + 7 * c)


def test_every_byte_leaves_one_character_after_the_one_before() -> None:
    timing = LineTiming()
    line = line_of(timing)

    line.hear(rtu_frame(1, READ_ONE), 0.0)
    spoken = run(line)

    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(spoken)]
    assert gaps == pytest.approx([timing.character_s] * len(gaps))
    assert bytes(byte for _, byte in spoken) == rtu_frame(1, ANSWER)


def test_a_computer_that_oversleeps_does_not_delay_the_bytes_after() -> None:
    timing = LineTiming()
    line = line_of(timing)
    line.hear(rtu_frame(1, READ_ONE), 0.0)
    start = 8 * timing.character_s + timing.silence_s

    late = line.speak(start + 4.5 * timing.character_s)

    assert len(late) == 4
    assert line.deadline() == pytest.approx(start + 5 * timing.character_s)


def test_a_late_answer_comes_before_the_answer_to_the_next_request() -> None:
    """Field lesson 1: the master has given up, asks something else, and gets the old answer."""
    timing = LineTiming()
    answers = iter([(0.4, b"\x04\x02\x00\x01"), (0.0, b"\x04\x02\x00\x02")])

    def answer(request: Request) -> Reply:
        delay_s, pdu = next(answers)
        return Reply(unit=request.unit, pdu=pdu, delay_s=delay_s)

    line = Line(timing, answer)
    line.hear(rtu_frame(1, READ_ONE), 0.0)
    line.speak(0.3)
    line.hear(rtu_frame(1, READ_ONE), 0.3)
    spoken = run(line, start=0.3)

    wire = bytes(byte for _, byte in spoken)
    assert wire == rtu_frame(1, b"\x04\x02\x00\x01") + rtu_frame(1, b"\x04\x02\x00\x02")
    assert spoken[0][0] > 0.4
    assert spoken[7][0] - spoken[6][0] >= timing.silence_s


def test_another_slave_does_not_wait_for_a_late_one() -> None:
    line = line_of(LineTiming(), delays={1: 0.4})

    line.hear(rtu_frame(1, READ_ONE), 0.0)
    line.speak(0.1)
    line.hear(rtu_frame(2, READ_ONE), 0.1)
    spoken = run(line, start=0.1)

    assert [byte for _, byte in spoken][::7] == [2, 1]


def test_what_is_sent_while_a_slave_talks_is_lost() -> None:
    timing = LineTiming()
    line = line_of(timing)
    line.hear(rtu_frame(1, READ_ONE), 0.0)
    talking = 8 * timing.character_s + timing.silence_s + 2 * timing.character_s
    line.speak(talking)

    line.hear(rtu_frame(2, READ_ONE), talking)
    spoken = run(line, start=talking)

    assert line.statistics.collisions == 1
    assert line.statistics.answers == 1
    assert len(spoken) == 5


def test_a_request_that_comes_before_the_silence_is_over_is_counted() -> None:
    timing = LineTiming()
    line = line_of(timing)
    line.hear(rtu_frame(1, READ_ONE), 0.0)
    end = run(line)[-1][0]

    line.hear(rtu_frame(1, READ_ONE), end + timing.silence_s / 2)
    breaches = line.statistics.breaches
    run(line, start=end)
    line.hear(rtu_frame(1, READ_ONE), 5.0)

    assert breaches == 1
    assert line.statistics.breaches == 1


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_a_request_may_arrive_in_pieces(chunk: int) -> None:
    timing = LineTiming()
    line = line_of(timing)
    frame = rtu_frame(1, READ_ONE)

    for start in range(0, len(frame), chunk):
        line.hear(frame[start : start + chunk], start * timing.character_s)
    spoken = run(line)

    assert bytes(byte for _, byte in spoken) == rtu_frame(1, ANSWER)


def test_noise_before_a_request_spoils_it_and_the_next_one_is_heard() -> None:
    line = line_of(LineTiming())

    line.hear(b"\x55" + rtu_frame(1, READ_ONE), 0.0)
    assert run(line) == []
    line.hear(rtu_frame(1, READ_ONE), 1.0)

    assert len(run(line, start=1.0)) == 7
    assert line.statistics.noise_bytes == 9


def test_a_line_that_never_falls_silent_uses_no_more_memory() -> None:
    timing = LineTiming()
    line = line_of(timing)

    for number in range(1000):
        line.hear(b"\x55" * 64, number * 64 * timing.character_s)

    assert len(line._heard) <= 256
