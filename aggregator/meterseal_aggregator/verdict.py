"""What is said of a record: one of five outcomes, and why if it was not taken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from meterseal.messages import RejectCode
from meterseal_aggregator.store import Status

if TYPE_CHECKING:
    from meterseal.types import Hash
    from meterseal_aggregator.store import StoredRecord


class Outcome(Enum):
    """What a record came to."""

    KNOWN = "known"
    EXTENDS = "extends"
    AHEAD = "ahead"
    CONTRADICTS = "contradicts"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An outcome, and why if the record was not taken.

    Attributes:
        outcome: One of the five.
        hash: Hash of the bytes.
        reject: What the device is told, None if it was taken.
        reason: The same as a sentence.
        fork: The rule that the device was found to break just now, said once.
        beyond: (epoch, seq) of a record that cannot be judged before what leads to it is here.
    """

    outcome: Outcome
    hash: Hash
    reject: RejectCode | None = None
    reason: str = ""
    fork: str = ""
    beyond: tuple[int, int] | None = None


def known(stored: StoredRecord, *, frozen: bool) -> Verdict:
    """Answer again as it was answered before."""
    reject = None
    if stored.status is Status.RIVAL:
        reject = RejectCode.CONTRADICTS
    elif stored.status is Status.VOID:
        reject = RejectCode.INVALID
    elif stored.status is Status.WAITING and frozen:
        reject = RejectCode.FROZEN
    return Verdict(outcome=Outcome.KNOWN, hash=stored.hash, reject=reject)


def invalid(this: Hash, reason: str, code: RejectCode = RejectCode.INVALID) -> Verdict:
    """Say that a record is dropped, and why."""
    return Verdict(outcome=Outcome.INVALID, hash=this, reject=code, reason=reason)
