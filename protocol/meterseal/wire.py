"""Bodies of records as CBOR values: one writer and one strict reader for each kind.

The layouts are those of protocol/README.md, section 3. A writer's result goes through the reader
before it is signed, so that a device never signs what nobody will read.
"""

from __future__ import annotations

from typing import Final

from meterseal import fields
from meterseal.bodies import (
    MAX_EVENT_DETAILS,
    MAX_METERS,
    Body,
    CheckpointPointer,
    Event,
    EventCode,
    Gap,
    GapReason,
    Interval,
    KeyChange,
    Kind,
    Manifest,
    Reading,
    Restore,
    RestoreReason,
)
from meterseal.rows import decode_rows, encode_rows
from meterseal.types import Hash, PublicKey, Seq, UnixMs
from meterseal.wire_manifest import plain_manifest, read_manifest
from meterseal.wire_reading import check_reading, plain_reading, read_reading

_MAX_BLOB: Final = 64


def plain(body: Body) -> object:  # noqa: PLR0911 - one case for each of the seven kinds
    """Turn a body into what `encoding.encode` writes."""
    match body:
        case Reading():
            return plain_reading(body)
        case Interval():
            return _plain_interval(body)
        case Manifest():
            return plain_manifest(body)
        case Gap():
            return [body.start, body.end, int(body.reason), body.meter]
        case Event():
            return [int(body.code), list(body.detail)]
        case Restore():
            missing = list(body.missing) if body.missing else None
            return [int(body.reason), body.nonce, missing]
        case KeyChange():
            return [body.public_key]


def read(kind: Kind, value: object) -> Body:  # noqa: PLR0911 - as `plain`
    """Read the body of a record of `kind` strictly.

    Raises:
        EncodingError: If a field is missing, too many, of another type or out of its limits.
    """
    match kind:
        case Kind.READING:
            return read_reading(value)
        case Kind.INTERVAL:
            return _read_interval(value)
        case Kind.MANIFEST:
            return read_manifest(value)
        case Kind.GAP:
            return _read_gap(value)
        case Kind.EVENT:
            return _read_event(value)
        case Kind.RESTORE:
            return _read_restore(value)
        case Kind.KEY_CHANGE:
            (key,) = fields.array(value, "key-change", 1)
            return KeyChange(public_key=PublicKey(fields.bstr(key, "key-change.public_key", 32)))


def check(kind: Kind, value: object) -> None:
    """Hold a body that is about to be signed against what `read` accepts.

    Raises:
        EncodingError: As `read`.
    """
    if kind is Kind.READING:
        check_reading(value)
    else:
        read(kind, value)


def plain_pointer(pointer: CheckpointPointer | None) -> list[object] | None:
    """Write a checkpoint pointer as [size, root], or null."""
    return None if pointer is None else [pointer.size, pointer.root]


def read_pointer(value: object, name: str) -> CheckpointPointer | None:
    """Read [size, root] or null."""
    if value is None:
        return None
    size, root = fields.array(value, name, 2)
    return CheckpointPointer(
        size=fields.uint(size, f"{name}.size"), root=Hash(fields.bstr(root, f"{name}.root", 32))
    )


def _plain_interval(body: Interval) -> list[object]:
    return [
        body.start,
        body.end,
        body.first_seq,
        body.count,
        body.root,
        body.manifest_hash,
        plain_pointer(body.checkpoint),
        body.flags,
        body.evidence_signature,
        encode_rows(body.rows),
    ]


def _read_interval(value: object) -> Interval:
    start, end, first, count, root, manifest, checkpoint, flags, signature, rows = fields.array(
        value, "interval", 10
    )
    begins, ends = _span(start, end, "interval")
    return Interval(
        start=begins,
        end=ends,
        first_seq=Seq(fields.uint(first, "interval.first_seq")),
        count=fields.uint(count, "interval.count"),
        root=Hash(fields.bstr(root, "interval.root", 32)),
        manifest_hash=Hash(fields.bstr(manifest, "interval.manifest_hash", 32)),
        checkpoint=read_pointer(checkpoint, "interval.checkpoint"),
        flags=fields.uint(flags, "interval.flags", Interval.PARTIAL),
        evidence_signature=None
        if signature is None
        else fields.bstr(signature, "interval.evidence_signature", 64),
        rows=decode_rows(fields.blob(rows, "interval.rows", 64 * MAX_METERS)),
    )


def _read_gap(value: object) -> Gap:
    start, end, reason, meter = fields.array(value, "gap", 4)
    begins, ends = _span(start, end, "gap")
    return Gap(
        start=begins,
        end=ends,
        reason=fields.one_of(reason, "gap.reason", GapReason),
        meter=None if meter is None else fields.uint(meter, "gap.meter", MAX_METERS - 1),
    )


def _read_event(value: object) -> Event:
    code, details = fields.array(value, "event", 2)
    return Event(
        code=fields.one_of(code, "event.code", EventCode),
        detail=tuple(map(_read_detail, fields.items(details, "event.detail", MAX_EVENT_DETAILS))),
    )


def _read_detail(value: object) -> int | bytes | str | None:
    if value is None:
        return None
    if type(value) is bytes:
        return fields.blob(value, "event.detail", _MAX_BLOB)
    if type(value) is str:
        return fields.text(value, "event.detail")
    return fields.sint(value, "event.detail")


def _read_restore(value: object) -> Restore:
    reason, nonce, missing = fields.array(value, "restore", 3)
    lost: tuple[Seq, Seq] | None = None
    if missing is not None:
        first, last = fields.array(missing, "restore.missing", 2)
        to = fields.uint(last, "restore.missing.last")
        lost = Seq(fields.uint(first, "restore.missing.first", to)), Seq(to)
    return Restore(
        reason=fields.one_of(reason, "restore.reason", RestoreReason),
        nonce=fields.bstr(nonce, "restore.nonce", 16),
        missing=lost,
    )


def _span(start: object, end: object, name: str) -> tuple[UnixMs, UnixMs]:
    """Read a beginning and an end that is not before it."""
    ends = fields.uint(end, f"{name}.end")
    return UnixMs(fields.uint(start, f"{name}.start", ends)), UnixMs(ends)
