"""The signed record: what a device says, in the bytes that everybody keeps.

A record is a COSE_Sign1 whose payload is a CBOR map (protocol 2 and 3):

    {1: device, 2: epoch, 3: seq, 4: time, 5: clock, 6: prev, 7: kind, 8: body, 9: up, 10: light}

Key 10 stands in every kind but readings. The record hash is SHA-256(0x00 ‖ all bytes): link, leaf,
de-duplication key and receipt key at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cbor2

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
from meterseal.encoding import decode
from meterseal.errors import EncodingError, SignatureInvalid
from meterseal.fields import array, bstr, keyed, uint
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
    content: dict[int, object] = {
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
    if record.light is not None:
        content[10] = [record.light.n, record.light.hash]
    if _read(content) != record:
        raise EncodingError(f"record {record.seq}: its kind or a field's type is not the body's")
    data = cose.sign1(key, cose.RECORD, cbor2.dumps(content))
    if len(data) > MAX_RECORD:
        raise EncodingError(f"record {record.seq}: {len(data)} bytes, at most {MAX_RECORD}")
    return data


def decode_record(data: bytes) -> Record:
    """Read a record strictly, without checking its signature.

    Raises:
        EncodingError: If it is not what `encode_record` writes.
    """
    return _read(decode(_envelope(data).payload))


def open_record(data: bytes, public: PublicKey) -> Record:
    """Read a record that `public` signed.

    Raises:
        EncodingError: As `decode_record`.
        SignatureInvalid: If the signature is not by `public`.
    """
    envelope = _envelope(data)
    record = _read(decode(envelope.payload))
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


def _read(value: object) -> Record:
    light: Light | None = None
    if isinstance(value, dict) and value.get(7) != Kind.READING:
        *common, link = keyed(value, "record", _LIGHT_KEYS)
        n, before = array(link, "record.light", 2)
        light = Light(n=uint(n, "record.light.n"), hash=Hash(bstr(before, "record.light.hash", 32)))
    else:
        common = keyed(value, "record", _READING_KEYS)
    device, epoch, seq, time, clock, prev, number, body, up = common
    kind = wire.one_of(number, "record.kind", Kind)
    return Record(
        device=DeviceId(bstr(device, "record.device", 16)),
        epoch=Epoch(uint(epoch, "record.epoch")),
        seq=Seq(uint(seq, "record.seq")),
        time=UnixMs(uint(time, "record.time")),
        clock=wire.one_of(clock, "record.clock", Clock),
        prev=Hash(bstr(prev, "record.prev", 32)),
        kind=kind,
        body=wire.read(kind, body),
        up=uint(up, "record.up"),
        light=light,
    )
