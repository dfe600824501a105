"""Judge an evidence file by the checker's own policy, in seven numbered steps (protocol 8).

    (1) the file reads strictly, with every part that its claim asks for and no other
    (2) the policy, or an enrolment by a key of the policy, vouches for the device's key
    (3) that key signed the records
    (4) the reading is in the interval
    (5) the interval, and every other part that claims so, is in the log
    (6) the pinned log signed the checkpoint, and enough witnesses cosigned it
    (7) the ledger holds the checkpoint's root

Rules:

- Pure: the bytes and the policy decide, no clock and no network is asked.
- The first step that fails decides, with two exceptions. What step (5) finds accuses the log, so
  it counts only once step (6) shows that the log signed. PENDING at step (6) does not keep step
  (7) from finding what is worse.
- A file that accuses uses the same numbers, and what it has no part for is shown as not asked. Two
  records contradict each other at step (4), two checkpoints at step (5), a checkpoint and the
  ledger at step (7).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal.keys import fingerprint
from meterseal_verifier.accuse import (
    check_both_by_log,
    check_both_by_operator,
    check_both_signed,
    check_one_by_log,
    convict_of_fork,
    convict_of_mismatch,
    convict_of_rollback,
    convict_of_split_view,
)
from meterseal_verifier.checklist import Checklist
from meterseal_verifier.device import (
    VOUCHED_BY_PIN,
    check_signatures,
    pinned_key,
    vouched_key,
)
from meterseal_verifier.ledger import check_anchor
from meterseal_verifier.log import check_checkpoint, check_in_log, check_reading_in_interval
from meterseal_verifier.meters import who_vouches_for_meters
from meterseal_verifier.parts import (
    ForkParts,
    MismatchParts,
    ProofParts,
    RollbackParts,
    SplitViewParts,
)
from meterseal_verifier.read import read_parts
from meterseal_verifier.text import sentence_case, utc
from meterseal_verifier.verdict import Finding, Judgement, Report, Verdict

if TYPE_CHECKING:
    from meterseal.policy import TrustPolicy
    from meterseal_verifier.device import Vouched


def verify(evidence: bytes, policy: TrustPolicy) -> Report:
    """Check an evidence file.

    Args:
        evidence: The file's bytes.
        policy: What the checker believes beforehand.

    Returns:
        All seven steps and the verdict. Whatever the bytes are, no error is raised for them.
    """
    checklist = Checklist()
    try:
        return checklist.report(_judge(evidence, policy, checklist))
    except Finding as finding:
        return checklist.report(finding.judgement)


def _judge(evidence: bytes, policy: TrustPolicy, checklist: Checklist) -> Judgement:
    with checklist.step(1) as say:
        parts = read_parts(evidence)
        checklist.claim = parts.claim
        say(f"an evidence file of {len(evidence)} bytes; it claims {parts.summary}")
    match parts:
        case ProofParts():
            return _prove(parts, policy, checklist)
        case ForkParts():
            return _convict_device(parts, policy, checklist)
        case SplitViewParts():
            return _convict_log(parts, policy, checklist)
        case RollbackParts():
            return _convict_operator(parts, policy, checklist)
        case MismatchParts():
            return _convict_by_ledger(parts, policy, checklist)


def _prove(parts: ProofParts, policy: TrustPolicy, checklist: Checklist) -> Judgement:
    with checklist.step(2) as say:
        vouched = vouched_key(parts, policy)
        checklist.vouched_by = vouched.by
        say(f"key {fingerprint(vouched.key)} is this device's; who vouches: {vouched.by}")
    with checklist.step(3) as say:
        say(check_signatures(parts, vouched.key))
    if parts.reading is None:
        checklist.not_asked(4, "the file claims an interval and no single reading")
    else:
        with checklist.step(4) as say:
            say(check_reading_in_interval(parts.reading, parts.interval))
    with checklist.step(5, hold_back=Verdict.TAMPERED) as say:
        say(check_in_log(parts.leaves, parts.note.checkpoint, policy.log))
    with checklist.step(6, hold_back=Verdict.PENDING) as say:
        say(check_checkpoint(parts.note, policy.log))
    if (accusation := checklist.held_back(Verdict.TAMPERED)) is not None:
        return accusation
    if policy.ledger is None and parts.ledger is None:
        checklist.not_asked(7, "neither your trust file nor the evidence names a ledger")
    else:
        with checklist.step(7, hold_back=Verdict.PENDING) as say:
            say(check_anchor(parts.ledger, parts.note.checkpoint, policy))
    if (waiting := checklist.held_back(Verdict.PENDING)) is not None:
        since = f"It waits since its interval was closed, {utc(parts.interval.record.time)}."
        return replace(waiting, sentence=f"{waiting.sentence} {since}")
    return _proved(parts, policy, vouched)


def _proved(parts: ProofParts, policy: TrustPolicy, vouched: Vouched) -> Judgement:
    shown = ["signed by the device", "held by the log"]
    if policy.log.quorum:
        shown.append("cosigned by enough witnesses")
    if policy.ledger is not None:
        shown.append("anchored on the ledger")
    meters = who_vouches_for_meters(parts)
    return Judgement(
        verdict=Verdict.OK,
        sentence=f"{sentence_case(parts.summary)}: {', '.join(shown)}. "
        f"Who vouches for the device's key: {vouched.by}.{' ' if meters else ''}{meters}",
    )


def _convict_device(parts: ForkParts, policy: TrustPolicy, checklist: Checklist) -> Judgement:
    with checklist.step(2) as say:
        key = pinned_key(parts.record.record.device, policy)
        checklist.vouched_by = VOUCHED_BY_PIN
        say(f"key {fingerprint(key)} is this device's; who vouches: {VOUCHED_BY_PIN}")
    with checklist.step(3) as say:
        say(check_both_signed(parts, key))
    for number in (5, 6, 7):
        checklist.not_asked(number, "two signed records convict without a log")
    with checklist.step(4):
        raise convict_of_fork(parts, key)


def _convict_log(parts: SplitViewParts, policy: TrustPolicy, checklist: Checklist) -> Judgement:
    for number in (2, 3, 4, 7):
        checklist.not_asked(number, "two signed checkpoints convict without a device or a ledger")
    with checklist.step(6) as say:
        say(check_both_by_log(parts, policy.log))
    with checklist.step(5):
        raise convict_of_split_view(parts, policy.log)


def _convict_operator(parts: RollbackParts, policy: TrustPolicy, checklist: Checklist) -> Judgement:
    for number in (2, 3, 4, 7):
        checklist.not_asked(number, "two cosigned checkpoints convict without a device or a ledger")
    with checklist.step(6) as say:
        line, times = check_both_by_operator(parts, policy.log)
        say(line)
    with checklist.step(5):
        raise convict_of_rollback(parts, times, policy.log)


def _convict_by_ledger(
    parts: MismatchParts, policy: TrustPolicy, checklist: Checklist
) -> Judgement:
    for number in (2, 3, 4, 5):
        checklist.not_asked(number, "a signed checkpoint and the ledger convict without a device")
    with checklist.step(6) as say:
        say(check_one_by_log(parts, policy.log))
    with checklist.step(7):
        raise convict_of_mismatch(parts, policy)
