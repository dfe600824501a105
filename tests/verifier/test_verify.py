from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from meterseal import merkle
from meterseal.checkpoint import Checkpoint, Witness, add_signatures, sign_checkpoint
from meterseal.evidence import Evidence, IntervalEvidence, ReadingEvidence, encode_evidence
from meterseal.keys import fingerprint
from meterseal.note import Cosigner, parse_note, write_note
from meterseal.records import decode_record, encode_record, record_hash
from meterseal.types import Epoch, Hash, Seq, UnixMs
from meterseal_verifier.verdict import Offence, StepState, Verdict
from meterseal_verifier.verify import verify
from support.world import START_MS, World, key

if TYPE_CHECKING:
    from meterseal.keys import SigningKey
    from meterseal.policy import TrustPolicy
    from meterseal_verifier.verdict import Report

PASSED, PENDING, FAILED = StepState.PASSED, StepState.PENDING, StepState.FAILED
NOT_CHECKED, NOT_ASKED = StepState.NOT_CHECKED, StepState.NOT_ASKED


def check(evidence: Evidence, policy: TrustPolicy) -> Report:
    return verify(encode_evidence(evidence), policy)


def states(report: Report) -> list[StepState]:
    return [step.state for step in report.steps]


def with_note(evidence: IntervalEvidence, note: bytes) -> IntervalEvidence:
    return replace(evidence, checkpoint=note)


class TestProofs:
    def test_an_honest_reading_passes_every_step(self, world: World) -> None:
        report = check(world.reading_evidence(full=True), world.policy(ledger=True))

        assert report.heading == "OK"
        assert states(report) == [PASSED] * 7
        assert [step.number for step in report.steps] == [1, 2, 3, 4, 5, 6, 7]
        assert report.claim == "reading"

    def test_the_verdict_names_who_vouches_for_the_key(self, world: World) -> None:
        core, full = world.interval_evidence(), world.interval_evidence(full=True)

        pinned = check(core, world.policy())
        enrolled = check(full, world.policy(ledger=True, pinned=False))

        assert "your trust file" in pinned.sentence
        assert fingerprint(world.enrolment_key.public) in enrolled.sentence
        assert fingerprint(world.enrolment_key.public) in (enrolled.vouched_by or "")

    def test_an_interval_is_proved_without_any_reading(self, world: World) -> None:
        report = check(world.interval_evidence(), world.policy())

        assert report.verdict is Verdict.OK
        assert states(report) == [PASSED, PASSED, PASSED, NOT_ASKED, PASSED, PASSED, NOT_ASKED]

    def test_a_key_change_is_followed_to_the_signing_key(self) -> None:
        world = World.build(key_changes=2)

        report = check(world.reading_evidence(full=True), world.policy(ledger=True, pinned=False))

        assert report.verdict is Verdict.OK
        assert fingerprint(world.signing_key.public) in report.steps[1].line


class TestMissingPins:
    def test_a_wholly_foreign_file_that_is_consistent_is_not_believed(
        self, world: World, foreign: World
    ) -> None:
        evidence = foreign.reading_evidence(full=True)
        assert check(evidence, foreign.policy(ledger=True)).verdict is Verdict.OK

        report = check(evidence, world.policy(ledger=True))

        assert report.verdict is Verdict.CANNOT_CHECK
        assert report.culprit is None

    def test_the_device_that_nobody_vouches_for_is_named(self, world: World) -> None:
        report = check(world.reading_evidence(), world.policy(pinned=False))

        assert report.verdict is Verdict.CANNOT_CHECK
        assert states(report) == [PASSED, FAILED, *[NOT_CHECKED] * 5]
        assert world.device.hex() in report.sentence

    def test_a_foreign_log_is_named_with_the_pin_that_it_needs(
        self, world: World, foreign: World
    ) -> None:
        policy = replace(world.policy(), log=foreign.policy().log)

        report = check(world.reading_evidence(), policy)

        assert report.verdict is Verdict.CANNOT_CHECK
        assert report.steps[5].state is FAILED
        assert report.expected == f"{foreign.log.name}+{foreign.log.verifier.key_id.hex()}"
        assert f"{world.log.name}+{world.log.verifier.key_id.hex()}" in (report.got or "")

    def test_a_foreign_enrolment_key_does_not_vouch(self, world: World, foreign: World) -> None:
        evidence = world.interval_evidence(full=True)
        policy = replace(
            world.policy(ledger=True), enrolment_keys=frozenset({foreign.enrolment_key.public})
        )

        assert check(evidence, policy).verdict is Verdict.CANNOT_CHECK
        assert check(evidence, replace(policy, devices={})).verdict is Verdict.CANNOT_CHECK

    def test_foreign_validators_are_not_believed(self, world: World, foreign: World) -> None:
        ours = world.policy(ledger=True)
        assert ours.ledger is not None
        theirs = replace(ours.ledger, validators=foreign.ledger.policy.validators)

        report = check(world.interval_evidence(full=True), replace(ours, ledger=theirs))

        assert report.verdict is Verdict.CANNOT_CHECK
        assert report.steps[6].state is FAILED
        assert "validators" in report.sentence

    @pytest.mark.parametrize("pin", ["chain_id", "contract", "code_hash"])
    def test_another_ledger_or_contract_is_not_believed(self, world: World, pin: str) -> None:
        ours = world.policy(ledger=True)
        assert ours.ledger is not None
        other = {"chain_id": 1, "contract": bytes(20), "code_hash": Hash(bytes(32))}[pin]

        report = check(
            world.interval_evidence(full=True),
            replace(ours, ledger=replace(ours.ledger, **{pin: other})),  # type: ignore[arg-type]
        )

        assert report.verdict is Verdict.CANNOT_CHECK

    def test_a_ledger_proof_without_a_pinned_ledger_cannot_be_checked(self, world: World) -> None:
        report = check(world.interval_evidence(full=True), world.policy(ledger=False))

        assert report.verdict is Verdict.CANNOT_CHECK
        assert "[ledger]" in report.sentence


class TestPending:
    def test_a_file_without_the_ledger_that_the_policy_asks_for_is_pending(
        self, world: World
    ) -> None:
        report = check(world.reading_evidence(), world.policy(ledger=True))

        assert report.verdict is Verdict.PENDING
        assert states(report) == [*[PASSED] * 6, PENDING]
        assert "ot yet anchored" in report.sentence

    def test_an_empty_slot_convicts_nobody(self, world: World) -> None:
        later = {len(world.leaves) + 5: world.root}
        evidence = replace(world.interval_evidence(full=True), ledger=world.ledger_proof(later))

        report = check(evidence, world.policy(ledger=True))

        assert report.verdict is Verdict.PENDING
        assert "empty slot" in (report.got or "")

    def test_too_few_witnesses_are_pending(self, world: World) -> None:
        evidence = with_note(world.interval_evidence(), world.note(cosigned_by=1))

        report = check(evidence, world.policy(quorum=2))

        assert report.verdict is Verdict.PENDING
        assert (report.expected, report.got) == ("witnesses of 2 owners", "owner 0")

    def test_two_witnesses_of_one_owner_count_once(self, world: World) -> None:
        ours = world.policy(quorum=1)
        one_owner = tuple(replace(each, owner="the operator") for each in ours.log.witnesses)
        other = Witness(verifier=key_of("else").verifier, owner="somebody else")
        log = replace(ours.log, witnesses=(*one_owner, other), quorum=2)

        assert check(world.interval_evidence(), replace(ours, log=log)).verdict is Verdict.PENDING


def key_of(name: str) -> Cosigner:
    return Cosigner(name=f"{name}.example", key=key("nobody", name))


class TestSignatures:
    def test_a_flipped_byte_in_the_store_is_a_bad_signature_and_not_the_device(
        self, world: World
    ) -> None:
        honest = world.reading_evidence()
        at = honest.reading.index((1_234_535).to_bytes(4, "big"))  # the raw words of the counter
        changed = honest.reading[:at] + b"\x7f" + honest.reading[at + 1 :]

        report = check(replace(honest, reading=changed), world.policy())

        assert report.offence is Offence.SIGNATURE_INVALID
        assert states(report) == [PASSED, PASSED, FAILED, *[NOT_CHECKED] * 4]
        assert "not the device" in (report.culprit or "")

    def test_a_record_by_the_old_key_after_a_key_change_is_invalid(self) -> None:
        world = World.build(key_changes=1)
        records = [*world.records[:-1]]
        interval = encode_again(world.interval, world, world.device_key)
        records.append(interval)
        leaves = tuple(
            merkle.leaf_hash(interval) if each == merkle.leaf_hash(world.interval) else each
            for each in world.leaves
        )
        forged = replace(world, records=tuple(records), leaves=leaves)

        report = check(forged.reading_evidence(), forged.policy())

        assert report.offence is Offence.SIGNATURE_INVALID

    def test_without_its_key_changes_a_new_key_is_not_believed(self) -> None:
        world = World.build(key_changes=1)

        report = check(replace(world.interval_evidence(), key_changes=()), world.policy())

        assert report.offence is Offence.SIGNATURE_INVALID

    def test_a_key_change_that_the_old_key_did_not_sign_is_invalid(self, world: World) -> None:
        stolen = World.build(key_changes=1)
        thief = key("thief", "device")
        change = encode_again(stolen.key_changes[0], stolen, thief)
        places = stolen.interval_evidence().key_changes
        evidence = replace(
            stolen.interval_evidence(), key_changes=(replace(places[0], data=change), places[1])
        )

        report = check(evidence, world.policy())

        assert report.offence is Offence.SIGNATURE_INVALID

    def test_key_changes_in_another_order_or_older_than_the_record_are_bad_input(self) -> None:
        world = World.build(key_changes=2)
        first, second = world.interval_evidence().key_changes[:2], world.interval_evidence()

        swapped = replace(second, key_changes=(first[1], first[0]))

        assert check(swapped, world.policy()).verdict is Verdict.BAD_INPUT

    def test_a_changed_checkpoint_is_a_bad_signature(self, world: World) -> None:
        text, lines = parse_note(world.note())
        other = replace(Checkpoint.parse(text), root=Hash(bytes(32)))
        note = write_note(other.text, lines)

        report = check(with_note(world.interval_evidence(), note), world.policy())

        assert report.offence is Offence.SIGNATURE_INVALID
        assert "not the key" in (report.culprit or "")


def encode_again(data: bytes, world: World, signer: SigningKey) -> bytes:
    """Sign a record of the world again, by another key."""
    assert world.device == decode_record(data).device
    return encode_record(decode_record(data), signer)


class TestPlaces:
    def test_a_reading_signed_again_is_not_in_its_interval(self, world: World) -> None:
        evidence = replace(world.reading_evidence(), reading=world.rival_reading())

        report = check(evidence, world.policy())

        assert report.offence is Offence.RECORD_NOT_IN_LOG
        assert report.steps[3].state is FAILED

    def test_a_reading_of_another_interval_is_bad_input(self, world: World) -> None:
        honest = decode_record(world.readings[0])
        for changed in (replace(honest, seq=Seq(999)), replace(honest, epoch=Epoch(1))):
            other = encode_record(changed, world.signing_key)
            report = check(replace(world.reading_evidence(), reading=other), world.policy())
            assert report.verdict is Verdict.BAD_INPUT
            assert report.steps[3].state is FAILED

    def test_a_path_of_the_wrong_length_accuses_nobody(self, world: World) -> None:
        reading = world.reading_evidence()
        short = replace(reading, path=reading.path[:-1])
        place = reading.interval.interval
        long = replace(
            reading.interval, interval=replace(place, path=(*place.path, Hash(bytes(32))))
        )

        assert check(short, world.policy()).verdict is Verdict.BAD_INPUT
        assert check(long, world.policy()).verdict is Verdict.BAD_INPUT

    def test_an_interval_at_another_leaf_is_not_in_the_log(self, world: World) -> None:
        honest = world.interval_evidence()
        place = honest.interval
        path = merkle.inclusion_path(place.index + 1, world.leaves)
        moved = replace(honest, interval=replace(place, index=place.index + 1, path=path))

        report = check(moved, world.policy())

        assert report.offence is Offence.RECORD_NOT_IN_LOG
        assert states(report)[4:] == [FAILED, PASSED, NOT_CHECKED]

    def test_a_log_is_not_accused_by_a_checkpoint_that_it_did_not_sign(
        self, world: World, foreign: World
    ) -> None:
        evidence = with_note(world.interval_evidence(), foreign.note())

        report = check(evidence, world.policy())

        assert report.verdict is Verdict.CANNOT_CHECK

    @pytest.mark.parametrize("part", ["manifest", "enrolment"])
    def test_every_part_must_be_in_the_log(self, world: World, part: str) -> None:
        honest = world.interval_evidence(full=True)
        place = getattr(honest, part)
        moved = replace(honest, **{part: replace(place, index=3)})

        report = check(moved, world.policy(ledger=True))

        assert report.offence is Offence.RECORD_NOT_IN_LOG or report.verdict is Verdict.BAD_INPUT
        assert report.steps[4].state is FAILED

    def test_another_manifest_than_the_one_in_force_is_bad_input(self) -> None:
        world = World.build(key_changes=1)
        evidence = replace(
            world.interval_evidence(full=True), manifest=world.logged(world.records[0])
        )

        report = check(evidence, world.policy(ledger=True))

        assert report.verdict is Verdict.BAD_INPUT
        assert "manifest" in report.sentence


class TestNothingIgnored:
    def test_an_unknown_line_beside_good_ones_is_bad_input(self, world: World) -> None:
        stranger = key_of("stranger")
        line = stranger.cosign(world.checkpoint.text, START_MS // 1000)
        note = add_signatures(world.note(), [line])

        report = check(with_note(world.interval_evidence(), note), world.policy())

        assert report.verdict is Verdict.BAD_INPUT
        assert "stranger.example" in (report.got or "")

    def test_a_doubled_line_is_bad_input(self, world: World) -> None:
        text, lines = parse_note(world.note())
        note = write_note(text, [*lines, lines[-1]])

        assert (
            check(with_note(world.interval_evidence(), note), world.policy()).verdict
            is Verdict.BAD_INPUT
        )

    def test_a_second_cosignature_with_another_time_is_bad_input(self, world: World) -> None:
        text, lines = parse_note(world.note())
        again = world.witnesses[0].cosign(text, 1)
        note = write_note(text, [*lines, again])

        assert (
            check(with_note(world.interval_evidence(), note), world.policy()).verdict
            is Verdict.BAD_INPUT
        )

    def test_an_extension_line_on_the_checkpoint_is_bad_input(self, world: World) -> None:
        extended = replace(world.checkpoint, extensions=("extra",))
        note = sign_checkpoint(extended, world.log)

        report = check(with_note(world.interval_evidence(), note), world.policy(quorum=0))

        assert report.verdict is Verdict.BAD_INPUT

    def test_a_checkpoint_of_another_origin_by_the_same_key_is_not_believed(
        self, world: World
    ) -> None:
        note = world.note(replace(world.checkpoint, origin="other.example"))

        report = check(with_note(world.interval_evidence(), note), world.policy())

        assert report.verdict is Verdict.CANNOT_CHECK


class TestEnrolment:
    def believe(self, world: World) -> Report:
        evidence = world.interval_evidence(full=True)
        return check(evidence, world.policy(ledger=True, pinned=False))

    def test_an_enrolment_vouches_only_from_its_day_on(self) -> None:
        report = self.believe(World.build(enrolment={"valid_from": UnixMs(START_MS + 10**9)}))

        assert report.verdict is Verdict.CANNOT_CHECK

    def test_a_record_after_the_revocation_is_worth_nothing(self) -> None:
        report = self.believe(World.build(enrolment={"revoked_after": (Epoch(0), Seq(3))}))

        assert report.verdict is Verdict.CANNOT_CHECK
        assert "revoked" in report.sentence

    def test_a_record_logged_after_the_revocation_is_worth_nothing(self) -> None:
        # In this world the enrolment stands before the interval in the log.
        report = self.believe(World.build(enrolment={"revoked_after": (Epoch(0), Seq(10**6))}))

        assert report.verdict is Verdict.CANNOT_CHECK

    def test_an_enrolment_of_another_device_is_bad_input(self, foreign: World) -> None:
        report = self.believe(World.build(enrolment={"device": foreign.device}))

        assert report.verdict is Verdict.BAD_INPUT

    def test_an_enrolment_that_contradicts_the_pin_is_not_believed(self, foreign: World) -> None:
        world = World.build(enrolment={"public_key": foreign.device_key.public})

        report = check(world.interval_evidence(full=True), world.policy(ledger=True))

        assert report.verdict is Verdict.CANNOT_CHECK
        assert report.steps[1].state is FAILED


class TestAnchor:
    def rewritten(self, world: World) -> World:
        """The aggregator exchanges a neighbour's leaf; its own log key signs the new tree."""
        leaves = list(world.leaves)
        leaves[0] = Hash(sha256(b"another history").digest())
        return replace(world, leaves=tuple(leaves))

    def test_a_rewritten_log_is_convicted_by_the_ledger(self, world: World) -> None:
        lie = self.rewritten(world)
        anchored = world.ledger_proof()

        report = check(
            replace(lie.interval_evidence(full=True), ledger=anchored), world.policy(ledger=True)
        )

        assert report.offence is Offence.ANCHOR_MISMATCH
        assert states(report) == [PASSED, PASSED, PASSED, NOT_ASKED, PASSED, PASSED, FAILED]
        assert world.root.hex() in (report.expected or "")
        assert lie.root.hex() in (report.got or "")
        assert fingerprint(world.log.key.public) in (report.culprit or "")

    def test_it_is_convicted_even_where_no_witness_signed_the_lie(self, world: World) -> None:
        lie = self.rewritten(world)
        evidence = replace(
            lie.interval_evidence(full=True),
            ledger=world.ledger_proof(),
            checkpoint=lie.note(cosigned_by=0),
        )

        report = check(evidence, world.policy(ledger=True, quorum=2))

        assert report.offence is Offence.ANCHOR_MISMATCH
        assert report.steps[5].state is PENDING

    def test_too_few_seals_are_bad_input(self, world: World) -> None:
        evidence = replace(world.interval_evidence(full=True), ledger=world.ledger_proof(seals=2))

        assert check(evidence, world.policy(ledger=True)).verdict is Verdict.BAD_INPUT

    def test_three_of_four_seals_are_enough(self, world: World) -> None:
        evidence = replace(world.interval_evidence(full=True), ledger=world.ledger_proof(seals=3))

        report = check(evidence, world.policy(ledger=True))

        assert report.verdict is Verdict.OK
        assert "sealed by 3 of 4" in report.steps[6].line


def test_the_reading_that_was_proved_is_the_one_in_the_file(world: World) -> None:
    reports = [check(world.reading_evidence(n), world.policy()) for n in range(12)]

    assert all(report.verdict is Verdict.OK for report in reports)
    assert len({report.sentence for report in reports}) == 12


def test_a_gap_in_place_of_an_interval_is_bad_input(world: World) -> None:
    honest = world.interval_evidence()
    evidence = replace(honest, interval=replace(honest.interval, data=world.manifest))

    report = check(evidence, world.policy())

    assert report.verdict is Verdict.BAD_INPUT
    assert (report.expected, report.got) == ("kind interval", "kind manifest")


def test_parts_of_two_devices_are_bad_input(world: World, foreign: World) -> None:
    evidence = ReadingEvidence(
        reading=foreign.readings[0], path=(), interval=world.interval_evidence()
    )

    report = check(evidence, world.policy())

    assert report.verdict is Verdict.BAD_INPUT
    assert record_hash(foreign.readings[0]) != record_hash(world.readings[0])
