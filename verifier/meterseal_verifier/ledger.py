"""Step (7): the ledger holds the checkpoint's root.

Rules:

- A ledger of other validators, another chain or another contract is not the policy's: CANNOT
  CHECK. A proof that does not hold together is BAD INPUT.
- An empty slot convicts nobody: a log need not anchor every size (ADR 0010).
- Only the pinned validators' own word against the log's own signature is ANCHOR MISMATCH.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meterseal.errors import LedgerError
from meterseal.keys import fingerprint
from meterseal.ledger.header import ExtraData, Header
from meterseal.ledger.proof import anchored_root
from meterseal_verifier.text import safe, utc
from meterseal_verifier.verdict import Finding, Offence, bad_input, cannot_check, pending, tampered

if TYPE_CHECKING:
    from meterseal.checkpoint import Checkpoint, LogPolicy
    from meterseal.ledger.proof import AnchoredFact, LedgerPolicy, LedgerProof
    from meterseal.policy import TrustPolicy

_HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half the order of secp256k1 (SEC 2, 2.4.1)."""


def check_anchor(proof: LedgerProof | None, checkpoint: Checkpoint, policy: TrustPolicy) -> str:
    """Check that the ledger holds the root of a checkpoint that the log signed.

    Raises:
        Finding: PENDING, CANNOT CHECK, BAD INPUT or ANCHOR MISMATCH.
    """
    ledger = policy.ledger
    if ledger is None:
        raise cannot_check(
            "The file brings a ledger proof, and your trust file names no ledger to hold it "
            "against. Add [ledger], or ask for the file without that part.",
            expected="[ledger] in the trust file",
            got="none",
        )
    if proof is None:
        raise pending(
            "Not yet anchored: your trust file asks for the ledger, and the file brings no ledger "
            "proof. Ask for the evidence again when its checkpoint is anchored.",
            expected=f"a ledger proof for log size {checkpoint.size}",
            got="none",
        )
    fact = _anchored(proof, ledger, policy.log, checkpoint.size)
    _check_one_form(proof, ledger)
    where = f"block {fact.block_number} of chain {ledger.chain_id}, {utc(fact.block_time_s * 1000)}"
    if fact.root is None:
        raise pending(
            f"Not yet anchored: as of {where}, the contract holds no root for this log size. Ask "
            "for the evidence again at an anchored size.",
            expected=f"a root for log size {checkpoint.size}",
            got="an empty slot, shown by proof",
        )
    if fact.root != checkpoint.root:
        raise tampered(
            Offence.ANCHOR_MISMATCH,
            f"For size {checkpoint.size} the log signed another root than stands on the ledger "
            f"({where}): its history was rewritten.",
            culprit=f"the operator of log “{safe(policy.log.origin)}”, holder of log key "
            f"{fingerprint(policy.log.log.public)}",
            expected=f"{fact.root.hex()} (on the ledger)",
            got=f"{checkpoint.root.hex()} (on the signed checkpoint)",
        )
    return (
        f"anchored, finality checked: {where}, sealed by {len(fact.sealers)} of "
        f"{len(ledger.validators)} validators, holds this root"
    )


def _anchored(proof: LedgerProof, ledger: LedgerPolicy, log: LogPolicy, size: int) -> AnchoredFact:
    _check_pinned("chain", str(ledger.chain_id), str(proof.chain_id))
    _check_pinned("contract", f"0x{ledger.contract.hex()}", f"0x{proof.contract.hex()}")
    try:
        return anchored_root(proof, ledger, log.origin, size)
    except LedgerError as error:
        raise _finding(error) from error


def _check_one_form(proof: LedgerProof, ledger: LedgerPolicy) -> None:
    """Refuse the second form of a seal, (r, n - s), which anybody can make out of the first."""
    extra = ExtraData.parse(Header.parse(proof.header).extra_data, ledger.consensus)
    for seal in extra.seals:
        if int.from_bytes(seal[32:64], "big") > _HALF_ORDER:
            raise bad_input(
                "The ledger proof holds a seal that was rewritten into its other form.",
                expected="seals with the smaller s, as validators make them",
                got=seal.hex(),
            )


def _check_pinned(what: str, expected: str, got: str) -> None:
    if expected != got:
        raise cannot_check(
            f"The ledger proof is of another {what} than your trust file pins under [ledger].",
            expected=expected,
            got=got,
        )


def _finding(error: LedgerError) -> Finding:
    words = safe(str(error))
    match error.step:
        case "validators":
            return cannot_check(
                "The block is sealed by other validators than your trust file pins under [ledger]: "
                f"{words}."
            )
        case "code":
            return cannot_check(
                f"The contract is not the one that your trust file pins under [ledger]: {words}."
            )
        case _:
            return bad_input(f"The ledger proof does not hold, {words}.")
