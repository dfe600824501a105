"""What contradicts a record: pairs that no chain of one device can hold both (protocol 5).

A caller still asks whether one key signed both; only then has the device said both.

1. Two records at one (epoch, seq).
2. Two light records with one light number in one epoch.
3. Two restores that open one epoch.
4. A neighbour in the same epoch, in either chain and on either side, that names another hash.
   A restore is no neighbour of what lies before it: it opens the epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.records import Kind
from meterseal_aggregator.store import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meterseal.records import Record
    from meterseal.types import Hash
    from meterseal_aggregator.store import StoredRecord
    from meterseal_aggregator.store.records import Records


def rivals_of(records: Records, record: Record, this: Hash) -> Iterator[tuple[StoredRecord, str]]:
    """Find stored records that contradict `record`, each with the rule that the two break."""
    for rival, rule in _candidates(records, record, this):
        if rival.status is not Status.VOID:
            yield rival, rule


def _candidates(records: Records, record: Record, this: Hash) -> Iterator[tuple[StoredRecord, str]]:
    device, epoch, seq = record.device, record.epoch, record.seq
    for rival in records.at(device, epoch, seq):
        yield rival, f"two records at epoch {epoch}, seq {seq}"
    if record.light is not None:
        for rival in records.light_at(device, epoch, record.light.n):
            yield rival, f"two light records with number {record.light.n} in epoch {epoch}"
    if record.kind is Kind.RESTORE:
        for rival in records.restores(device, epoch):
            yield rival, f"two restores open epoch {epoch}"
    yield from _neighbours(records, record, this)


def _neighbours(records: Records, record: Record, this: Hash) -> Iterator[tuple[StoredRecord, str]]:
    device, epoch, seq = record.device, record.epoch, record.seq
    opens = record.kind is Kind.RESTORE
    for before in [] if opens else records.at(device, epoch, seq - 1):
        if before.hash != record.prev:
            yield before, f"seq {seq} of epoch {epoch} names another record than seq {seq - 1}"
    for after in records.at(device, epoch, seq + 1):
        if after.kind != Kind.RESTORE and after.prev != this:
            yield after, f"seq {seq + 1} of epoch {epoch} names another record than seq {seq}"
    if record.light is not None:
        n, named = record.light.n, None if opens else record.light.hash
        yield from _light_neighbours(records, record, this, n, named)


def _light_neighbours(
    records: Records, record: Record, this: Hash, n: int, named: Hash | None
) -> Iterator[tuple[StoredRecord, str]]:
    """Compare the light links; `named` is None where no neighbour is to be named."""
    device, epoch = record.device, record.epoch
    for before in [] if named is None else records.light_at(device, epoch, n - 1):
        if before.hash != named:
            yield before, f"light record {n} of epoch {epoch} names another one than {n - 1}"
    for after in records.light_at(device, epoch, n + 1):
        if after.kind != Kind.RESTORE and after.light_prev != this:
            yield after, f"light record {n + 1} of epoch {epoch} names another one than {n}"
