"""Steps (4) to (6): in the interval, in the log, under a checkpoint that the policy believes.

An accusation of the log needs a checkpoint that the log's pinned key signed: `verify` therefore
holds back what step (5) finds until step (6) has said so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.checkpoint import QuorumMissing, open_by_policy
from meterseal.errors import EncodingError, ProofError, SignatureInvalid
from meterseal.merkle import verify_inclusion
from meterseal.note import UnknownSigner
from meterseal_verifier.text import safe, sentence_case, utc
from meterseal_verifier.verdict import Offence, bad_input, cannot_check, pending, tampered

if TYPE_CHECKING:
    from meterseal.bodies import Interval
    from meterseal.checkpoint import Checkpoint, LogPolicy, SignedCheckpoint
    from meterseal_verifier.parts import Leaf, Note, ReadingPart, Signed


def check_reading_in_interval(part: ReadingPart, interval: Signed[Interval]) -> str:
    """Check that the interval was closed over this reading (step 4)."""
    body, reading = interval.body, part.reading.record
    # protocol 3: an interval never spans epochs; the index of a record is seq - first seq.
    index = reading.seq - body.first_seq
    if reading.epoch != interval.record.epoch or not 0 <= index < body.count:
        raise bad_input(
            "The reading is not one that this interval speaks of.",
            expected=f"epoch {interval.record.epoch}, numbers {body.first_seq} to "
            f"{body.first_seq + body.count - 1}",
            got=f"epoch {reading.epoch}, number {reading.seq}",
        )
    _check_length(part.path, index, body.count, "the reading")
    try:
        verify_inclusion(index, body.count, part.reading.hash, part.path, body.root)
    except ProofError as error:
        raise tampered(
            Offence.RECORD_NOT_IN_LOG,
            "The reading is signed by the device, but it is not the one that its interval was "
            "closed over.",
            culprit="whoever put this reading and this interval together; where the device signed "
            "two readings of one number, a file with both shows a device fork",
            expected=f"a path to the interval's root {body.root.hex()}",
            got=safe(str(error)),
        ) from error
    return f"the reading is record {index + 1} of the {body.count} that the interval closes over"


def check_in_log(leaves: tuple[Leaf, ...], checkpoint: Checkpoint, policy: LogPolicy) -> str:
    """Check that all leaves are in the tree of the checkpoint (step 5)."""
    for leaf in leaves:
        _check_leaf(leaf, checkpoint, policy)
    names = ", ".join(f"{leaf.what} is leaf {leaf.index}" for leaf in leaves)
    return f"{names} of the {checkpoint.size} in the log"


def _check_leaf(leaf: Leaf, checkpoint: Checkpoint, policy: LogPolicy) -> None:
    size, root = checkpoint.size, checkpoint.root
    if leaf.index >= size:
        raise bad_input(
            f"{sentence_case(leaf.what)} is said to lie outside the log.",
            expected=f"an index below the size {size}",
            got=str(leaf.index),
        )
    _check_length(leaf.path, leaf.index, size, leaf.what)
    try:
        # protocol 6: the size comes from the checkpoint, never from the proof.
        verify_inclusion(leaf.index, size, leaf.hash, leaf.path, root)
    except ProofError as error:
        raise tampered(
            Offence.RECORD_NOT_IN_LOG,
            f"{sentence_case(leaf.what)} is not leaf {leaf.index} of the log that the signed "
            "checkpoint speaks of.",
            culprit=f"whoever claims this place in log “{safe(policy.origin)}” for it: the log's "
            "operator or the maker of this file",
            expected=f"a path to the checkpoint's root {root.hex()}",
            got=safe(str(error)),
        ) from error


def check_log_signed(note: Note, policy: LogPolicy, what: str) -> None:
    """Check that the pinned log key signed, before anything is made of other lines (step 6).

    Raises:
        Finding: CANNOT CHECK for another log: its key is the missing pin.
    """
    wanted = (policy.log.name, policy.log.key_id)
    if wanted not in {(line.name, line.key_id) for line in note.lines}:
        signers = ", ".join(f"{safe(line.name)}+{line.key_id.hex()}" for line in note.lines)
        raise cannot_check(
            f"{sentence_case(what)} is not signed by the log that your trust file pins. To believe "
            "that log, pin its key under [log].",
            expected=f"{safe(policy.log.name)}+{policy.log.key_id.hex()}",
            got=signers,
        )


def open_note_by_policy(note: Note, policy: LogPolicy, what: str) -> SignedCheckpoint:
    """Check a checkpoint against the policy; every signature line must be known (step 6)."""
    check_log_signed(note, policy, what)
    _check_lines(note, policy, what)
    try:
        return open_by_policy(note.data, policy)
    except SignatureInvalid as error:
        raise tampered(
            Offence.SIGNATURE_INVALID,
            f"A signature on {what} does not fit its text: one of the two was changed.",
            culprit=f"whoever passed on {what}; not the key that the line names",
            expected="signatures by the named keys over this text",
            got=safe(str(error)),
        ) from error
    except QuorumMissing as error:
        raise pending(
            f"{sentence_case(what)} is signed by the log and not yet cosigned by enough witnesses.",
            expected=f"witnesses of {error.quorum} owners",
            got=", ".join(sorted(safe(owner) for owner in error.owners)) or "none",
        ) from error
    except UnknownSigner as error:  # unreachable by check_log_signed; kept apart from ProofError
        raise cannot_check(f"{sentence_case(what)}: {safe(str(error))}.") from error
    except EncodingError as error:
        raise bad_input(f"{sentence_case(what)}: {safe(str(error))}.") from error
    except ProofError as error:
        raise cannot_check(
            f"{sentence_case(what)} is of another log than the one that your trust file pins.",
            expected=safe(policy.origin),
            got=safe(note.checkpoint.origin),
        ) from error


def check_checkpoint(note: Note, policy: LogPolicy) -> str:
    """Check log signature and witness quorum (step 6)."""
    opened = open_note_by_policy(note, policy, "the checkpoint")
    signed = {each.by for each in opened.cosignatures}
    owners = sorted({safe(w.owner) for w in policy.witnesses if w.verifier in signed})
    latest = max((each.time_s for each in opened.cosignatures), default=None)
    watched = f"cosigned by {', '.join(owners)}" if owners else "no witness is asked for"
    when = f", last {utc(latest * 1000)}" if latest is not None else ""
    return (
        f"the checkpoint of size {opened.checkpoint.size} is signed by log "
        f"“{safe(policy.origin)}”; {watched}{when}"
    )


def _check_lines(note: Note, policy: LogPolicy, what: str) -> None:
    # protocol 8: from the network an unknown line is ignored, in an evidence file nothing is.
    known = {(each.name, each.key_id) for each in (policy.log, *policy.cosigners)}
    for line in note.lines:
        if (line.name, line.key_id) not in known:
            raise bad_input(
                f"{sentence_case(what)} holds a signature line of a key that your trust file does "
                "not name.",
                expected="lines of the pinned log and its witnesses only",
                got=f"{safe(line.name)}+{line.key_id.hex()}",
            )


def _check_length(path: tuple[bytes, ...], index: int, size: int, what: str) -> None:
    """Tell a path that cannot be one from a path that leads elsewhere: the first accuses nobody."""
    inner = (index ^ (size - 1)).bit_length()
    needed = inner + (index >> inner).bit_count()
    if len(path) != needed:
        raise bad_input(
            f"The path of {what} has the wrong length.",
            expected=f"{needed} hashes for leaf {index} of {size}",
            got=f"{len(path)}",
        )
