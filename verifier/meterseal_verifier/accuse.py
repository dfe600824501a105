"""Files that accuse: two statements by one key that no honest holder of the key makes.

Such a file stands on its own. Two records need neither log nor ledger: steps (2) and (3) ask
whether both are the accused's, step (4) whether they contradict each other. Two checkpoints ask
that at steps (6) and (5), a checkpoint and the ledger at (6) and (7). A file that does not convict
is BAD INPUT and accuses nobody, least of all by a forged rival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from meterseal.checkpoint import open_checkpoint
from meterseal.contradiction import contradiction
from meterseal.keys import fingerprint
from meterseal_verifier.device import is_signed
from meterseal_verifier.ledger import check_anchor
from meterseal_verifier.log import open_note_by_policy
from meterseal_verifier.text import device_name, safe, sentence_case, utc
from meterseal_verifier.verdict import (
    Finding,
    Offence,
    Verdict,
    bad_input,
    cannot_check,
    tampered,
)

if TYPE_CHECKING:
    from meterseal.checkpoint import LogPolicy
    from meterseal.policy import TrustPolicy
    from meterseal.records import Record
    from meterseal.types import PublicKey
    from meterseal_verifier.parts import (
        ForkParts,
        MismatchParts,
        Note,
        RollbackParts,
        SplitViewParts,
    )

Times: TypeAlias = "tuple[int, int]"
"""When the operator cosigned the checkpoint and its rival, in seconds since 1970."""


def check_both_signed(parts: ForkParts, key: PublicKey) -> str:
    """Check that the accused device signed both records (step 3).

    Raises:
        Finding: BAD INPUT: a record that the device did not sign accuses whoever made the file.
    """
    for part in (parts.record, parts.rival):
        if not is_signed(part, key):
            raise bad_input(
                f"{sentence_case(part.what)} is not signed by the key that your trust file pins "
                "for this device, so this file accuses nobody.",
                expected=f"a signature by key {fingerprint(key)}",
                got="a signature that this key did not make over these bytes",
            )
    return "both records are signed by the device's key"


def convict_of_fork(parts: ForkParts, key: PublicKey) -> Finding:
    """Find that two signed records contradict each other, or that they do not (step 4)."""
    record, rival = parts.record, parts.rival
    what = contradiction(record.record, record.hash, rival.record, rival.hash)
    device = device_name(record.record.device)
    if what is None:
        return bad_input(
            "The two records do not contradict each other, so this file accuses nobody.",
            expected="two records of one epoch that no honest device signs both",
            got="one and the same record"
            if record.hash == rival.hash
            else f"{_place(record.record)} and {_place(rival.record)}",
        )
    return tampered(
        Offence.DEVICE_FORK,
        f"Device {device} signed two different records as {what}: its chain was rewritten, or "
        "its key lives on two cards.",
        culprit=f"device {device}, holder of key {fingerprint(key)}",
        expected=f"one record there: {record.hash.hex()}",
        got=f"and another one: {rival.hash.hex()}",
    )


def check_both_by_log(parts: SplitViewParts, policy: LogPolicy) -> str:
    """Check that the accused log signed both checkpoints (step 6)."""
    for note, what in ((parts.note, "the checkpoint"), (parts.rival, "the rival checkpoint")):
        _check_by_log(note, policy, what)
    return f"both checkpoints are signed by log “{safe(policy.origin)}”"


def convict_of_split_view(parts: SplitViewParts, policy: LogPolicy) -> Finding:
    """Find that two signed checkpoints contradict each other, or that they do not."""
    ours, theirs = parts.note.checkpoint, parts.rival.checkpoint
    if ours.size != theirs.size or ours.root == theirs.root:
        return bad_input(
            "The two checkpoints do not contradict each other, so this file accuses nobody.",
            expected="one size and two roots",
            got=f"size {ours.size} with root {ours.root.hex()} and size {theirs.size} with root "
            f"{theirs.root.hex()}",
        )
    return tampered(
        Offence.AGGREGATOR_SPLIT_VIEW,
        f"The log signed two different roots for size {ours.size}: it shows different histories "
        "to different people.",
        culprit=f"the operator of log “{safe(policy.origin)}”, holder of log key "
        f"{fingerprint(policy.log.public)}",
        expected=f"one root, {ours.root.hex()}",
        got=f"another one too, {theirs.root.hex()}",
    )


def check_both_by_operator(parts: RollbackParts, policy: LogPolicy) -> tuple[str, Times]:
    """Check that the log signed both checkpoints and its operator cosigned both (step 6).

    Raises:
        Finding: CANNOT CHECK where the policy pins no key of the operator; BAD INPUT where one
            of the two does not bear the operator's time: then nothing says which came later.
    """
    operator = policy.operator
    if operator is None:
        raise cannot_check(
            "Your trust file pins no cosignature key of the log's operator, whose times alone "
            "show that it went back. Add operator under [log] if you know it.",
            expected="operator under [log] in the trust file",
            got="none",
        )
    times = []
    for note, what in ((parts.note, "the checkpoint"), (parts.rival, "the rival checkpoint")):
        _check_by_log(note, policy, what)
        time_s = open_checkpoint(note.data, policy.log, policy.cosigners).time_of(operator)
        if time_s is None:
            raise bad_input(
                f"{sentence_case(what)} is not cosigned by the log's operator, so this file "
                "accuses nobody.",
                expected=f"a line of {safe(operator.name)}",
                got="none",
            )
        times.append(time_s)
    line = (
        f"both checkpoints are signed by log “{safe(policy.origin)}” and cosigned by its operator"
    )
    return line, (times[0], times[1])


def convict_of_rollback(parts: RollbackParts, times: Times, policy: LogPolicy) -> Finding:
    """Find that the smaller of two trees was cosigned later, or that it was not."""
    by_time = sorted(zip(times, (parts.note, parts.rival), strict=True), key=lambda each: each[0])
    (first_s, first), (then_s, then) = by_time
    before, after = first.checkpoint, then.checkpoint
    shown = (
        f"size {before.size} at {utc(first_s * 1000)}, size {after.size} at {utc(then_s * 1000)}"
    )
    if first_s == then_s or after.size >= before.size:
        return bad_input(
            "The two checkpoints show no step back, so this file accuses nobody.",
            expected="a smaller tree, cosigned later than a larger one",
            got=shown,
        )
    assert policy.operator is not None  # noqa: S101 - check_both_by_operator has asked for it
    return tampered(
        Offence.AGGREGATOR_ROLLBACK,
        f"The operator cosigned a log of {after.size} leaves as its largest later than one of "
        f"{before.size}: it took back what it had shown.",
        culprit=f"the operator of log “{safe(policy.origin)}”, holder of cosignature key "
        f"{fingerprint(policy.operator.public)}",
        expected=f"no size below {before.size} after {utc(first_s * 1000)}",
        got=shown,
    )


def check_one_by_log(parts: MismatchParts, policy: LogPolicy) -> str:
    """Check that the accused log signed the checkpoint (step 6)."""
    _check_by_log(parts.note, policy, "the checkpoint")
    return f"the checkpoint is signed by log “{safe(policy.origin)}”"


def convict_of_mismatch(parts: MismatchParts, policy: TrustPolicy) -> Finding:
    """Find that the ledger holds another root than the log signed, or that it does not (step 7)."""
    try:
        line = check_anchor(parts.ledger, parts.note.checkpoint, policy)
    except Finding as finding:
        if finding.judgement.verdict is not Verdict.PENDING:
            return finding
        line = finding.judgement.got or ""
    return bad_input(
        "The checkpoint and the ledger do not contradict each other, so this file accuses nobody.",
        expected=f"another root for size {parts.note.checkpoint.size} on the ledger",
        got=line,
    )


def _place(record: Record) -> str:
    return f"epoch {record.epoch}, number {record.seq}"


def _check_by_log(note: Note, policy: LogPolicy, what: str) -> None:
    try:
        open_note_by_policy(note, policy, what)
    except Finding as finding:
        # A quorum is no matter here: the log's own signature convicts it.
        if finding.judgement.verdict is not Verdict.PENDING:
            raise
