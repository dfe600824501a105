"""The command `meterseal-agent scan`, over a real pseudo-terminal and real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from meterseal_agent.__main__ import main
from meterseal_agent.config import load
from meterseal_simulator.faults import BadChecksum, Trigger
from support.motley import golden_slave, pty_line
from support.wire import tcp_wire

if TYPE_CHECKING:
    from pathlib import Path

SLOW = (9600, "N")
FAST = (19200, "N")


def scan(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    status = main(["scan", "--json", *arguments])
    output = capsys.readouterr()
    return status, json.loads(output.out) if output.out else {}, output.err


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_five_models_at_two_speeds_are_named_and_configured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = {
        3: (SLOW, "abb-b23"),
        7: (SLOW, "carlo-gavazzi-em340"),
        42: (SLOW, "wago-879-3000"),
        1: (FAST, "eastron-sdm120"),
        5: (FAST, "schneider-iem3155"),
    }
    meters = {unit: (setting, golden_slave(name)) for unit, (setting, name) in expected.items()}
    file = tmp_path / "new.toml"
    with pty_line(tmp_path, meters) as line:
        status, said, errors = scan(
            capsys, "--port", line.port, "--baud", "9600", "--baud", "19200",
            "--addresses", "1-10,42", "--write", str(file),
        )  # fmt: skip

    assert status == 0
    assert errors == ""
    assert {
        one["address"]: ((one["baud"], one["parity"]), one["candidates"][0]["profile"])
        for one in said["meters"]
        if one["verdict"] == "exact"
    } == expected
    assert line.functions == {3, 4}
    assert [one.address for one in load(file).meters] == [3, 7, 42]


def test_a_scan_says_in_plain_words_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meters = {2: (SLOW, golden_slave("abb-b23")), 3: (SLOW, golden_slave("wago-879-3000"))}
    with pty_line(tmp_path, meters) as line:
        line.bus.faults.arm(BadChecksum(), Trigger(unit=3, times=None))
        status = main(["scan", "--port", line.port, "--baud", "9600", "--addresses", "1-3"])

    output = capsys.readouterr()
    assert status == 1
    assert "address 2: ABB B23, serial number 100000" in output.out
    assert "import 8567.2 kWh" in output.out
    assert "address 3 answers garbled" in output.out
    assert "9600 8N1: 1 of 3 addresses answer, 1 garbled" in output.err


def test_the_ports_of_a_configuration_are_scanned_and_what_is_new_is_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meters = {1: (SLOW, golden_slave("abb-b23")), 2: (SLOW, golden_slave("wago-879-3000"))}
    before = tmp_path / "meterseal.toml"
    after = tmp_path / "new.toml"
    with pty_line(tmp_path, meters) as line:
        before.write_text(
            f'[agent]\ndata_dir = "d"\nmarker_dir = "/run/m"\n[[bus]]\nname = "hall"\n'
            f'port = "{line.port}"\n[[meter]]\nname = "grid"\nbus = "hall"\naddress = 1\n'
            'profile = "abb-b23"\nrole = "grid"\n'
        )
        status, _, _ = scan(
            capsys, "--config", str(before), "--write", str(after), "--baud", "9600",
            "--addresses", "1-2",
        )  # fmt: skip

    assert status == 0
    assert after.read_text().startswith(before.read_text())
    assert [(one.bus, one.address, one.profile) for one in load(after).meters] == [
        ("hall", 1, "abb-b23"),
        ("hall", 2, "wago-879-3000"),
    ]


def test_what_was_found_before_ctrl_c_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The person presses Ctrl-C while address 9 is asked at the second speed."""
    with pty_line(tmp_path, {1: (SLOW, golden_slave("abb-b23"))}) as line:
        current = line.current

        def pressed() -> tuple[int, str | None]:
            if current()[0] == FAST[0] and line.requests[-1].unit == 9:
                os.kill(os.getpid(), signal.SIGINT)
            return current()

        line.current = pressed
        status, said, errors = scan(
            capsys, "--port", line.port, "--baud", "9600", "--baud", "19200",
            "--addresses", "1,9-20",
        )  # fmt: skip

    assert status == 130
    assert "Interrupted" in errors
    assert [one["candidates"][0]["profile"] for one in said["meters"]] == ["abb-b23"]
    assert [one["finished"] for one in said["settings"]] == [True, False]
    assert line.requests[-1].unit == 9


def test_a_file_that_is_there_is_not_scanned_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text("mine")

    status, _, errors = scan(capsys, "--write", str(tmp_path / "mine.toml"), "--port", "/dev/null")

    assert status == 1
    assert "expected no such file" in errors


def test_a_port_that_is_not_there_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    status, said, _ = scan(capsys, "--port", "/dev/serial/by-id/absent", "--quick")

    assert status == 1
    assert said["meters"] == []
    assert "expected a serial port, got no such device" in said["hints"][0]


@pytest.mark.parametrize("wrong", ["0-5", "5-1", "1-", "300", "a", "1,,2", "\u0661"])
def test_addresses_that_are_none_are_refused(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["scan", "--addresses", wrong])

    assert stopped.value.code == 64
    assert "expected addresses such as" in capsys.readouterr().err


@pytest.mark.parametrize("framing", ["tcp", "rtu-over-tcp"])
async def test_a_gateway_is_scanned_under_either_framing(
    framing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    slaves = {2: golden_slave("abb-b23")}
    async with tcp_wire(slaves, "tcp" if framing == "tcp" else "rtu-over-tcp") as (port, _):
        status, said, _ = await asyncio.to_thread(
            scan, capsys, "--host", "127.0.0.1", "--tcp-port", str(port), "--addresses", "1-2"
        )

    assert status == 0
    (one,) = said["meters"]
    assert (one["kind"], one["address"], one["verdict"]) == (framing, 2, "exact")


async def test_a_device_that_answers_whatever_unit_is_asked_is_listed_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    slaves = dict.fromkeys(range(1, 31), golden_slave("abb-b23"))
    async with tcp_wire(slaves, "tcp") as (port, _):
        _, said, _ = await asyncio.to_thread(
            scan, capsys, "--host", "127.0.0.1", "--tcp-port", str(port), "--addresses", "1-30"
        )

    (one,) = said["meters"]
    assert (one["address"], one["also_at"]) == (1, list(range(2, 31)))
