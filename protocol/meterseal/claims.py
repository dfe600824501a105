"""What an evidence file can claim, and the parts that each claim stands on.

The parts are bytes: nothing is believed here, and nothing but the places is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from meterseal.types import Hash


class Claim(IntEnum):
    """What a file claims."""

    READING = 1
    INTERVAL = 2
    FORK = 3
    SPLIT_VIEW = 4
    ROLLBACK = 5
    ANCHOR_MISMATCH = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged:
    """A leaf of the log and its place in the tree of the file's checkpoint.

    Attributes:
        data: The leaf's bytes: a record or an enrolment, as signed.
        index: Its index in the log, from 0.
        path: Its inclusion path, from the leaf's neighbour upwards.
    """

    data: bytes
    index: int
    path: tuple[Hash, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalEvidence:
    """Claims that a device closed this interval and that the log holds it.

    Attributes:
        interval: The interval record in the log.
        checkpoint: The log's signed note with its witnesses' cosignatures.
        manifest: The manifest in force, where meter and serial number are to be shown.
        enrolment: A statement that binds the device to its key, where no policy pins the key.
        key_changes: From the vouched key to the signing key: key-change and manifest in turn.
        ledger: A ledger proof, as `meterseal.ledger.proof` encodes it.
    """

    interval: Logged
    checkpoint: bytes
    manifest: Logged | None = None
    enrolment: Logged | None = None
    key_changes: tuple[Logged, ...] = ()
    ledger: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingEvidence:
    """Claims that a device signed this reading and closed its interval over it.

    Attributes:
        reading: The reading record.
        path: Its inclusion path in the interval's tree.
        interval: The interval, proved as on its own.
    """

    reading: bytes
    path: tuple[Hash, ...]
    interval: IntervalEvidence


@dataclass(frozen=True, kw_only=True, slots=True)
class ForkEvidence:
    """Accuses a device: it signed two records that contradict each other."""

    record: bytes
    rival: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitViewEvidence:
    """Accuses a log: it signed two checkpoints of one size with different roots."""

    checkpoint: bytes
    rival: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class RollbackEvidence:
    """Accuses a log's operator: it cosigned a smaller tree later than a larger one.

    Attributes:
        checkpoint: The larger tree, with the operator's cosignature.
        rival: The smaller one, with a later one.
    """

    checkpoint: bytes
    rival: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorMismatchEvidence:
    """Accuses a log: it signed another root for a size than it has put on the ledger."""

    checkpoint: bytes
    ledger: bytes


Evidence: TypeAlias = (
    "ReadingEvidence | IntervalEvidence | ForkEvidence | SplitViewEvidence | RollbackEvidence"
    " | AnchorMismatchEvidence"
)


def claim_of(evidence: Evidence) -> Claim:
    """Name what the evidence claims."""
    match evidence:
        case ReadingEvidence():
            return Claim.READING
        case IntervalEvidence():
            return Claim.INTERVAL
        case ForkEvidence():
            return Claim.FORK
        case SplitViewEvidence():
            return Claim.SPLIT_VIEW
        case RollbackEvidence():
            return Claim.ROLLBACK
        case AnchorMismatchEvidence():
            return Claim.ANCHOR_MISMATCH
