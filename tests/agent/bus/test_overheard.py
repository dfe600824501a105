"""What was heard on the line is named for what it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.bus.frame import Request, crc16, rtu_request
from meterseal_agent.bus.overheard import frames_in

ASKS = rtu_request(Request(unit=3, function=4, address=0, count=10))


def framed(text: str) -> bytes:
    body = bytes.fromhex(text)
    return body + crc16(body)


def test_a_masters_request_and_its_reply_are_told_apart() -> None:
    reply = framed("03 04 14" + "00" * 20)

    asked, answered = frames_in(ASKS + reply)

    assert (asked.asks, answered.asks) == (True, False)
    assert str(asked) == "somebody asks unit 3, function 4, registers 0..9"
    assert str(answered) == "unit 3 answers function 4"


def test_frames_are_found_between_noise() -> None:
    found = frames_in(b"\x00\xff\x17" + ASKS + b"\xfe" + framed("09 84 02") + b"\x80")

    assert [(frame.unit, frame.asks) for frame in found] == [(3, True), (9, False)]


def test_a_write_is_named_as_one() -> None:
    single = framed("05 06 00 10 00 01")
    several = framed("05 10 00 10 00 02 04 00 01 00 02")

    assert [str(frame) for frame in frames_in(single + several)] == [
        "somebody writes to unit 5 with function 6",
        "somebody writes to unit 5 with function 16",
    ]


def test_a_frame_answers_only_a_request_of_its_unit_function_and_length() -> None:
    (frame,) = frames_in(framed("05 04 04 44 A3 76 14"))
    (refusal,) = frames_in(framed("05 84 02"))
    request = Request(unit=5, function=4, address=0x156, count=2)

    assert frame.answers(request)
    assert refusal.answers(request)
    assert not frame.answers(Request(unit=6, function=4, address=0x156, count=2))
    assert not frame.answers(Request(unit=5, function=3, address=0x156, count=2))
    assert not frame.answers(Request(unit=5, function=4, address=0x156, count=4))


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_none(data: bytes) -> None:
    for frame in frames_in(data):
        assert frame.data in data
        assert str(frame)


@given(st.binary(max_size=40))
def test_a_request_behind_noise_without_frames_is_found(noise: bytes) -> None:
    if frames_in(noise):
        return
    # Noise may by chance be the head of a longer frame; then its CRC would have to fit, too.
    assert any(frame.data == ASKS for frame in frames_in(noise + ASKS))
