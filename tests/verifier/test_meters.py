"""Whose energy it is: a verdict says who vouches for which meter, and refuses one for another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal.evidence import encode_evidence
from meterseal_verifier.verdict import Report, Verdict
from meterseal_verifier.verify import verify
from support.world import World

if TYPE_CHECKING:
    from meterseal.evidence import IntervalEvidence


def judge(world: World, evidence: IntervalEvidence) -> Report:
    return verify(encode_evidence(evidence), world.policy(ledger=True))


def test_the_enrolment_and_the_device_vouch_for_the_meter_that_both_name(world: World) -> None:
    report = judge(world, world.interval_evidence(full=True))

    assert report.verdict is Verdict.OK
    assert "vouches for meter 20260001: the enrolment, and the device read the same" in (
        report.sentence
    )


def test_a_device_that_reads_another_meter_than_the_enrolled_one_cannot_be_checked() -> None:
    world = World.build(enrolment={"serials": ("20269999",)})

    report = judge(world, world.interval_evidence(full=True))

    assert report.verdict is Verdict.CANNOT_CHECK
    assert (report.expected, report.got) == ("meter 20269999", "meter 20260001")


def test_without_a_manifest_the_serial_number_is_the_enrolments_word_alone(world: World) -> None:
    evidence = replace(world.interval_evidence(full=True), manifest=None)

    assert "what the device itself read off is not in this file" in judge(world, evidence).sentence


def test_without_an_enrolment_only_the_device_vouches_for_its_meter(world: World) -> None:
    evidence = replace(world.interval_evidence(full=True), enrolment=None)

    assert "vouches for meter 20260001: the device alone." in judge(world, evidence).sentence


def test_an_enrolment_that_names_no_meter_vouches_for_none() -> None:
    world = World.build(enrolment={"serials": ()})

    report = judge(world, world.interval_evidence(full=True))

    assert report.verdict is Verdict.OK
    assert "vouches for meter 20260001: the device alone." in report.sentence


def test_where_neither_is_in_the_file_nothing_is_said_of_meters(world: World) -> None:
    assert (
        "for meter"
        not in judge(
            world, replace(world.interval_evidence(), ledger=world.ledger_proof())
        ).sentence
    )
