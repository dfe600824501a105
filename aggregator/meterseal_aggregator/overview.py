"""What `devices` shows: the state of each device, from the store alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from meterseal.records import Kind, decode_record
from meterseal_aggregator.enrolment import newest
from meterseal_aggregator.outbox import gaps_of
from meterseal_aggregator.standing import CONFIRMED
from meterseal_aggregator.store import Status

if TYPE_CHECKING:
    from meterseal_aggregator.store import Device, Store

Row = dict[str, object]


def overview(store: Store) -> list[Row]:
    """Describe every device."""
    with store.read():
        return [_row(store, device) for device in store.devices.all()]


def log_overview(store: Store) -> Row:
    """Describe the log: leaves, queue, newest checkpoint, newest anchor."""
    with store.read():
        checkpoint, anchored = store.tree.checkpoint(), store.journal.anchored()
        return {
            "leaves": store.tree.size(),
            "queued": len(store.tree.queued(-1)),
            "checkpoint": None if checkpoint is None else checkpoint.size,
            "anchored": None if anchored is None else anchored.size,
            "anchored_block": None if anchored is None else anchored.block,
            "ledger_proof": anchored is not None and anchored.proof is not None,
            "confirmed": [_confirmed(name, size) for name, size in store.facts(CONFIRMED)],
        }


def _row(store: Store, device: Device) -> Row:
    kinds = store.records.kinds(device.id)
    anchored = store.journal.anchored()
    anchored_size = 0 if anchored is None else anchored.size
    waiting, _ = store.records.load(device.id, Status.WAITING)
    stands = newest(store, device.id)
    revoked = None if stands is None else stands[1].revoked_after
    return {
        "device": device.id.hex(),
        "state": "revoked" if revoked else _state(device, waiting),
        "head": None if device.head is None else _head(store, device.head),
        "readings": kinds.get(Kind.READING, 0),
        "intervals": kinds.get(Kind.INTERVAL, 0),
        "stored": sum(kinds.values()),
        "logged": store.tree.leaf_count(device.id, store.tree.size()),
        "anchored": store.tree.leaf_count(device.id, anchored_size),
        "intervals_logged": store.records.intervals_below(device.id, store.tree.size()),
        "intervals_anchored": store.records.intervals_below(device.id, anchored_size),
        "waiting": waiting,
        "gaps": [list(gap) for gap in gaps_of(store, device)],
        "frozen": device.frozen,
        "revoked_after": None if revoked is None else list(revoked),
        "clone_suspected": None if device.clone_ms is None else _time(device.clone_ms),
    }


def _state(device: Device, waiting: int) -> str:
    if device.frozen is not None:
        return "frozen"
    if device.head is None:
        return "enrolled"
    if device.clone_ms is not None:
        return "clone suspected"
    return "gap" if waiting else "ok"


def _head(store: Store, head: int) -> Row:
    stored = store.records.by_id(head)
    record = decode_record(stored.data)
    return {
        "epoch": stored.epoch,
        "seq": stored.seq,
        "kind": Kind(stored.kind).name.lower(),
        "time": _time(record.time),
        "hash": stored.hash.hex(),
    }


def _confirmed(name: str, size: bytes) -> str:
    at_ms = int(name.removeprefix(CONFIRMED))
    return f"size {int.from_bytes(size, 'big')} at {_time(at_ms)}"


def _time(time_ms: int) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{milliseconds:03d}Z"
