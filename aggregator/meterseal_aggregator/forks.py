"""Fork evidence: the file that lets anybody see that a device signed two histories."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from meterseal.contradiction import contradiction
from meterseal.evidence import ForkEvidence, encode_evidence
from meterseal.records import decode_record

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.types import DeviceId
    from meterseal_aggregator.store import Contradiction, Store, StoredRecord


def evidence_name(store: Store, found: Contradiction) -> str:
    """Name a contradiction's file: `<device>-fork-<seq>.evidence`, later ones with a number."""
    record = store.records.by_id(found.record)
    earlier = 0
    for other in store.records.contradictions(found.device):
        if other == found:
            break
        earlier += store.records.by_id(other.record).seq == record.seq
    number = f"-{earlier + 1}" if earlier else ""
    return f"{found.device.hex()}-fork-{record.seq}{number}.evidence"


def write_evidence(store: Store, folder: Path, device: DeviceId | None = None) -> list[Path]:
    """Write the evidence files that are not there yet; the store holds both records for ever.

    A record that breaks another rule of its chain (an interval's root, a time that falls) froze its
    device too, but no pair of records shows that to a stranger: it gets no file.
    Killed here, the missing files are written at the next start.

    Returns:
        All files of the device, or of all devices.
    """
    paths = []
    for found in store.records.contradictions(device):
        record, rival = store.records.by_id(found.record), store.records.by_id(found.rival)
        if not _convicts(record, rival):
            continue
        path = folder / evidence_name(store, found)
        if not path.exists():
            _write(path, encode_evidence(ForkEvidence(record=record.data, rival=rival.data)))
        paths.append(path)
    return paths


def _convicts(record: StoredRecord, rival: StoredRecord) -> bool:
    one, other = decode_record(record.data), decode_record(rival.data)
    return contradiction(one, record.hash, other, rival.hash) is not None


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
