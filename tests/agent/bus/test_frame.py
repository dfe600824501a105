"""Replies are believed byte for byte, or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.bus.frame import (
    Request,
    crc16,
    mbap_reply,
    mbap_request,
    rtu_pending,
    rtu_reply,
    rtu_request,
)
from meterseal_agent.errors import MeterError, MissingReplyError, WrongReplyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REQUEST = Request(unit=5, function=4, address=0x0156, count=2)
# Typed by hand: unit 5, function 4, 4 bytes, 1307.69 kWh as 0x44A37614.
BODY = bytes.fromhex("05 04 04 44 A3 76 14")
REPLY = BODY + crc16(BODY)


def framed(text: str) -> bytes:
    body = bytes.fromhex(text)
    return body + crc16(body)


def test_the_crc_is_that_of_the_specifications_example() -> None:
    # MODBUS over Serial Line 1.02, appendix B: the frame 02 07 ends in 41 12.
    assert crc16(bytes.fromhex("02 07")) == bytes.fromhex("41 12")


def test_a_request_is_built_as_eastron_prints_it() -> None:
    # SDM630 Modbus protocol, example: voltage of phase 1 of unit 1.
    request = Request(unit=1, function=4, address=0, count=2)

    assert rtu_request(request) == bytes.fromhex("01 04 00 00 00 02 71 CB")


def test_a_tcp_request_carries_its_transaction() -> None:
    assert mbap_request(REQUEST, 0x1234) == bytes.fromhex("12 34 00 00 00 06 05 04 01 56 00 02")


def test_a_right_reply_yields_its_words() -> None:
    assert rtu_reply(REQUEST, REPLY) == bytes.fromhex("44 A3 76 14")


def test_every_beginning_of_a_right_reply_is_waited_for() -> None:
    for length in range(len(REPLY)):
        with pytest.raises(MissingReplyError):
            rtu_reply(REQUEST, REPLY[:length])


def test_what_is_pending_is_just_what_is_the_beginning_of_a_right_reply() -> None:
    for length in range(len(REPLY)):
        assert rtu_pending(REQUEST, REPLY[:length])
    assert not rtu_pending(REQUEST, REPLY)
    for wrong in ("06", "05 03", "05 84", "05 04 02"):
        assert not rtu_pending(REQUEST, bytes.fromhex(wrong))


def test_a_byte_behind_the_reply_refuses_it() -> None:
    with pytest.raises(WrongReplyError, match="something follows"):
        rtu_reply(REQUEST, REPLY + b"\0")


def test_a_byte_before_the_reply_refuses_it() -> None:
    with pytest.raises(WrongReplyError):
        rtu_reply(REQUEST, b"\0" + REPLY)


def test_every_flipped_bit_refuses_the_reply() -> None:
    for bit in range(8 * len(REPLY)):
        flipped = bytearray(REPLY)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises((WrongReplyError, MissingReplyError)):
            rtu_reply(REQUEST, bytes(flipped))


def test_a_reply_from_another_meter_is_refused() -> None:
    with pytest.raises(WrongReplyError, match="unit 6"):
        rtu_reply(REQUEST, framed("06 04 04 44 A3 76 14"))


def test_a_reply_to_function_3_does_not_answer_function_4() -> None:
    with pytest.raises(WrongReplyError, match="function 4, got 3"):
        rtu_reply(REQUEST, framed("05 03 04 44 A3 76 14"))


def test_a_reply_with_fewer_registers_than_asked_is_refused() -> None:
    with pytest.raises(WrongReplyError, match="4 bytes of values, got 2"):
        rtu_reply(REQUEST, framed("05 04 02 44 A3"))


def test_a_reply_with_more_registers_than_asked_is_refused() -> None:
    with pytest.raises(WrongReplyError, match="4 bytes of values, got 6"):
        rtu_reply(REQUEST, framed("05 04 06 44 A3 76 14 00 00"))


def test_an_exception_is_the_meters_no_and_names_its_code() -> None:
    with pytest.raises(MeterError, match="illegal data address") as caught:
        rtu_reply(REQUEST, framed("05 84 02"))

    assert caught.value.code == 2


def test_an_exception_to_another_function_is_no_answer() -> None:
    with pytest.raises(WrongReplyError):
        rtu_reply(REQUEST, framed("05 83 02"))


def test_an_exception_with_a_broken_checksum_is_no_answer() -> None:
    with pytest.raises(WrongReplyError):
        rtu_reply(REQUEST, bytes.fromhex("05 84 02 00 00"))


def test_a_tcp_reply_of_an_earlier_transaction_is_refused() -> None:
    reply = bytes.fromhex("00 06 00 00 00 07 05 04 04 44 A3 76 14")

    assert mbap_reply(REQUEST, 6, reply) == bytes.fromhex("44 A3 76 14")
    with pytest.raises(WrongReplyError, match="transaction 7"):
        mbap_reply(REQUEST, 7, reply)


def test_a_tcp_reply_of_another_unit_with_the_right_transaction_is_refused() -> None:
    # home-assistant/core#130791: pymodbus took it.
    with pytest.raises(WrongReplyError):
        mbap_reply(REQUEST, 7, bytes.fromhex("00 07 00 00 00 07 06 04 04 44 A3 76 14"))


def test_a_gateways_exception_is_told_from_the_meters() -> None:
    with pytest.raises(MeterError, match="gateway target failed") as caught:
        mbap_reply(REQUEST, 7, bytes.fromhex("00 07 00 00 00 03 05 84 0B"))

    assert caught.value.code == 11


def test_every_beginning_of_a_tcp_reply_is_waited_for() -> None:
    reply = bytes.fromhex("00 07 00 00 00 07 05 04 04 44 A3 76 14")
    for length in range(len(reply)):
        with pytest.raises(MissingReplyError):
            mbap_reply(REQUEST, 7, reply[:length])
    with pytest.raises(WrongReplyError):
        mbap_reply(REQUEST, 7, reply + b"\0")


def transaction_7(request: Request, data: bytes) -> bytes:
    return mbap_reply(request, 7, data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_reply_or_one_of_our_errors(data: bytes) -> None:
    for judge in (rtu_reply, transaction_7):
        try:
            words = judge(REQUEST, data)
        except (MissingReplyError, WrongReplyError, MeterError):
            continue
        assert len(words) == 4


@given(st.binary(min_size=4, max_size=4), st.integers(1, 247))
def test_what_a_meter_frames_rightly_is_read_back(words: bytes, unit: int) -> None:
    request = Request(unit=unit, function=3, address=0, count=2)
    body = bytes((unit, 3, 4)) + words

    assert rtu_reply(request, body + crc16(body)) == words


def test_a_request_beyond_the_register_space_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="65536"):
        Request(unit=1, function=3, address=0xFFFF, count=2)
    with pytest.raises(ValueError, match="125"):
        Request(unit=1, function=3, address=0, count=126)


def test_recorded_reads_are_judged_as_their_recorders_did(vectors: Callable[[str], Path]) -> None:
    """Each recorded RTU exchange of functions 3 and 4 decodes, request and reply."""
    judged = 0
    for request, reply in recorded_exchanges(vectors("dumps/frames/frames.json")):
        expected = Request(
            unit=request[0],
            function=3 if request[1] == 3 else 4,
            address=int.from_bytes(request[2:4], "big"),
            count=int.from_bytes(request[4:6], "big"),
        )
        assert rtu_request(expected) == request
        assert len(rtu_reply(expected, reply)) == 2 * expected.count
        judged += 1
    assert judged > 10


def recorded_exchanges(path: Path) -> list[tuple[bytes, bytes]]:
    return [
        (bytes.fromhex(exchange["req"]), bytes.fromhex(exchange["rsp"]))
        for one in json.loads(path.read_text(encoding="utf-8"))
        if one["transport"] == "rtu"
        for exchange in one["exchanges"]
        if exchange.get("req_checks")
        and exchange.get("rsp_checks")
        and exchange["req"][2:4] in ("03", "04")
        and exchange["rsp"][2:4] == exchange["req"][2:4]
    ]
