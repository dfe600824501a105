"""Framing, held against the worked examples of the specification and recorded frames."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal_simulator.modbus import (
    ExceptionCode,
    Request,
    crc16,
    mbap_frame,
    refusal,
    request_length,
    rtu_frame,
    split_requests,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_recorded_serial_frames_have_the_checksum_we_compute(
    vectors: Callable[[str], Path],
) -> None:
    checked = 0

    for entry in json.loads(vectors("dumps/frames/frames.json").read_text()):
        if entry["transport"] != "rtu":
            continue
        for exchange in entry["exchanges"]:
            for side in ("req", "rsp"):
                if exchange.get(f"{side}_checks"):
                    frame = bytes.fromhex(exchange[side])
                    assert rtu_frame(frame[0], frame[1:-2]) == frame
                    checked += 1

    assert checked > 50


def test_recorded_requests_are_found_whole(vectors: Callable[[str], Path]) -> None:
    for entry in json.loads(vectors("dumps/frames/frames.json").read_text()):
        for exchange in entry["exchanges"]:
            if entry["transport"] == "rtu" and exchange.get("req_checks"):
                frame = bytes.fromhex(exchange["req"])
                requests, noise = split_requests(frame)
                assert requests == [Request(unit=frame[0], pdu=frame[1:-2])]
                assert noise == 0


def test_the_checksum_of_a_frame_with_its_checksum_is_zero() -> None:
    assert crc16(bytes.fromhex("010400080002f009")) == 0


def test_a_tcp_frame_says_how_long_it_is() -> None:
    assert mbap_frame(2, 1, bytes.fromhex("040050001c")).hex() == "00020000000601040050001c"


def test_a_refusal_is_two_bytes() -> None:
    assert refusal(4, ExceptionCode.ILLEGAL_ADDRESS) == b"\x84\x02"


def test_two_requests_glued_together_are_told_apart() -> None:
    first, second = rtu_frame(1, b"\x04\x00\x00\x00\x02"), rtu_frame(2, b"\x03\x00\x00\x00\x01")

    requests, noise = split_requests(first + second)

    assert [request.unit for request in requests] == [1, 2]
    assert noise == 0


def test_a_write_request_is_as_long_as_its_byte_count_says() -> None:
    frame = rtu_frame(1, bytes.fromhex("1000280002044505d000"))

    assert request_length(frame) == len(frame)


@pytest.mark.parametrize("position", range(8))
def test_a_flipped_bit_makes_a_request_noise(position: int) -> None:
    frame = bytearray(rtu_frame(1, b"\x04\x00\x00\x00\x02"))
    frame[position] ^= 0x10

    assert split_requests(bytes(frame)) == ([], 8)


@given(st.binary(max_size=300))
def test_whatever_is_heard_is_requests_and_noise_and_never_an_error(heard: bytes) -> None:
    requests, noise = split_requests(heard)

    assert sum(len(request.pdu) + 3 for request in requests) + noise == len(heard)
