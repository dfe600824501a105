"""Fork evidence: the file that lets anybody see that a device signed two histories."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from meterseal.evidence import ForkEvidence, encode_evidence

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.types import DeviceId
    from meterseal_aggregator.store import Contradiction, Store


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

    Killed here, the missing files are written at the next start.

    Returns:
        All files of the device, or of all devices.
    """
    paths = []
    for found in store.records.contradictions(device):
        path = folder / evidence_name(store, found)
        if not path.exists():
            evidence = ForkEvidence(
                record=store.records.by_id(found.record).data,
                rival=store.records.by_id(found.rival).data,
            )
            _write(path, encode_evidence(evidence))
        paths.append(path)
    return paths


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
