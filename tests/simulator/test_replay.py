"""Recordings of real devices, read in place: what they lack is absent, never zero."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.replay import load_recording, slaves_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = {"device": "x", "unit_id": 1, "function": 4, "registers": {"7": 3}, "expected": {}}


def read(function: int, address: int, count: int) -> bytes:
    return struct.pack(">BHH", function, address, count)


def test_every_recording_answers_with_each_word_it_holds(vectors: Callable[[str], Path]) -> None:
    paths = [
        path
        for path in sorted(vectors("dumps/normalised").glob("*.json"))
        if not path.name.startswith("series_")
    ]
    assert len(paths) > 40

    for path in paths:
        recording = load_recording(path)
        slave = slaves_of([recording])[recording.unit]
        for address, word in recording.registers.items():
            answer = slave.answer(read(recording.function, address, 1))
            assert answer == struct.pack(">BBH", recording.function, 2, word), path.name


def test_every_recording_refuses_the_registers_around_it(vectors: Callable[[str], Path]) -> None:
    for path in sorted(vectors("dumps/normalised").glob("[!s]*.json")):
        recording = load_recording(path)
        slave = slaves_of([recording])[recording.unit]
        held = recording.registers
        gaps = {at + 1 for at in held if at < 0xFFFF} - held.keys()
        for address in sorted(gaps)[:50]:
            refused = bytes([recording.function | 0x80, 2])
            assert slave.answer(read(recording.function, address, 1)) == refused
            assert slave.answer(read(recording.function, address - 1, 2)) == refused


def test_the_recorded_sdm630_counts_what_was_printed(vectors: Callable[[str], Path]) -> None:
    path = vectors("dumps/normalised/eastron_sdm630_meterproxy16.json")
    expected = json.loads(path.read_text())["expected"]
    slave = slaves_of([load_recording(path)])[5]

    for address, kwh in expected.items():
        answer = slave.answer(read(4, int(address, 16), 2))
        assert struct.unpack(">f", answer[2:])[0] == kwh
    assert slave.answer(read(4, 0x0048, 2)) == b"\x84\x02"
    assert slave.answer(read(3, 0x0156, 2)) == b"\x83\x01"


def test_recordings_of_several_functions_make_one_slave(tmp_path: Path) -> None:
    paths = []
    for function in (3, 4):
        paths.append(tmp_path / f"{function}.json")
        paths[-1].write_text(json.dumps(GOOD | {"function": function}))

    slaves = slaves_of([load_recording(path) for path in paths])

    assert set(slaves) == {1}
    assert slaves[1].answer(read(3, 7, 1)) == b"\x03\x02\x00\x03"
    assert slaves[1].answer(read(4, 7, 1)) == b"\x04\x02\x00\x03"


def test_two_recordings_of_one_function_of_one_unit_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in paths:
        path.write_text(json.dumps(GOOD))

    with pytest.raises(SimulatorError, match=r"b\.json: unit 1, function 4 .*a\.json"):
        slaves_of([load_recording(path) for path in paths])


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "no registers"),
        ('{"rows": []}', "time series"),
        (json.dumps(GOOD | {"function": 6}), "function"),
        (json.dumps(GOOD | {"function": 2}), "function 2"),
        (json.dumps(GOOD | {"unit_id": 0}), "broadcasts"),
        (json.dumps(GOOD | {"unit_id": True}), "unit_id is True"),
        (json.dumps(GOOD | {"unit_id": 248}), "unit_id is 248"),
        (json.dumps(GOOD | {"registers": {}}), "table"),
        (json.dumps(GOOD | {"registers": {"-1": 0}}), "address '-1'"),
        (json.dumps(GOOD | {"registers": {"٣": 0}}), "address"),
        (json.dumps(GOOD | {"registers": {"1": 65536}}), "65536"),
        (json.dumps(GOOD | {"registers": {"1": 1.0}}), "1.0"),
        (json.dumps(GOOD | {"registers": {"1": None}}), "None"),
    ],
)
def test_what_is_not_a_recording_is_named_and_refused(
    tmp_path: Path, content: str, found: str
) -> None:
    path = tmp_path / "odd.json"
    path.write_text(content)

    with pytest.raises(SimulatorError, match=found) as caught:
        load_recording(path)

    assert str(path) in str(caught.value)


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="cannot be read"):
        load_recording(tmp_path / "none.json")
