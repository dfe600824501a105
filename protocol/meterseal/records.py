"""The signed record: what a device says, in the bytes that everybody keeps.

A record is a COSE_Sign1 whose payload is a CBOR map (protocol 2 and 3):

    {1: device, 2: epoch, 3: seq, 4: time, 5: clock, 6: prev, 7: kind, 8: body, 9: up, 10: light}

Key 10 stands in every kind but readings. The record hash is SHA-256(0x00 ‖ all bytes): link, leaf,
de-duplication key and receipt key at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meterseal import cose, wire
from meterseal.bodies import (
    MAX_METERS,
    Body,
    CheckpointPointer,
    Clock,
    Event,
    EventCode,
    Gap,
    GapReason,
    Interval,
    KeyChange,
    Kind,
    Manifest,
    MeterIdentity,
    MeterReading,
    MeterState,
    Publishes,
    Reading,
    Restore,
    RestoreReason,
    S0Input,
)
from meterseal.encoding import check_dump, dump, load
from meterseal.errors import EncodingError, SignatureInvalid
from meterseal.fields import MAX_UINT, array, bstr, check_keys, uint
from meterseal.keys import SigningKey, fingerprint, verify
from meterseal.rows import Row, RowFlag, meter_id
from meterseal.types import DeviceId, Epoch, Hash, PublicKey, Seq, UnixMs

if TYPE_CHECKING:
    from meterseal.cose import Envelope

__all__ = [
    "MAX_METERS",
    "MAX_RECORD",
    "Body",
    "CheckpointPointer",
    "Clock",
    "Event",
    "EventCode",
    "Gap",
    "GapReason",
    "Interval",
    "KeyChange",
    "Kind",
    "Light",
    "Manifest",
    "MeterIdentity",
    "MeterReading",
    "MeterState",
    "Publishes",
    "Reading",
    "Record",
    "Restore",
    "RestoreReason",
    "Row",
    "RowFlag",
    "S0Input",
    "decode_record",
    "encode_record",
    "meter_id",
    "open_record",
    "record_hash",
]

MAX_RECORD: Final = 16 * 1024
"""Bytes of one record, envelope and signature included."""

_READING_KEYS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9)
_LIGHT_KEYS: Final = (*_READING_KEYS, 10)
_KINDS: Final = tuple(Kind)
_CLOCKS: Final = tuple(Clock)
_UINTS: Final = {
    2: ("record.epoch", MAX_UINT),
    3: ("record.seq", MAX_UINT),
    4: ("record.time", MAX_UINT),
    5: ("record.clock", len(_CLOCKS) - 1),
    7: ("record.kind", len(_KINDS) - 1),
    9: ("record.up", MAX_UINT),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Light:
    """A link of the light chain: the records that are logged.

    Attributes:
        n: Number in the light chain, from 0.
        hash: Hash of the logged record before, 32 zero bytes for the first.
    """

    n: int
    hash: Hash


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One record, without its signature.

    Attributes:
        device: Who speaks.
        epoch: Branch of the chain.
        seq: That of the record before, plus one.
        time: UTC milliseconds; in a reading when the first meter's counter had arrived.
        clock: Quality of `time`.
        prev: Hash of the record before.
        kind: What `body` is.
        body: What is said.
        up: Milliseconds since boot.
        light: Link of the light chain; None exactly in readings.
    """

    device: DeviceId
    epoch: Epoch
    seq: Seq
    time: UnixMs
    clock: Clock
    prev: Hash
    kind: Kind
    body: Body
    up: int
    light: Light | None


def record_hash(data: bytes) -> Hash:
    """Hash a record's bytes: the RFC 9162 leaf hash."""
    return Hash(hashlib.sha256(b"\x00" + data).digest())


def encode_record(record: Record, key: SigningKey) -> bytes:
    """Write and sign a record.

    Raises:
        EncodingError: If a reader would refuse it: nothing of the kind is ever signed.
    """
    content: dict[int, Any] = {
        1: record.device,
        2: record.epoch,
        3: record.seq,
        4: record.time,
        5: int(record.clock),
        6: record.prev,
        7: int(record.kind),
        8: wire.plain(record.body),
        9: record.up,
    }
    if record.kind is not record.body.kind:
        raise EncodingError(f"record {record.seq}: kind {record.kind!r} with another kind's body")
    if record.light is not None:
        content[10] = [record.light.n, record.light.hash]
    if record.light is not None or record.kind is not Kind.READING:
        _read_light(content)
    _check_common(content)
    wire.check(record.kind, content[8])
    data = cose.sign1(key, cose.RECORD, dump(content))
    if len(data) > MAX_RECORD:
        raise EncodingError(f"record {record.seq}: {len(data)} bytes, at most {MAX_RECORD}")
    return data


def decode_record(data: bytes) -> Record:
    """Read a record strictly, without checking its signature.

    Raises:
        EncodingError: If it is not what `encode_record` writes.
    """
    return _read(_envelope(data).payload)


def open_record(data: bytes, public: PublicKey) -> Record:
    """Read a record that `public` signed.

    Raises:
        EncodingError: As `decode_record`.
        SignatureInvalid: If the signature is not by `public`.
    """
    envelope = _envelope(data)
    record = _read(envelope.payload)
    if not verify(public, envelope.to_be_signed, envelope.signature):
        raise SignatureInvalid(
            f"record {record.seq} of device {record.device.hex()}: "
            f"the signature is not by key {fingerprint(public)}"
        )
    return record


def _envelope(data: bytes) -> Envelope:
    if len(data) > MAX_RECORD:
        raise EncodingError(f"record of {len(data)} bytes: at most {MAX_RECORD} are accepted")
    return cose.parse1(data, cose.RECORD)


def _read(payload: bytes) -> Record:
    content = load(payload)
    if type(content) is not dict:
        raise EncodingError("record: expected a map")
    light = _read_light(content)
    _check_common(content)
    kind = _KINDS[content[7]]
    record = Record(
        device=content[1],
        epoch=content[2],
        seq=content[3],
        time=content[4],
        clock=_CLOCKS[content[5]],
        prev=content[6],
        kind=kind,
        body=wire.read(kind, content[8]),
        up=content[9],
        light=light,
    )
    # Every item has been looked at: what is left to find is how it was written.
    check_dump(content, payload)
    return record


def _read_light(content: dict[int, Any]) -> Light | None:
    """Read key 10, and with it which keys the map may have: exactly these, ascending."""
    if content.get(7) == Kind.READING:
        check_keys(content, "record", _READING_KEYS)
        return None
    check_keys(content, "record", _LIGHT_KEYS)
    n, before = array(content[10], "record.light", 2)
    return Light(n=uint(n, "record.light.n"), hash=Hash(bstr(before, "record.light.hash", 32)))


def _check_common(content: dict[int, Any]) -> None:
    """Check the fields that all kinds have."""
    for key, (name, maximum) in _UINTS.items():
        value = content[key]
        if type(value) is not int or not 0 <= value <= maximum:
            uint(value, name, maximum)
    bstr(content[1], "record.device", 16)
    bstr(content[6], "record.prev", 32)
