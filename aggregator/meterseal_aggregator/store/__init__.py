"""The aggregator's store. There is no SQL outside this package."""

from __future__ import annotations

from meterseal_aggregator.store.database import InStore, Store
from meterseal_aggregator.store.rows import (
    Anchored,
    Contradiction,
    Device,
    Journaled,
    NewRecord,
    Sent,
    SignedCheckpoint,
    Status,
    StoredRecord,
)

__all__ = [
    "Anchored",
    "Contradiction",
    "Device",
    "InStore",
    "Journaled",
    "NewRecord",
    "Sent",
    "SignedCheckpoint",
    "Status",
    "Store",
    "StoredRecord",
]
