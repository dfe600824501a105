"""What contradicts a record: `meterseal.contradiction`, asked of the few stored rows that can.

A caller still asks whether one key signed both; only then has the device said both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.contradiction import contradiction
from meterseal.records import Kind, decode_record
from meterseal_aggregator.store import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterseal.records import Record
    from meterseal.types import Hash
    from meterseal_aggregator.store import StoredRecord
    from meterseal_aggregator.store.records import Records


def rivals_of(records: Records, record: Record, this: Hash) -> Iterator[tuple[StoredRecord, str]]:
    """Find stored records that contradict `record`, each with what the two cannot both be."""
    for rival in _candidates(records, record):
        if rival.status is not Status.VOID:
            rule = contradiction(record, this, decode_record(rival.data), rival.hash)
            if rule is not None:
                yield rival, f"two different records as {rule}"


def _candidates(records: Records, record: Record) -> Iterator[StoredRecord]:
    """Read what stands at the same place, beside it in either chain, or opened the same epoch."""
    device, epoch = record.device, record.epoch
    for seq in (record.seq, record.seq - 1, record.seq + 1):
        yield from records.at(device, epoch, seq)
    if record.light is not None:
        for n in (record.light.n, record.light.n - 1, record.light.n + 1):
            yield from records.light_at(device, epoch, n)
    if record.kind is Kind.RESTORE:
        yield from records.restores(device, epoch)
