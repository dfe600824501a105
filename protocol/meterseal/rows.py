"""The rows of an interval: 64 bytes a meter at fixed offsets, so that a contract can read them.

| bytes | field |
|---|---|
| 0 | meter index |
| 1 | state, an ASCII letter |
| 2 | clock |
| 3 | flags |
| 4..7 | zero |
| 8..15 | opening import, Wh |
| 16..23 | opening export, Wh |
| 24..31 | closing import, Wh |
| 32..39 | closing export, Wh |
| 40..43 | opening offset after the interval's start, ms |
| 44..47 | closing offset after the interval's end, ms |
| 48..63 | first 16 bytes of SHA-256(make 0x0A model 0x0A serial) |

All integers are unsigned and big-endian; all ones mean null: there was no good boundary reading.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Final

from meterseal.bodies import MAX_METERS, Clock, MeterState
from meterseal.errors import EncodingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal.bodies import MeterIdentity

ROW_BYTES: Final = 64
_LAYOUT: Final = struct.Struct(">B c B B 4x Q Q Q Q I I 16s")
_NULL_64: Final = 2**64 - 1
_NULL_32: Final = 2**32 - 1
_MAX_WH: Final = 2**63 - 1


class RowFlag(IntFlag):
    """Why a row may not be billed as it stands."""

    COUNTER_FELL = 1
    COUNTER_JUMPED = 2
    METER_EXCHANGED = 4
    NO_OPENING = 8
    NO_CLOSING = 16
    CLOCK_LOST = 32


_ALL_FLAGS: Final = 63


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One meter's registers at the two ends of an interval.

    Attributes:
        meter: Index in the manifest.
        state: State at the close.
        clock: Worst clock quality in the interval.
        flags: `RowFlag` bits.
        opening_import_wh: Counter at the start, or None.
        opening_export_wh: Counter at the start, or None.
        closing_import_wh: Counter at the end, or None.
        closing_export_wh: Counter at the end, or None.
        opening_offset_ms: How long after the start it was read, or None.
        closing_offset_ms: How long after the end it was read, or None.
        meter_id: `meter_id` of the meter's identity, 16 bytes.
    """

    meter: int
    state: MeterState
    clock: Clock
    flags: int
    opening_import_wh: int | None
    opening_export_wh: int | None
    closing_import_wh: int | None
    closing_export_wh: int | None
    opening_offset_ms: int | None
    closing_offset_ms: int | None
    meter_id: bytes


def meter_id(identity: MeterIdentity) -> bytes:
    """Name a meter by what stands on its plate: make, model, serial (16 bytes)."""
    plate = f"{identity.make}\n{identity.model}\n{identity.serial}"
    return hashlib.sha256(plate.encode()).digest()[:16]


def encode_rows(rows: Sequence[Row]) -> bytes:
    """Write rows one behind the other.

    Raises:
        EncodingError: If a field does not fit its place, or the indexes do not ascend.
    """
    try:
        data = b"".join(map(_packed, rows))
    except (struct.error, OverflowError, TypeError, ValueError) as error:
        raise EncodingError(f"interval row: {error}") from error
    decode_rows(data)  # What leaves is held to what the reader accepts.
    return data


def decode_rows(data: bytes) -> tuple[Row, ...]:
    """Read rows strictly.

    Raises:
        EncodingError: If the length is not that of 0 to 64 rows, or a row is out of its limits.
    """
    if len(data) % ROW_BYTES or len(data) > MAX_METERS * ROW_BYTES:
        raise EncodingError(f"interval rows: expected 0 to 64 times 64 bytes, got {len(data)}")
    rows = tuple(_unpacked(data[at : at + ROW_BYTES]) for at in range(0, len(data), ROW_BYTES))
    indexes = [row.meter for row in rows]
    if indexes != sorted(set(indexes)):
        raise EncodingError(f"interval rows: expected ascending meters, got {indexes}")
    return rows


def _packed(row: Row) -> bytes:
    return _LAYOUT.pack(
        row.meter,
        row.state.encode("ascii"),
        row.clock,
        row.flags,
        _or_null(row.opening_import_wh, _NULL_64),
        _or_null(row.opening_export_wh, _NULL_64),
        _or_null(row.closing_import_wh, _NULL_64),
        _or_null(row.closing_export_wh, _NULL_64),
        _or_null(row.opening_offset_ms, _NULL_32),
        _or_null(row.closing_offset_ms, _NULL_32),
        _sized(row.meter_id),
    )


def _sized(name: bytes) -> bytes:
    if len(name) != 16:  # noqa: PLR2004 - struct would cut or pad it silently
        raise EncodingError(f"interval row: expected a meter id of 16 bytes, got {len(name)}")
    return name


def _or_null(value: int | None, null: int) -> int:
    if value == null:
        raise EncodingError(f"interval row: {value} is the mark for null")
    return null if value is None else value


def _unpacked(data: bytes) -> Row:
    meter, letter, clock, flags, *numbers, name = _LAYOUT.unpack(data)
    registers, offsets = numbers[:4], numbers[4:]
    if any(data[4:8]) or meter >= MAX_METERS or flags > _ALL_FLAGS:
        raise EncodingError(f"interval row {data[:8].hex()}: index, flags or padding out of limits")
    if any(_MAX_WH < value < _NULL_64 for value in registers):
        raise EncodingError(f"interval row of meter {meter}: register above 2^63-1")
    try:
        state, quality = MeterState(letter.decode("ascii")), Clock(clock)
    except ValueError as error:
        raise EncodingError(f"interval row of meter {meter}: {error}") from error
    wh = [None if value == _NULL_64 else value for value in registers]
    ms = [None if value == _NULL_32 else value for value in offsets]
    return Row(
        meter=meter,
        state=state,
        clock=quality,
        flags=flags,
        opening_import_wh=wh[0],
        opening_export_wh=wh[1],
        closing_import_wh=wh[2],
        closing_export_wh=wh[3],
        opening_offset_ms=ms[0],
        closing_offset_ms=ms[1],
        meter_id=name,
    )
