from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.bodies import (
    Event,
    EventCode,
    Gap,
    GapReason,
    KeyChange,
    MeterReading,
    MeterState,
    Reading,
    Restore,
    RestoreReason,
    S0Input,
)
from meterseal.errors import ProtocolError
from meterseal.evidence import encode_evidence
from meterseal.records import encode_record
from meterseal.statements import HeadStatement, encode_head
from meterseal.types import UnixMs
from meterseal_verifier.__main__ import main
from meterseal_verifier.content import as_json, as_lines
from meterseal_verifier.show import describe
from support.world import START_MS, Chain, World, key, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.bodies import Body

Output = pytest.CaptureFixture[str]
SIGNER = key("ours", "device")


def shown(body: Body) -> str:
    record = Chain(device=World.build().device).next_record(body, START_MS)
    return "\n".join(as_lines(describe(encode_record(record, SIGNER))))


def test_a_reading_is_shown_with_units_time_clock_and_state(world: World) -> None:
    text = "\n".join(as_lines(describe(world.readings[5])))

    assert "2026-11-23 15:15:50.120 UTC" in text
    assert "synchronised (2)" in text
    assert "good (G)" in text
    assert "energy import      1234.535 kWh" in text
    assert "voltage l1         231.400 V" in text


def test_a_meter_that_did_not_answer_shows_no_number() -> None:
    meter = MeterReading(meter=0, state=MeterState.TIMEOUT, offset_ms=0, values={}, raw={})

    text = shown(Reading(meters=(meter,)))

    assert "timeout (T)" in text
    assert "energy" not in text


def test_a_quantity_that_the_table_lacks_is_shown_by_its_code() -> None:
    meter = MeterReading(meter=0, state=MeterState.GOOD, offset_ms=0, values={999: 5}, raw={})

    assert "quantity 999  5" in shown(Reading(meters=(meter,)))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            Gap(
                start=UnixMs(START_MS),
                end=UnixMs(START_MS + 1),
                reason=GapReason.POWER_OFF,
                meter=None,
            ),
            "power off (2)",
        ),
        (Event(code=EventCode.TAMPER_CONTACT, detail=("open", 1, b"\x01", None)), "open, 1, 01"),
        (
            Restore(reason=RestoreReason.OFFLINE_START, nonce=bytes(16), missing=None),
            "offline start (1)",
        ),
        (KeyChange(public_key=SIGNER.public), "new key fingerprint"),
        (
            replace(manifest(SIGNER), s0=(S0Input(name="water", pulses_per_kwh=1000),)),
            "water",
        ),
    ],
)
def test_every_kind_of_record_is_shown(body: Body, words: str) -> None:
    assert words in shown(body)


def test_a_file_is_shown_without_being_judged(tmp_path: Path, world: World, capsys: Output) -> None:
    file = tmp_path / "forged.evidence"
    honest = world.reading_evidence(full=True)
    forged = replace(honest, reading=honest.reading[:-1] + bytes([honest.reading[-1] ^ 1]))
    file.write_bytes(encode_evidence(forged))

    status = main(["show", str(file)])

    out = capsys.readouterr().out
    assert status == 0
    assert out.startswith("Shown, not judged")
    assert all(
        title in out
        for title in (
            "The reading",
            "The interval",
            "checkpoint",
            "manifest",
            "enrolment",
            "ledger",
        )
    )


def test_json_says_that_nothing_was_judged(tmp_path: Path, world: World, capsys: Output) -> None:
    file = tmp_path / "interval.evidence"
    file.write_bytes(encode_evidence(world.interval_evidence()))

    assert main(["show", "--json", str(file)]) == 0

    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "meterseal-show/1"
    assert report["judged"] is False
    assert report["evidence"]["interval"]["rows"][0]["closing_import_wh"] == 1_235_130
    assert report["evidence"]["checkpoint"]["size"] == len(world.leaves)


def test_accusations_notes_and_statements_are_shown(world: World) -> None:
    head = HeadStatement(
        device=world.device,
        nonce=None,
        time=UnixMs(START_MS),
        last_record=world.readings[0],
        last_light=world.records[0],
        longest_delay_ms=1000,
    )
    shown_by_key = {
        describe(data).key
        for data in (
            encode_evidence(world.fork_evidence()),
            encode_evidence(world.split_view_evidence()),
            encode_evidence(World.build(key_changes=1).interval_evidence(full=True)),
            world.note(),
            world.enrolment,
            encode_head(head, key("ours", "head")),
            world.interval,
        )
    }

    assert shown_by_key == {"evidence", "checkpoint", "enrolment", "head", "record"}


def test_a_name_cannot_move_the_cursor() -> None:
    world = World.build("x\u202ey")  # turns the direction of writing

    lines = list(as_lines(describe(world.note())))

    assert all(line.isprintable() for line in lines)
    assert any("\\u202e" in line for line in lines)


@pytest.mark.parametrize("data", [b"", b"rubbish", bytes(65537), b"\xd2\x84", b"\xa0", b"a\n\nb\n"])
def test_what_is_nothing_of_ours_ends_with_13(tmp_path: Path, capsys: Output, data: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)

    assert main(["show", str(file)]) == 13
    assert capsys.readouterr().err.startswith("BAD INPUT. ")


@given(st.sampled_from([b"", b"\xd2\x84", b"\xa4\x00", b"a\n\n"]), st.binary(max_size=100))
def test_any_bytes_are_shown_or_refused(head: bytes, data: bytes) -> None:
    try:
        tree = describe(head + data)
    except ProtocolError:
        return
    json.dumps(as_json(tree))
