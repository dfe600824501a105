from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from meterseal.bodies import Event, EventCode, Restore, RestoreReason
from meterseal.evidence import (
    AnchorMismatchEvidence,
    ForkEvidence,
    RollbackEvidence,
    SplitViewEvidence,
    encode_evidence,
)
from meterseal.records import Light, Record, decode_record, encode_record, record_hash
from meterseal.types import Epoch, Hash, Seq
from meterseal_verifier.verdict import Offence, Report, StepState, Verdict
from meterseal_verifier.verify import verify
from support.world import World, key

if TYPE_CHECKING:
    from meterseal.keys import SigningKey


def accuse(world: World, record: bytes, rival: bytes) -> Report:
    return verify(encode_evidence(ForkEvidence(record=record, rival=rival)), world.policy())


def event(world: World, *, epoch: int = 0, seq: int = 50, n: int = 7, detail: str = "") -> bytes:
    return signed(world, _record(world, epoch, seq, n), detail)


def _record(world: World, epoch: int, seq: int, n: int) -> Record:
    return replace(
        decode_record(world.interval),
        epoch=Epoch(epoch),
        seq=Seq(seq),
        light=Light(n=n, hash=Hash(bytes(32))),
    )


def signed(world: World, record: Record, detail: str) -> bytes:
    body = Event(code=EventCode.BUTTON, detail=(detail,))
    return encode_record(replace(record, kind=body.kind, body=body), world.device_key)


def restore(world: World, nonce: bytes, *, epoch: int = 1, seq: int = 60, n: int = 9) -> bytes:
    body = Restore(reason=RestoreReason.OFFLINE_START, nonce=nonce, missing=None)
    record = _record(world, epoch, seq, n)
    return encode_record(replace(record, kind=body.kind, body=body), world.device_key)


def test_two_signed_readings_of_one_number_convict_the_device(world: World) -> None:
    report = verify(encode_evidence(world.fork_evidence()), world.policy())

    assert report.offence is Offence.DEVICE_FORK
    assert world.device.hex() in (report.culprit or "")
    assert record_hash(world.readings[5]).hex() in (report.expected or "")
    assert record_hash(world.rival_reading()).hex() in (report.got or "")
    assert [step.state for step in report.steps[4:]] == [StepState.NOT_ASKED] * 3


def test_two_records_of_one_light_number_in_one_epoch_convict_the_device(world: World) -> None:
    report = accuse(world, event(world, seq=50), event(world, seq=51))

    assert report.offence is Offence.DEVICE_FORK
    assert "light number 7" in report.sentence


def test_two_restores_of_one_epoch_with_two_nonces_are_two_cards(world: World) -> None:
    ours = restore(world, bytes(16), seq=60, n=9)
    theirs = restore(world, bytes([1]) * 16, seq=70, n=11)

    assert accuse(world, ours, theirs).offence is Offence.DEVICE_FORK


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),  # one and the same record
        ({"seq": 50, "n": 7}, {"seq": 52, "n": 9}),
        # A restore may continue from an older record: number and light number come again.
        ({"epoch": 0}, {"epoch": 1}),
    ],
)
def test_records_that_do_not_contradict_each_other_accuse_nobody(
    world: World, ours: dict[str, int], theirs: dict[str, int]
) -> None:
    record = signed(world, _record(world, **{"epoch": 0, "seq": 50, "n": 7} | ours), "")
    rival = signed(world, _record(world, **{"epoch": 0, "seq": 50, "n": 7} | theirs), "")

    report = accuse(world, record, rival)

    assert report.verdict is Verdict.BAD_INPUT
    assert report.culprit is None


@pytest.mark.parametrize("forger", [key("thief", "device"), key("foreign", "device")])
def test_a_forged_rival_does_not_convict_an_honest_device(world: World, forger: SigningKey) -> None:
    rival = encode_record(decode_record(world.rival_reading()), forger)

    for report in (
        accuse(world, world.readings[5], rival),
        accuse(world, rival, world.readings[5]),
    ):
        assert report.verdict is Verdict.BAD_INPUT
        assert "not signed by the key that your trust file pins" in report.sentence


def test_a_device_that_is_not_pinned_is_not_accused(world: World, foreign: World) -> None:
    report = verify(encode_evidence(foreign.fork_evidence()), world.policy())

    assert report.verdict is Verdict.CANNOT_CHECK


def test_a_fork_by_a_key_that_came_later_asks_for_that_key_to_be_pinned() -> None:
    """The trust file pins the key before the change; the forgery of neither is shown."""
    changed = World.build(key_changes=1)

    report = verify(encode_evidence(changed.fork_evidence()), changed.policy())

    assert report.verdict is Verdict.BAD_INPUT
    assert "not signed by the key that your trust file pins for this device" in report.sentence


def test_records_of_two_devices_accuse_nobody(world: World, foreign: World) -> None:
    report = accuse(world, world.readings[0], foreign.readings[0])

    assert report.verdict is Verdict.BAD_INPUT


class TestSplitView:
    def judge(self, world: World, checkpoint: bytes, rival: bytes) -> Report:
        evidence = SplitViewEvidence(checkpoint=checkpoint, rival=rival)
        return verify(encode_evidence(evidence), world.policy())

    def other_root(self, world: World) -> bytes:
        other = replace(world.checkpoint, root=Hash(sha256(b"other").digest()))
        return world.note(other, cosigned_by=0)

    def test_two_roots_of_one_size_convict_the_log(self, world: World) -> None:
        report = self.judge(world, world.note(), self.other_root(world))

        assert report.offence is Offence.AGGREGATOR_SPLIT_VIEW
        assert world.log.name in (report.culprit or "")

    def test_a_rival_by_another_key_does_not_convict(self, world: World, foreign: World) -> None:
        report = self.judge(world, world.note(), foreign.note())

        assert report.verdict is Verdict.CANNOT_CHECK

    def test_a_rival_of_another_size_or_the_same_root_accuses_nobody(self, world: World) -> None:
        grown = world.note(replace(world.checkpoint, size=99))

        assert self.judge(world, world.note(), grown).verdict is Verdict.BAD_INPUT
        assert self.judge(world, world.note(), world.note()).verdict is Verdict.BAD_INPUT

    def test_a_rival_whose_signature_was_copied_does_not_convict(self, world: World) -> None:
        honest, other = world.note(), self.other_root(world)
        copied = other.split(b"\n\n")[0] + b"\n\n" + honest.split(b"\n\n")[1]

        report = self.judge(world, honest, copied)

        assert report.offence is Offence.SIGNATURE_INVALID
        assert "not the key" in (report.culprit or "")


class TestRollback:
    def judge(
        self, world: World, larger: bytes, smaller: bytes, *, operator: bool = True
    ) -> Report:
        evidence = RollbackEvidence(checkpoint=larger, rival=smaller)
        return verify(encode_evidence(evidence), world.policy(operator=operator))

    def test_a_smaller_tree_that_was_cosigned_later_convicts_the_operator(
        self, world: World
    ) -> None:
        evidence = world.rollback_evidence()

        report = self.judge(world, evidence.checkpoint, evidence.rival)
        swapped = self.judge(world, evidence.rival, evidence.checkpoint)

        assert report.offence is swapped.offence is Offence.AGGREGATOR_ROLLBACK
        assert "holder of cosignature key" in (report.culprit or "")
        assert "size 40 at 2026-11-23 15:30:30" in (report.got or "")
        states = [step.state for step in report.steps]
        assert states.count(StepState.NOT_ASKED) == 4
        assert states[5] is StepState.PASSED

    @pytest.mark.parametrize(("size", "later_s"), [(31, 0), (31, -60), (40, 60)])
    def test_a_tree_that_grew_or_stood_still_accuses_nobody(
        self, world: World, size: int, later_s: int
    ) -> None:
        larger = world.operators_note(40, 1_795_447_830)

        report = self.judge(world, larger, world.operators_note(size, 1_795_447_830 + later_s))

        assert report.verdict is Verdict.BAD_INPUT
        assert report.culprit is None

    def test_without_the_operators_times_nobody_is_accused(self, world: World) -> None:
        evidence = world.rollback_evidence()
        smaller = replace(world.checkpoint, size=31)

        assert self.judge(world, world.note(), evidence.rival).verdict is Verdict.BAD_INPUT
        assert (
            self.judge(world, evidence.checkpoint, world.note(smaller)).verdict is Verdict.BAD_INPUT
        )

    def test_a_checker_who_does_not_know_the_operator_cannot_check(self, world: World) -> None:
        evidence = world.rollback_evidence()

        report = self.judge(world, evidence.checkpoint, evidence.rival, operator=False)

        assert report.verdict is Verdict.CANNOT_CHECK
        assert "Add operator under [log]" in report.sentence

    def test_another_operator_or_log_convicts_nobody(self, world: World, foreign: World) -> None:
        evidence = foreign.rollback_evidence()

        report = self.judge(world, evidence.checkpoint, evidence.rival)

        assert report.verdict is Verdict.CANNOT_CHECK


class TestAnchorMismatch:
    def judge(self, world: World, note: bytes, ledger: bytes) -> Report:
        evidence = AnchorMismatchEvidence(checkpoint=note, ledger=ledger)
        return verify(encode_evidence(evidence), world.policy(ledger=True))

    def test_another_root_on_the_ledger_convicts_the_log(self, world: World) -> None:
        evidence = world.mismatch_evidence()

        report = self.judge(world, evidence.checkpoint, evidence.ledger)

        assert report.offence is Offence.ANCHOR_MISMATCH
        assert world.log.name in (report.culprit or "")
        assert report.claim == "anchor mismatch"

    def test_no_quorum_is_needed_where_the_logs_own_signature_convicts(self, world: World) -> None:
        note = world.note(cosigned_by=0)

        report = self.judge(world, note, world.mismatch_evidence().ledger)

        assert report.offence is Offence.ANCHOR_MISMATCH

    def test_the_same_root_or_an_empty_slot_accuses_nobody(self, world: World) -> None:
        for proof in (world.ledger_proof(), world.ledger_proof({})):
            report = self.judge(world, world.note(), proof)

            assert report.verdict is Verdict.BAD_INPUT
            assert "accuses nobody" in report.sentence

    def test_a_checker_without_a_ledger_or_of_another_cannot_check(
        self, world: World, foreign: World
    ) -> None:
        data = encode_evidence(world.mismatch_evidence())
        theirs = foreign.mismatch_evidence().ledger

        assert verify(data, world.policy()).verdict is Verdict.CANNOT_CHECK
        assert self.judge(world, world.note(), theirs).verdict is Verdict.CANNOT_CHECK
