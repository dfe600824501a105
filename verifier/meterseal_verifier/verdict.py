"""What a check can end in: verdicts with fixed codes, and the report that explains one.

Rules:

- A verdict's number is the exit status of `meterseal verify` and never changes.
- Somebody is accused only by TAMPERED, with an `Offence` and a culprit; every other verdict accuses
  nobody (protocol 1, property 8).
- The steps are numbered (1) to (7) here, in the output and in `protocol/evidence.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final


class Verdict(IntEnum):
    """How a check ended; the value is the exit status (protocol 8)."""

    OK = 0
    PENDING = 11
    CANNOT_CHECK = 12
    BAD_INPUT = 13
    TAMPERED = 14

    @property
    def words(self) -> str:
        """The name as people read it, such as `CANNOT CHECK`."""
        return self.name.replace("_", " ")


EXIT_USAGE: Final = 64
EXIT_OWN_DEFECT: Final = 70


class Offence(Enum):
    """What was done, when the verdict is TAMPERED (protocol 8)."""

    DEVICE_FORK = "DEVICE FORK"
    AGGREGATOR_ROLLBACK = "AGGREGATOR ROLLBACK"
    AGGREGATOR_SPLIT_VIEW = "AGGREGATOR SPLIT VIEW"
    RECORD_NOT_IN_LOG = "RECORD NOT IN LOG"
    ANCHOR_MISMATCH = "ANCHOR MISMATCH"
    SIGNATURE_INVALID = "SIGNATURE INVALID"


class StepState(Enum):
    """What became of one numbered step."""

    PASSED = "passed"
    PENDING = "pending"
    FAILED = "failed"
    NOT_CHECKED = "not checked"
    NOT_ASKED = "not asked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One numbered step and its one line for people."""

    number: int
    title: str
    state: StepState
    line: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The outcome of one check, complete enough to print, to archive and to dispute.

    Attributes:
        claim: What the file claims (`reading`, `interval`, `fork`, `split view`, `rollback`,
            `anchor mismatch`), or None when it
            could not be read.
        steps: All seven steps, in order, also those not reached.
        verdict: How the check ended.
        sentence: The verdict in one plain sentence.
        offence: What was done; set exactly when the verdict is TAMPERED.
        culprit: Who is accused; set exactly when the verdict is TAMPERED.
        expected: What should have been there, if a comparison failed.
        got: What was there instead.
        vouched_by: Who says that this key is this device's, once step (2) passed.
    """

    claim: str | None
    steps: tuple[Step, ...]
    verdict: Verdict
    sentence: str
    offence: Offence | None = None
    culprit: str | None = None
    expected: str | None = None
    got: str | None = None
    vouched_by: str | None = None

    @property
    def heading(self) -> str:
        """The verdict with its offence, such as `TAMPERED: DEVICE FORK`."""
        return self.verdict.words + (f": {self.offence.value}" if self.offence else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A verdict and the words for it; the fields mean what they mean in `Report`."""

    verdict: Verdict
    sentence: str
    offence: Offence | None = None
    culprit: str | None = None
    expected: str | None = None
    got: str | None = None

    def __post_init__(self) -> None:
        """Hold our own promise: the accused is named, and nobody else is."""
        accused = (self.offence is not None, self.culprit is not None)
        assert accused == (self.verdict is Verdict.TAMPERED,) * 2  # noqa: S101


class Finding(Exception):  # noqa: N818 - an outcome of the check and not an error of ours
    """Raised by a step that does not pass."""

    def __init__(self, judgement: Judgement) -> None:
        super().__init__(judgement.sentence)
        self.judgement = judgement


def bad_input(sentence: str, *, expected: str | None = None, got: str | None = None) -> Finding:
    """Find that the file does not hold what it must."""
    return Finding(
        Judgement(verdict=Verdict.BAD_INPUT, sentence=sentence, expected=expected, got=got)
    )


def cannot_check(sentence: str, *, expected: str | None = None, got: str | None = None) -> Finding:
    """Find that this policy gives no ground to judge the file."""
    return Finding(
        Judgement(verdict=Verdict.CANNOT_CHECK, sentence=sentence, expected=expected, got=got)
    )


def pending(sentence: str, *, expected: str | None = None, got: str | None = None) -> Finding:
    """Find nothing wrong, and something still to come."""
    return Finding(
        Judgement(verdict=Verdict.PENDING, sentence=sentence, expected=expected, got=got)
    )


def tampered(
    offence: Offence,
    sentence: str,
    *,
    culprit: str,
    expected: str | None = None,
    got: str | None = None,
) -> Finding:
    """Find that somebody broke a rule, and say who."""
    return Finding(
        Judgement(
            verdict=Verdict.TAMPERED,
            sentence=sentence,
            offence=offence,
            culprit=culprit,
            expected=expected,
            got=got,
        )
    )
