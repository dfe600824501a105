"""Fork evidence: the file that lets anybody see that a device signed two histories."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Final

from meterseal.contradiction import contradiction
from meterseal.evidence import ForkEvidence, encode_evidence
from meterseal.records import decode_record

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.types import DeviceId
    from meterseal_aggregator.store import Store, StoredRecord


EVIDENCE_MAX: Final = 16
"""Files of one device; one of them convicts it, and the store holds the other records."""


def write_evidence(store: Store, folder: Path, device: DeviceId | None = None) -> list[Path]:
    """Write the evidence files that are not there yet; the store holds both records for ever.

    They are named `<device>-fork-<seq>.evidence`, later ones of one place with a number. A record
    that breaks another rule of its chain (an interval's root, a time that falls) froze its device
    too, but no pair of records shows that to a stranger: it gets no file.
    Killed here, the missing files are written at the next start.

    Returns:
        All files of the device, or of all devices.
    """
    paths: list[Path] = []
    places: Counter[tuple[DeviceId, int]] = Counter()
    files: Counter[DeviceId] = Counter()
    for found in store.records.contradictions(device):
        record, rival = store.records.by_id(found.record), store.records.by_id(found.rival)
        places[record.device, record.seq] += 1
        if files[record.device] == EVIDENCE_MAX or not _convicts(record, rival):
            continue
        files[record.device] += 1
        path = folder / _name(record, places[record.device, record.seq])
        if not path.exists():
            _write(path, encode_evidence(ForkEvidence(record=record.data, rival=rival.data)))
        paths.append(path)
    return paths


def _name(record: StoredRecord, number: int) -> str:
    suffix = f"-{number}" if number > 1 else ""
    return f"{record.device.hex()}-fork-{record.seq}{suffix}.evidence"


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
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)  # killed before this, the file may be gone: it is written again
    finally:
        os.close(descriptor)
