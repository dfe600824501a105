"""Rows: 64 bytes at fixed offsets."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.bodies import MeterState
from meterseal.errors import EncodingError
from meterseal.rows import ROW_BYTES, Row, decode_rows, encode_rows, meter_id
from support.records import METER, ROW, outcome


def test_every_field_stands_at_its_offset() -> None:
    data = encode_rows([replace(ROW, meter=7, state=MeterState.OUT_OF_RANGE, flags=0x2A)])

    assert data[0:8] == bytes([7, ord("O"), 2, 0x2A, 0, 0, 0, 0])
    assert int.from_bytes(data[8:16], "big") == ROW.opening_import_wh
    assert int.from_bytes(data[16:24], "big") == ROW.opening_export_wh
    assert int.from_bytes(data[24:32], "big") == ROW.closing_import_wh
    assert data[32:40] == b"\xff" * 8
    assert int.from_bytes(data[40:44], "big") == ROW.opening_offset_ms
    assert int.from_bytes(data[44:48], "big") == ROW.closing_offset_ms
    assert data[48:64] == hashlib.sha256(b"Eastron\nSDM630 Modbus V2\n19340712").digest()[:16]


def test_the_meter_id_names_the_plate_and_not_the_wiring() -> None:
    assert meter_id(replace(METER, address=9, bus="other", firmware="2")) == meter_id(METER)
    assert meter_id(replace(METER, serial="19340713")) != meter_id(METER)


@given(st.lists(st.binary(min_size=ROW_BYTES, max_size=ROW_BYTES), max_size=3).map(b"".join))
def test_any_rows_are_read_as_what_they_say_or_refused(data: bytes) -> None:
    rows = outcome(decode_rows, data)

    assert isinstance(rows, EncodingError) or encode_rows(rows) == data  # type: ignore[arg-type]


@given(st.integers(0, ROW_BYTES - 1), st.integers(0, 255))
def test_a_row_with_any_other_byte_is_read_as_what_it_says_or_refused(at: int, byte: int) -> None:
    data = bytearray(encode_rows([ROW]))
    data[at] = byte

    rows = outcome(decode_rows, bytes(data))

    assert isinstance(rows, EncodingError) or encode_rows(rows) == data  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "row",
    [
        replace(ROW, meter=64),
        replace(ROW, meter=-1),
        replace(ROW, flags=64),
        replace(ROW, opening_import_wh=2**63),
        replace(ROW, opening_import_wh=2**64 - 1),
        replace(ROW, opening_import_wh=-1),
        replace(ROW, opening_offset_ms=2**32 - 1),
        replace(ROW, opening_offset_ms=2**32),
        replace(ROW, meter_id=bytes(15)),
        replace(ROW, meter_id=bytes(17)),
    ],
)
def test_a_row_out_of_its_limits_is_never_written(row: Row) -> None:
    with pytest.raises(EncodingError):
        encode_rows([row])


@pytest.mark.parametrize("indexes", [(0, 0), (1, 0)])
def test_meters_ascend(indexes: tuple[int, ...]) -> None:
    with pytest.raises(EncodingError, match="ascending"):
        encode_rows([replace(ROW, meter=index) for index in indexes])


@pytest.mark.parametrize("size", [1, 63, 65, 65 * ROW_BYTES])
def test_another_length_is_refused(size: int) -> None:
    assert isinstance(outcome(decode_rows, bytes(size)), EncodingError)
