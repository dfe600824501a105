"""The receipt on the device: the numbered steps, and what convicts whom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.checkpoint import Checkpoint, QuorumMissing, open_checkpoint, sign_checkpoint
from meterseal.encoding import encode
from meterseal.errors import EncodingError, LedgerError, ProofError, ProtocolError, SignatureInvalid
from meterseal.keys import SigningKey
from meterseal.merkle import consistency_path, inclusion_path, leaf_hash, root
from meterseal.note import Cosigner, Signer, UnknownSigner
from meterseal.receipt import (
    Accepted,
    AgainstHeldError,
    AnchorMismatch,
    Consistency,
    Inclusion,
    LogPolicy,
    NoConsistency,
    NotIncluded,
    Receipt,
    Rollback,
    SplitView,
    Stale,
    Trusted,
    Witness,
    check_receipt,
)
from support.sealedledger import ORIGIN, SealedLedger

if TYPE_CHECKING:
    from meterseal.types import Hash

LOG = Signer(name=ORIGIN, key=SigningKey.from_seed(bytes(32)))
WITNESS = Cosigner(name="witness.example/w", key=SigningKey.from_seed(bytes([1]) * 32))
OPERATOR = Cosigner(name="log.example/operator", key=SigningKey.from_seed(bytes([2]) * 32))
POLICY = LogPolicy(
    origin=ORIGIN,
    log=LOG.verifier,
    witnesses=(Witness(verifier=WITNESS.verifier, owner="a neighbour"),),
    quorum=1,
    operator=OPERATOR.verifier,
)
LEAVES = [leaf_hash(bytes([n])) for n in range(20)]
OTHER = [leaf_hash(bytes([n, n])) for n in range(20)]
HOUR = 3600


def tree(size: int, leaves: list[Hash] = LEAVES) -> Checkpoint:
    return Checkpoint(origin=ORIGIN, size=size, root=root(leaves[:size]))


def note(size: int, time_s: int | None = None, leaves: list[Hash] = LEAVES) -> bytes:
    """A checkpoint that the log, a witness and the operator signed, at an hour per leaf."""
    at = size * HOUR if time_s is None else time_s
    return sign_checkpoint(tree(size, leaves), LOG, (WITNESS, at), (OPERATOR, at))


def holding(size: int, time_s: int | None = None) -> Trusted:
    return Trusted.restore(note(size, time_s), POLICY)


def growth(old: int, new: int) -> Consistency:
    return Consistency(old_size=old, path=consistency_path(old, LEAVES[:new]))


def own(size: int, *indices: int) -> tuple[Inclusion, ...]:
    return tuple(
        Inclusion(record=LEAVES[n], index=n, path=inclusion_path(n, LEAVES[:size])) for n in indices
    )


RECEIPT = Receipt(checkpoint=note(9), consistency=growth(5, 9), inclusions=own(9, 3, 8))


def accepted(receipt: Receipt, state: Trusted) -> Accepted:
    return check_receipt(Receipt.parse(receipt.encode()), state, POLICY)


def test_a_receipt_moves_the_state_and_tells_what_is_logged() -> None:
    result = accepted(RECEIPT, holding(5))

    assert result.state.size == 9
    assert result.logged == ((LEAVES[3], 3), (LEAVES[8], 8))
    assert result.anchored is None
    assert result.state.checkpoint is not None
    assert result.state.checkpoint.note == RECEIPT.checkpoint


def test_the_first_receipt_starts_from_nothing() -> None:
    first = replace(RECEIPT, consistency=None)

    assert accepted(first, Trusted()).state.size == 9
    assert Trusted.restore(None, POLICY).size == 0


def test_growth_from_the_empty_tree_needs_no_proof() -> None:
    assert accepted(replace(RECEIPT, consistency=None), holding(0)).state.size == 9


def test_a_receipt_may_say_nothing_but_the_checkpoint() -> None:
    again = Receipt(checkpoint=note(5))

    assert accepted(again, holding(5)).logged == ()


# Step 1


def test_a_receipt_survives_its_bytes() -> None:
    ledger = SealedLedger(anchors={9: tree(9).root})
    for receipt in (RECEIPT, Receipt(checkpoint=b""), replace(RECEIPT, ledger=ledger.prove(9))):
        assert Receipt.parse(receipt.encode()) == receipt


def test_a_receipt_cut_short_or_followed_by_rubbish_is_refused() -> None:
    data = RECEIPT.encode()

    for length in range(len(data)):
        with pytest.raises(EncodingError):
            Receipt.parse(data[:length])
    with pytest.raises(EncodingError):
        Receipt.parse(data + b"\xf6")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_receipt_or_an_encoding_error(data: bytes) -> None:
    with pytest.raises(EncodingError):
        pytest.fail(f"accepted: {Receipt.parse(data)}")


def test_more_than_256_inclusions_are_refused() -> None:
    inclusion = replace(RECEIPT.inclusions[0], path=())

    assert len(Receipt.parse(replace(RECEIPT, inclusions=(inclusion,) * 256).encode()).inclusions)
    with pytest.raises(EncodingError, match="at most 256"):
        Receipt.parse(replace(RECEIPT, inclusions=(inclusion,) * 257).encode())


@pytest.mark.parametrize("length", [1, 31, 33, 65 * 32])
def test_a_path_of_no_whole_hashes_or_too_many_is_refused(length: int) -> None:
    data = encode({1: b"", 2: [5, bytes(length)], 3: [], 4: None})

    with pytest.raises(EncodingError, match="path"):
        Receipt.parse(data)


def test_every_flipped_byte_of_a_receipt_is_refused() -> None:
    """But one: the bit that turns the operator's name into a stranger's is no fact at all."""
    data = RECEIPT.encode()
    operators_line = data.index(OPERATOR.name.encode())

    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        try:
            result = check_receipt(Receipt.parse(bytes(changed)), holding(5), POLICY)
        except ProtocolError:
            continue
        assert operators_line <= at < operators_line + len(OPERATOR.name) + 7
        assert (result.state.size, result.logged) == (9, ((LEAVES[3], 3), (LEAVES[8], 8)))


# Step 2


def test_a_checkpoint_by_another_key_is_refused() -> None:
    stranger = Signer(name=ORIGIN, key=SigningKey.from_seed(bytes([7]) * 32))
    forged = sign_checkpoint(tree(9), stranger, (WITNESS, 1))

    with pytest.raises(UnknownSigner):
        accepted(replace(RECEIPT, checkpoint=forged), holding(5))


def test_a_checkpoint_that_nobody_watched_is_refused() -> None:
    unwatched = sign_checkpoint(tree(9), LOG, (OPERATOR, 1))

    with pytest.raises(QuorumMissing):
        accepted(replace(RECEIPT, checkpoint=unwatched), holding(5))


def test_a_broken_cosignature_rejects_the_whole_receipt() -> None:
    text = RECEIPT.checkpoint.replace(b"\n9\n", b"\n8\n")

    with pytest.raises(SignatureInvalid):
        accepted(replace(RECEIPT, checkpoint=text), holding(5))


# Step 3


def test_two_roots_of_one_size_are_a_split_view_with_both_notes() -> None:
    rival = note(5, leaves=OTHER)

    with pytest.raises(SplitView, match="step 3: split view at size 5") as convicted:
        accepted(Receipt(checkpoint=rival), holding(5))

    assert (convicted.value.ours, convicted.value.theirs) == (note(5), rival)
    trees = [
        open_checkpoint(each, LOG.verifier).checkpoint
        for each in (convicted.value.ours, convicted.value.theirs)
    ]
    assert trees[0].size == trees[1].size
    assert trees[0].root != trees[1].root


def test_an_older_checkpoint_is_stale_and_accuses_nobody() -> None:
    """MQTT delivers again and late; that is no offence."""
    with pytest.raises(Stale) as ignored:
        accepted(Receipt(checkpoint=note(5), inclusions=own(5, 3)), holding(9))

    assert ignored.value.step == 3
    assert ignored.value.held_size == 9


def test_an_operator_who_later_calls_a_smaller_tree_the_largest_is_convicted() -> None:
    later = note(5, time_s=100 * HOUR)

    with pytest.raises(Rollback, match="cosigned size 5 later than size 9") as convicted:
        accepted(Receipt(checkpoint=later, consistency=growth(5, 9)), holding(9))

    assert (convicted.value.ours, convicted.value.theirs) == (note(9), later)


def test_no_rollback_without_the_operators_own_times() -> None:
    by_witness_only = sign_checkpoint(tree(5), LOG, (WITNESS, 100 * HOUR))

    with pytest.raises(Stale):
        accepted(Receipt(checkpoint=by_witness_only), holding(9))
    with pytest.raises(Stale):
        check_receipt(
            Receipt(checkpoint=note(5, time_s=100 * HOUR)),
            holding(9),
            replace(POLICY, operator=None),
        )
    with pytest.raises(Stale):
        accepted(Receipt(checkpoint=note(5, time_s=9 * HOUR)), holding(9))


def test_the_same_tree_again_never_costs_a_cosignature() -> None:
    bare = sign_checkpoint(tree(5), LOG, (WITNESS, 5 * HOUR))

    kept = accepted(Receipt(checkpoint=bare), holding(5)).state.checkpoint
    gained = accepted(Receipt(checkpoint=note(5)), Trusted.restore(bare, POLICY)).state.checkpoint

    assert kept is not None
    assert gained is not None
    assert kept.note == gained.note == note(5)


# Step 4


def test_a_proof_from_another_size_is_answered_with_the_size_that_is_held() -> None:
    for consistency in (None, growth(4, 9), growth(6, 9)):
        with pytest.raises(NoConsistency, match="expected size 5") as asked:
            accepted(replace(RECEIPT, consistency=consistency), holding(5))
        assert asked.value.step == 4
        assert asked.value.held_size == 5


def test_a_log_that_forgot_what_it_showed_before_shows_no_consistency() -> None:
    forged = Receipt(
        checkpoint=note(9, leaves=OTHER),
        consistency=Consistency(old_size=5, path=consistency_path(5, OTHER[:9])),
    )

    with pytest.raises(NoConsistency) as found:
        accepted(forged, holding(5))
    assert (found.value.ours, found.value.theirs) == (note(5), forged.checkpoint)


def test_a_late_anchor_counts_when_its_tree_leads_to_the_one_that_is_held() -> None:
    late = Receipt(checkpoint=note(5), consistency=growth(5, 9), inclusions=own(5, 3))

    result = accepted(late, holding(9))

    assert result.state == holding(9)
    assert result.checkpoint.checkpoint.size == 5
    assert result.logged == ((LEAVES[3], 3),)


def test_a_late_tree_that_does_not_lead_to_the_one_that_is_held_counts_for_nothing() -> None:
    late = Receipt(
        checkpoint=note(5, leaves=OTHER),
        consistency=Consistency(old_size=5, path=consistency_path(5, OTHER[:9])),
    )

    with pytest.raises(NoConsistency):
        accepted(late, holding(9))


# Step 5


def test_a_record_that_is_not_where_it_is_said_to_be_is_refused() -> None:
    (right, _) = RECEIPT.inclusions
    wrong = [
        replace(right, record=OTHER[3]),
        replace(right, index=4),
        replace(right, index=9),
        replace(right, path=right.path[:-1]),
        replace(right, path=(*right.path, LEAVES[0])),
    ]

    for inclusion in wrong:
        with pytest.raises(NotIncluded, match="step 5") as found:
            accepted(replace(RECEIPT, inclusions=(right, inclusion)), holding(5))
        assert found.value.record == inclusion.record
        assert found.value.note == RECEIPT.checkpoint


# Step 7


def test_an_anchored_root_is_told_with_its_block() -> None:
    ledger = SealedLedger(anchors={9: tree(9).root})
    receipt = replace(RECEIPT, ledger=ledger.prove(9))

    with_policy = check_receipt(receipt, holding(5), POLICY, ledger.policy)
    without = check_receipt(receipt, holding(5), POLICY)

    assert with_policy.anchored is not None
    assert with_policy.anchored.root == tree(9).root
    assert with_policy.anchored.block_number == ledger.number
    assert without.anchored is None


def test_a_late_anchor_is_told_though_the_device_holds_a_larger_tree() -> None:
    ledger = SealedLedger(anchors={5: tree(5).root})
    late = Receipt(
        checkpoint=note(5),
        consistency=growth(5, 9),
        inclusions=own(5, 3),
        ledger=ledger.prove(5),
    )

    result = check_receipt(late, holding(9), POLICY, ledger.policy)

    assert result.anchored is not None
    assert result.state.size == 9


def test_a_size_that_the_ledger_does_not_hold_is_pending_and_not_wrong() -> None:
    ledger = SealedLedger(anchors={5: tree(5).root})
    receipt = replace(RECEIPT, ledger=ledger.prove(9))

    result = check_receipt(receipt, holding(5), POLICY, ledger.policy)

    assert result.anchored is None
    assert result.state.size == 9


def test_a_ledger_that_holds_another_root_is_a_mismatch_with_its_evidence() -> None:
    ledger = SealedLedger(anchors={9: root(OTHER[:9])})
    receipt = replace(RECEIPT, ledger=ledger.prove(9))

    with pytest.raises(AnchorMismatch, match="step 7: block 77") as convicted:
        check_receipt(receipt, holding(5), POLICY, ledger.policy)

    assert convicted.value.anchored == root(OTHER[:9])
    assert convicted.value.note == RECEIPT.checkpoint
    assert convicted.value.proof == receipt.ledger


def test_a_ledger_proof_that_fails_says_at_which_of_its_own_steps() -> None:
    ledger = SealedLedger(anchors={9: tree(9).root})
    unsealed = ledger.prove(9, header=ledger.sealed(ledger.keys[:2]))

    with pytest.raises(LedgerError) as refused:
        check_receipt(replace(RECEIPT, ledger=unsealed), holding(5), POLICY, ledger.policy)
    assert refused.value.step == "seals"


# The state


def test_a_state_is_restored_from_its_note_even_when_the_quorum_grew_since() -> None:
    bare = sign_checkpoint(tree(5), LOG)

    assert Trusted.restore(bare, POLICY).size == 5
    with pytest.raises(UnknownSigner):
        Trusted.restore(bare, replace(POLICY, log=replace(POLICY.log, name="another")))


def test_a_refused_receipt_is_a_proof_error_of_the_protocol() -> None:
    for error in (SplitView, Rollback, Stale, NoConsistency):
        assert issubclass(error, AgainstHeldError)
        assert issubclass(error, ProofError)
