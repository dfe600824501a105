"""Files that accuse: two statements by one key that no honest holder of the key makes.

Such a file stands on its own: it needs neither log nor ledger. Steps (2) and (3) ask whether both
statements are the accused's; step (4) asks whether they contradict each other. A file that does
not convict is BAD INPUT and accuses nobody, least of all by a forged rival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.contradiction import contradiction
from meterseal.keys import fingerprint
from meterseal_verifier.device import is_signed
from meterseal_verifier.log import open_note_by_policy
from meterseal_verifier.text import device_name, safe, sentence_case
from meterseal_verifier.verdict import Finding, Offence, Verdict, bad_input, tampered

if TYPE_CHECKING:
    from meterseal.checkpoint import LogPolicy
    from meterseal.records import Record
    from meterseal.types import PublicKey
    from meterseal_verifier.parts import ForkParts, Note, SplitViewParts


def check_both_signed(parts: ForkParts, key: PublicKey) -> str:
    """Check that the accused device signed both records (step 3).

    Raises:
        Finding: BAD INPUT: a record that the device did not sign accuses whoever made the file.
    """
    for part in (parts.record, parts.rival):
        if not is_signed(part, key):
            raise bad_input(
                f"{sentence_case(part.what)} is not signed by the device, so this file accuses "
                "nobody.",
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


def _place(record: Record) -> str:
    return f"epoch {record.epoch}, number {record.seq}"


def _check_by_log(note: Note, policy: LogPolicy, what: str) -> None:
    try:
        open_note_by_policy(note, policy, what)
    except Finding as finding:
        # A quorum is no matter here: the log's own signature convicts it.
        if finding.judgement.verdict is not Verdict.PENDING:
            raise
