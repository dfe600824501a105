"""The receipt: what an aggregator sends to a device so that it can check its own records.

A device checks a receipt in these numbered steps (protocol 6):

1. Strict parse.
2. The pinned log key signed the checkpoint under the pinned origin, and the policy's witnesses
   cosigned it.
3. Against the checkpoint that the device holds: equal size and other root is a split view; a
   smaller size is stale, unless a proof leads from it to the held one, and a rollback if the
   operator cosigned it later than the larger one.
4. Consistency between the checkpoint that the device holds and this one, from the smaller tree
   to the larger. (An anchor may come when the device already holds a larger tree.)
5. Inclusion of the device's own leaves.
6. Commit of the new state together with the receipt. This is the store's; nothing here does it.
7. Anchored: the ledger holds exactly this root at exactly this size.

Steps 1 to 5 and 7 are pure: the same bytes, state and policy give the same answer. A failed step
is an error that carries what a third party needs to see it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from meterseal.checkpoint import (
    LogPolicy,
    SignedCheckpoint,
    Witness,
    open_by_policy,
    open_checkpoint,
)
from meterseal.errors import ProofError
from meterseal.ledger.proof import LedgerProof, anchored_root
from meterseal.merkle import verify_consistency, verify_inclusion
from meterseal.receiptformat import INCLUSIONS_MAX, Consistency, Inclusion, Receipt

if TYPE_CHECKING:
    from meterseal.ledger.proof import AnchoredFact, LedgerPolicy
    from meterseal.types import Hash

__all__ = [
    "INCLUSIONS_MAX",
    "Accepted",
    "AgainstHeldError",
    "AnchorMismatch",
    "Consistency",
    "Inclusion",
    "LogPolicy",
    "NoConsistency",
    "NotIncluded",
    "Receipt",
    "ReceiptError",
    "Rollback",
    "SplitView",
    "Stale",
    "Trusted",
    "Witness",
    "check_receipt",
]


class ReceiptError(ProofError):
    """A receipt that fails at a numbered step.

    Attributes:
        step: Number of the step.
    """

    step: ClassVar[int]


class AgainstHeldError(ReceiptError):
    """A receipt's checkpoint does not go with the one that the device holds.

    Attributes:
        held_size: Size of the tree that the device holds: what to ask from.
        ours: The note that the device holds.
        theirs: The note that came.
    """

    step: ClassVar[int] = 3

    def __init__(self, message: str, *, held: SignedCheckpoint, got: SignedCheckpoint) -> None:
        super().__init__(f"step {self.step}: {message}")
        self.held_size = held.checkpoint.size
        self.ours = held.note
        self.theirs = got.note


class SplitView(AgainstHeldError):  # noqa: N818 -- the verdict's own name
    """The log signed two roots for one size: both notes convict it."""


class Rollback(AgainstHeldError):  # noqa: N818 -- the verdict's own name
    """The operator called a smaller tree its largest at a later time: both notes convict it."""


class Stale(AgainstHeldError):  # noqa: N818 -- a state and not an offence
    """The checkpoint is smaller than the one held. It is ignored and accuses nobody."""


class NoConsistency(AgainstHeldError):  # noqa: N818 -- it says what was not shown
    """Nothing shows that one of the two trees grew into the other.

    This convicts nobody yet: the proof may start from a size that another receipt has overtaken.
    The device asks for one that starts at `held_size`.
    """

    step: ClassVar[int] = 4


class NotIncluded(ReceiptError):  # noqa: N818 -- it says what was not shown
    """A path does not lead from the record to the checkpoint's root.

    Attributes:
        record: Hash of the record.
        note: The checkpoint.
    """

    step: ClassVar[int] = 5

    def __init__(self, message: str, *, record: Hash, note: bytes) -> None:
        super().__init__(f"step {self.step}: {message}")
        self.record = record
        self.note = note


class AnchorMismatch(ReceiptError):  # noqa: N818 -- the verdict's own name
    """The ledger holds another root at this size than the log signed.

    Attributes:
        note: What the log signed.
        anchored: What the ledger holds.
        proof: The ledger proof that shows it.
    """

    step: ClassVar[int] = 7

    def __init__(self, message: str, *, note: bytes, anchored: Hash, proof: LedgerProof) -> None:
        super().__init__(f"step {self.step}: {message}")
        self.note = note
        self.anchored = anchored
        self.proof = proof


@dataclass(frozen=True, kw_only=True, slots=True)
class Trusted:
    """What a device holds of a log.

    Attributes:
        checkpoint: The newest checkpoint that it accepted, None before the first.
    """

    checkpoint: SignedCheckpoint | None = None

    @classmethod
    def restore(cls, note: bytes | None, policy: LogPolicy) -> Trusted:
        """Read back what a device stored: the full note that it accepted.

        The quorum is not asked for again: a policy that grew since is no reason to forget.

        Raises:
            EncodingError: The note is malformed.
            SignatureInvalid: A pinned key's signature does not verify.
            UnknownSigner: The pinned log key did not sign: the device was pointed at another log.
        """
        if note is None:
            return cls()
        return cls(checkpoint=open_checkpoint(note, policy.log, policy.cosigners))

    @property
    def size(self) -> int:
        """Size of the tree held, 0 before the first checkpoint."""
        return 0 if self.checkpoint is None else self.checkpoint.checkpoint.size


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """What a receipt showed, to be committed with the receipt in one transaction: step 6.

    Attributes:
        state: What the device holds from now on.
        checkpoint: The receipt's checkpoint, opened.
        logged: Record hash and log index of each record that is included.
        anchored: The ledger's fact, None if the receipt carried no ledger proof, or there is no
            ledger policy, or the ledger holds nothing at this size yet.
    """

    state: Trusted
    checkpoint: SignedCheckpoint
    logged: tuple[tuple[Hash, int], ...]
    anchored: AnchoredFact | None


def check_receipt(
    receipt: Receipt, state: Trusted, policy: LogPolicy, ledger: LedgerPolicy | None = None
) -> Accepted:
    """Check a receipt in the numbered steps of this module.

    Args:
        receipt: As parsed: step 1.
        state: What the device holds.
        policy: Which log is believed, and watched by whom.
        ledger: Which ledger is believed; None leaves step 7 out.

    Raises:
        EncodingError: The checkpoint is malformed (2).
        SignatureInvalid: A pinned key's signature does not verify (2).
        UnknownSigner: The pinned log key did not sign (2).
        QuorumMissing: Too few witnesses cosigned (2).
        SplitView: One size, two roots (3).
        Rollback: The operator went back (3).
        Stale: Smaller than what is held; ignore it (3).
        NoConsistency: Ask for a proof from `held_size` (4).
        NotIncluded: A path does not lead to the root (5).
        AnchorMismatch: The ledger holds another root (7).
        LedgerError: The ledger proof fails at its own step (7).
    """
    opened = open_by_policy(receipt.checkpoint, policy)
    held = state.checkpoint
    if held is not None:
        _check_against_held(receipt, opened, held, policy)
        _check_growth(receipt.consistency, opened, held)
    # No check of consistency without a checkpoint held: from nothing there is nothing to prove.
    logged = tuple(_check_inclusion(each, opened) for each in receipt.inclusions)
    anchored = None
    if receipt.ledger is not None and ledger is not None:
        anchored = _check_anchor(receipt.ledger, ledger, opened)
    newest = opened if held is None else _newest(opened, held)
    return Accepted(
        state=Trusted(checkpoint=newest), checkpoint=opened, logged=logged, anchored=anchored
    )


def _check_against_held(
    receipt: Receipt, opened: SignedCheckpoint, held: SignedCheckpoint, policy: LogPolicy
) -> None:
    # protocol 6 step 3
    new, old = opened.checkpoint, held.checkpoint
    if new.size == old.size and new.root != old.root:
        raise SplitView(
            f"split view at size {new.size}: held root {old.root.hex()}, got {new.root.hex()}",
            held=held,
            got=opened,
        )
    if new.size >= old.size:
        return
    if _operator_went_back(opened, held, policy):
        raise Rollback(
            f"the operator cosigned size {new.size} later than size {old.size}",
            held=held,
            got=opened,
        )
    if receipt.consistency is None or receipt.consistency.old_size != new.size:
        raise Stale(
            f"size {new.size} is below the size {old.size} that is held, and nothing leads "
            "from one to the other",
            held=held,
            got=opened,
        )


def _operator_went_back(
    opened: SignedCheckpoint, held: SignedCheckpoint, policy: LogPolicy
) -> bool:
    """Tell whether the operator's own times say that the smaller tree came later."""
    if policy.operator is None:
        return False
    then, now = held.earliest_time_of(policy.operator), opened.time_of(policy.operator)
    return then is not None and now is not None and now > then


def _check_growth(
    proof: Consistency | None, opened: SignedCheckpoint, held: SignedCheckpoint
) -> None:
    # protocol 6 step 4: the proof leads from the smaller tree to the larger one. An anchor may come
    # late, when the device already holds a larger tree; then the proof starts at the receipt's.
    first, second = sorted((opened.checkpoint, held.checkpoint), key=lambda each: each.size)
    if first.size == second.size:  # step 3 found the roots equal; there is nothing to prove
        return
    if first.size == 0:  # the empty tree begins every tree
        return
    try:
        if proof is None or proof.old_size != first.size:
            start = "nowhere" if proof is None else f"size {proof.old_size}"
            raise ProofError(f"the proof starts at {start}, expected size {first.size}")  # noqa: TRY301 -- one way out
        verify_consistency(first.size, second.size, first.root, second.root, proof.path)
    except ProofError as error:
        raise NoConsistency(
            f"no consistency shown between size {first.size} and {second.size}: {error}",
            held=held,
            got=opened,
        ) from error


def _newest(opened: SignedCheckpoint, held: SignedCheckpoint) -> SignedCheckpoint:
    """Choose what to hold: the larger tree; of two notes of one tree, not the one with less."""
    if opened.checkpoint.size != held.checkpoint.size:
        return max(opened, held, key=lambda each: each.checkpoint.size)
    by_opened = {each.by for each in opened.cosignatures}
    by_held = {each.by for each in held.cosignatures}
    return held if by_opened < by_held else opened


def _check_inclusion(inclusion: Inclusion, opened: SignedCheckpoint) -> tuple[Hash, int]:
    # protocol 6 step 5: the size comes from the signed checkpoint, never from the proof
    tree = opened.checkpoint
    try:
        verify_inclusion(inclusion.index, tree.size, inclusion.record, inclusion.path, tree.root)
    except ProofError as error:
        raise NotIncluded(
            f"record {inclusion.record.hex()}: {error}", record=inclusion.record, note=opened.note
        ) from error
    return inclusion.record, inclusion.index


def _check_anchor(
    proof: LedgerProof, policy: LedgerPolicy, opened: SignedCheckpoint
) -> AnchoredFact | None:
    # protocol 6 step 7
    tree = opened.checkpoint
    fact = anchored_root(proof, policy, tree.origin, tree.size)
    if fact.root is None:  # not anchored (yet) is a state and not a failure
        return None
    if fact.root != tree.root:
        raise AnchorMismatch(
            f"block {fact.block_number} holds root {fact.root.hex()} at size {tree.size}, "
            f"the log signed {tree.root.hex()}",
            note=opened.note,
            anchored=fact.root,
            proof=proof,
        )
    return fact
