"""Signed statements that are no records: enrolments and acknowledgement heads.

Each is a COSE_Sign1 with a typ of its own and a payload map with all keys present.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal import cose
from meterseal.encoding import decode, encode
from meterseal.fields import array, blob, bstr, items, keyed, text, uint
from meterseal.records import MAX_RECORD
from meterseal.types import DeviceId, Epoch, Hash, PublicKey, Seq, UnixMs

if TYPE_CHECKING:
    from meterseal.keys import SigningKey

MAX_SERIALS: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Enrolment:
    """Somebody with an enrolment key says that this device measures that metering point.

    Attributes:
        device: Device id.
        public_key: The record key it is enrolled with.
        metering_point: Id of the point of supply, e.g. a MaLo or EAN.
        serials: Serial numbers of the meters it reads.
        role: What the point is, e.g. "grid" or "pv".
        valid_from: UTC milliseconds.
        replaces: Device and last hash of the chain that this one continues.
        revoked_after: Epoch and seq of the last record that counts.
    """

    device: DeviceId
    public_key: PublicKey
    metering_point: str
    serials: tuple[str, ...]
    role: str
    valid_from: UnixMs
    replaces: tuple[DeviceId, Hash] | None = None
    revoked_after: tuple[Epoch, Seq] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadStatement:
    """The aggregator says what it holds of a device: a promise to log it within a delay.

    Attributes:
        device: Device id.
        nonce: Nonce of the hello that is answered, None in an unasked head.
        time: UTC milliseconds.
        last_record: Bytes of the device's last connected record, None if there is none.
        last_light: Bytes of its last light record where `last_record` is a reading, else None.
        longest_delay_ms: Time until everything up to the last record is logged.
    """

    device: DeviceId
    nonce: bytes | None
    time: UnixMs
    last_record: bytes | None
    last_light: bytes | None
    longest_delay_ms: int


def encode_enrolment(enrolment: Enrolment, key: SigningKey) -> bytes:
    """Write and sign an enrolment.

    Raises:
        EncodingError: If a reader would refuse it.
    """
    content = {
        1: enrolment.device,
        2: enrolment.public_key,
        3: enrolment.metering_point,
        4: list(enrolment.serials),
        5: enrolment.role,
        6: enrolment.valid_from,
        7: enrolment.replaces and list(enrolment.replaces),
        8: enrolment.revoked_after and list(enrolment.revoked_after),
    }
    _read_enrolment(content)
    return cose.sign1(key, cose.ENROL, encode(content))


def decode_enrolment(data: bytes) -> Enrolment:
    """Read an enrolment strictly, without checking its signature."""
    return _read_enrolment(decode(cose.parse1(data, cose.ENROL).payload))


def open_enrolment(data: bytes, public: PublicKey) -> Enrolment:
    """Read an enrolment that the enrolment key `public` signed."""
    return _read_enrolment(decode(cose.open1(data, cose.ENROL, public)))


def _read_enrolment(value: object) -> Enrolment:
    device, key, point, serials, role, valid_from, replaces, revoked = keyed(
        value, "enrolment", (1, 2, 3, 4, 5, 6, 7, 8)
    )
    replaced: tuple[DeviceId, Hash] | None = None
    if replaces is not None:
        old, last = array(replaces, "enrolment.replaces", 2)
        replaced = (
            DeviceId(bstr(old, "enrolment.replaces.device", 16)),
            Hash(bstr(last, "enrolment.replaces.hash", 32)),
        )
    end: tuple[Epoch, Seq] | None = None
    if revoked is not None:
        epoch, seq = array(revoked, "enrolment.revoked_after", 2)
        end = (
            Epoch(uint(epoch, "enrolment.revoked_after.epoch")),
            Seq(uint(seq, "enrolment.revoked_after.seq")),
        )
    return Enrolment(
        device=DeviceId(bstr(device, "enrolment.device", 16)),
        public_key=PublicKey(bstr(key, "enrolment.public_key", 32)),
        metering_point=text(point, "enrolment.metering_point"),
        serials=tuple(
            text(serial, "enrolment.serial")
            for serial in items(serials, "enrolment.serials", MAX_SERIALS)
        ),
        role=text(role, "enrolment.role"),
        valid_from=UnixMs(uint(valid_from, "enrolment.valid_from")),
        replaces=replaced,
        revoked_after=end,
    )


def encode_head(head: HeadStatement, key: SigningKey) -> bytes:
    """Write and sign a head statement with the acknowledgement key.

    Raises:
        EncodingError: If a reader would refuse it.
    """
    content = {
        1: head.device,
        2: head.nonce,
        3: head.time,
        4: head.last_record,
        5: head.last_light,
        6: head.longest_delay_ms,
    }
    _read_head(content)
    return cose.sign1(key, cose.HEAD, encode(content))


def decode_head(data: bytes) -> HeadStatement:
    """Read a head statement strictly, without checking its signature."""
    return _read_head(decode(cose.parse1(data, cose.HEAD).payload))


def open_head(data: bytes, public: PublicKey) -> HeadStatement:
    """Read a head statement that the acknowledgement key `public` signed.

    The records inside are bytes: whoever believes one opens it under the device's own key.
    """
    return _read_head(decode(cose.open1(data, cose.HEAD, public)))


def _read_head(value: object) -> HeadStatement:
    device, nonce, time, last, light, delay = keyed(value, "head", (1, 2, 3, 4, 5, 6))
    return HeadStatement(
        device=DeviceId(bstr(device, "head.device", 16)),
        nonce=None if nonce is None else bstr(nonce, "head.nonce", 16),
        time=UnixMs(uint(time, "head.time")),
        last_record=None if last is None else blob(last, "head.last_record", MAX_RECORD),
        last_light=None if light is None else blob(light, "head.last_light", MAX_RECORD),
        longest_delay_ms=uint(delay, "head.longest_delay_ms"),
    )
