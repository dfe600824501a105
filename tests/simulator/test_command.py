"""The command: ready in one line, obedient while it runs, gone without a trace."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from meterseal_simulator.__main__ import main
from meterseal_simulator.control import command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def running(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, object]]]:
    words = [sys.executable, "-W", "error", "-m", "meterseal_simulator", *map(str, arguments)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own interpreter
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def test_a_house_answers_obeys_and_leaves_nothing_behind(tmp_path: Path) -> None:
    pty, control = tmp_path / "tty", tmp_path / "control"
    options = ["--pty", pty, "--baud", 115200, "--control", control, "--turnaround-ms", 1]
    with running("house", *options, "--start", "2026-06-21T10:00:00Z", "--speed", 60) as (
        process,
        ready,
    ):
        client = ModbusSerialClient(str(pty), baudrate=115_200, timeout=2, retries=0)
        assert client.connect()
        grid = client.read_input_registers(0, count=80, device_id=1)
        inverter = client.read_holding_registers(40_000, count=2, device_id=3)
        refusing = command(control, do="inject", fault="exception", code=4, unit=2)
        refused = client.read_input_registers(0, count=2, device_id=2)
        client.close()  # type: ignore[no-untyped-call]
        state = command(control, do="state")
        process.send_signal(signal.SIGTERM)
        status = process.wait(10)

    assert ready["ready"] is True
    assert ready["pty"] == str(pty)
    assert len(grid.registers) == 80
    assert inverter.registers == [0x5375, 0x6E53]
    assert refusing["ok"] is True
    assert refused.exception_code == 4
    assert state["requests"] == {"1": 1, "2": 1, "3": 1}
    assert status == 0
    assert not pty.is_symlink()
    assert not control.exists()


def test_a_replay_serves_several_recordings_over_tcp(vectors: Callable[[str], Path]) -> None:
    folder = vectors("dumps/normalised")
    files = [
        folder / "eastron_sdm630_meterproxy16.json",
        folder / "sunspec_solaredge_se10k_rws_evcc12708.json",
    ]
    with running("replay", *files, "--tcp", 0, "--turnaround-ms", 0) as (process, ready):
        port = ready["tcp_port"]
        assert isinstance(port, int)
        client = ModbusTcpClient("127.0.0.1", port=port, retries=0)
        assert client.connect()  # type: ignore[no-untyped-call]
        meter = client.read_input_registers(0x0156, count=2, device_id=5)
        absent = client.read_input_registers(0x0048, count=2, device_id=5)
        solar_edge = client.read_holding_registers(40_069, count=2, device_id=1)
        client.close()  # type: ignore[no-untyped-call]
        process.send_signal(signal.SIGINT)
        status = process.wait(10)

    assert meter.registers == [17571, 30228]
    assert absent.exception_code == 2
    assert solar_edge.registers == [103, 50]
    assert status == 0


def test_a_command_that_makes_no_sense_is_refused_and_says_what_was_expected(
    tmp_path: Path, vectors: Callable[[str], Path]
) -> None:
    file = vectors("dumps/normalised/eastron_sdm630_meterproxy16.json")
    control = tmp_path / "control"
    refused: list[tuple[dict[str, object], str]] = [
        ({"do": "dance"}, "expected"),
        ({"do": "inject", "fault": "gremlin"}, "gremlin"),
        ({"do": "inject", "fault": "late"}, "delay_s"),
        ({"do": "inject", "fault": "late", "delay_s": "0.4"}, "delay_s is '0.4'"),
        ({"do": "inject", "fault": "late", "delay_s": 0.4, "colour": 3}, "colour"),
        ({"do": "inject", "fault": "foreign-unit", "as_unit": 256}, "unit is 256"),
        ({"do": "inject", "fault": "dead", "times": True}, "times is True"),
    ]
    with running("replay", file, "--tcp", 0, "--control", control):
        for words, expected in refused:
            answer = command(control, **words)
            assert answer["ok"] is False
            assert expected in str(answer["error"])
        accepted = command(control, do="inject", fault="wrong-function", as_function=3, times=None)
        faults = command(control, do="state")["faults"]
        cleared = command(control, do="clear")

    assert accepted == {"ok": True, "number": 1}
    assert isinstance(faults, list)
    assert faults[0]["fault"] == "WrongFunction"
    assert cleared == {"ok": True}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["palace"],
        ["house"],
        ["house", "--pty", "x", "--tcp", "1"],
        ["house", "--tcp", "65536"],
        ["house", "--tcp", "0", "--speed", "0"],
        ["house", "--tcp", "0", "--speed", "1/0"],
        ["house", "--tcp", "0", "--start", "yesterday"],
        ["house", "--tcp", "0", "--pv-kwp", "nan"],
        ["house", "--tcp", "0", "--baud", "9601"],
        ["replay", "--tcp", "0"],
    ],
)
def test_wrong_usage_ends_with_64_and_a_hint(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 64
    assert "--help" in capsys.readouterr().err


def test_a_taken_port_ends_with_1_and_one_sentence(
    capsys: pytest.CaptureFixture[str], vectors: Callable[[str], Path]
) -> None:
    file = vectors("dumps/normalised/eastron_sdm630_meterproxy16.json")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status = main(["replay", str(file), "--tcp", port])

    error = capsys.readouterr().err
    assert status == 1
    assert f"port {port}" in error
    assert len(error.splitlines()) == 1


def test_a_file_that_is_no_recording_ends_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a recording")

    assert main(["replay", str(path), "--tcp", "0"]) == 1
    assert "expected a recording" in capsys.readouterr().err


def test_help_shows_examples_and_needs_no_physics(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    assert ended.value.code == 0
    assert "meterseal-simulator house --pty" in capsys.readouterr().out
