"""Goal: nobody makes a second valid file out of a valid one by rewriting what he cannot sign."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal.evidence import encode_evidence
from meterseal.ledger.header import ExtraData, Header, seal
from meterseal.ledger.proof import LedgerProof
from meterseal_verifier.verdict import Verdict
from meterseal_verifier.verify import verify

if TYPE_CHECKING:
    from support.world import World

ORDER_SECP256K1 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ORDER_ED25519 = 2**252 + 27742317777372353535851937790883648493


def judge(world: World, proof: LedgerProof) -> Verdict:
    evidence = replace(world.interval_evidence(full=True), ledger=proof.encode())
    return verify(encode_evidence(evidence), world.policy(ledger=True)).verdict


def with_seals(world: World, change: object) -> LedgerProof:
    proof = LedgerProof.parse(world.ledger_proof(seals=3))
    header = Header.parse(proof.header)
    extra = ExtraData.parse(header.extra_data)
    assert callable(change)
    changed = replace(extra, seals=tuple(change(extra.seals)))
    return replace(proof, header=seal(header, changed).encode())


def other_form(made: bytes) -> bytes:
    s = ORDER_SECP256K1 - int.from_bytes(made[32:64], "big")
    return made[:32] + s.to_bytes(32, "big") + bytes([made[64] ^ 1])


def test_the_untouched_proof_passes(world: World) -> None:
    assert judge(world, with_seals(world, lambda seals: seals)) is Verdict.OK


def test_the_other_form_of_a_seal_is_refused(world: World) -> None:
    changed = with_seals(world, lambda seals: (other_form(seals[0]), *seals[1:]))

    assert judge(world, changed) is Verdict.BAD_INPUT


def test_a_doubled_seal_is_refused(world: World) -> None:
    assert judge(world, with_seals(world, lambda seals: (*seals, seals[0]))) is Verdict.BAD_INPUT


def test_a_seal_of_a_stranger_beside_enough_good_ones_is_refused(
    world: World, foreign: World
) -> None:
    strange = foreign.ledger.validators[0].sign_recoverable(bytes(32), hasher=None)

    assert judge(world, with_seals(world, lambda seals: (*seals, strange))) is Verdict.BAD_INPUT


def test_a_trie_node_that_the_walk_does_not_use_is_refused(world: World) -> None:
    proof = LedgerProof.parse(world.ledger_proof())

    surplus = replace(proof, account=(*proof.account, proof.storage[0]))

    assert judge(world, surplus) is Verdict.BAD_INPUT


def test_a_signature_with_a_larger_s_is_refused(world: World) -> None:
    honest = world.reading_evidence()
    s = int.from_bytes(honest.reading[-32:], "little") + ORDER_ED25519
    reading = honest.reading[:-32] + s.to_bytes(32, "little")

    report = verify(encode_evidence(replace(honest, reading=reading)), world.policy())

    assert report.verdict is Verdict.TAMPERED
