"""The written configuration: accepted by the agent's reader, and nothing in it that is a guess."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meterseal_agent.bus.settings import SerialLine, TcpLine
from meterseal_agent.config import load, parse
from meterseal_agent.errors import AgentError, ConfigError
from meterseal_agent.scan.found import Candidate, Found, LineReport, Proof
from meterseal_agent.scan.write import document, save

if TYPE_CHECKING:
    from meterseal_agent.bus.settings import Line

HERE = Path("/etc/meterseal/new.toml")
SLOW = SerialLine(port="/dev/serial/by-id/usb-FTDI-port0", baud=9600)
FAST = SerialLine(port="/dev/serial/by-id/usb-FTDI-port0", baud=19200, parity="E")
LAN = TcpLine(host="192.0.2.7", tcp_port=1502, rtu=True)


def candidate(
    profile: str = "abb-b23", proof: Proof = Proof.IDENTITY, direction: str = "meter"
) -> Candidate:
    return Candidate(
        profile=profile,
        make="ABB",
        model='B23 "112"\n[agent]',
        direction=direction,
        proof=proof,
        serial="100000",
        values={"power_w": 5},
    )


def found(line: Line, address: int, *candidates: Candidate) -> Found:
    return Found(line=line, address=address, latency_s=0.02, candidates=candidates)


def report(line: Line, *devices: Found) -> LineReport:
    return LineReport(line=line, asked=10, found=list(devices))


def test_what_is_written_is_read_back_as_what_was_found(tmp_path: Path) -> None:
    ports = [
        [
            report(
                SLOW,
                found(SLOW, 3, candidate()),
                found(SLOW, 7, candidate("carlo-gavazzi-em340")),
                found(SLOW, 9, candidate("sma-inverter", direction="inverter")),
            )
        ],
        [report(LAN, found(LAN, 1, candidate("wago-879-3000")))],
    ]
    save(tmp_path / "new.toml", document(ports))

    config = load(tmp_path / "new.toml", {})

    assert [bus.line.label for bus in config.buses] == [SLOW.port, "192.0.2.7:1502"]
    assert [(one.bus, one.address, one.profile, one.role) for one in config.meters] == [
        ("rs485", 3, "abb-b23", "grid"),
        ("rs485", 7, "carlo-gavazzi-em340", "load"),
        ("rs485", 9, "sma-inverter", "pv"),
        ("tcp", 1, "wago-879-3000", "load"),
    ]
    assert "choose: grid, pv, load or battery" in (tmp_path / "new.toml").read_text()


def test_a_model_that_is_a_choice_is_not_switched_on() -> None:
    two = (candidate("carlo-gavazzi-em24"), candidate("carlo-gavazzi-em24-pfa"))
    text = document([[report(SLOW, found(SLOW, 3, candidate()), found(SLOW, 4, *two))]])

    config = parse(text, HERE)

    assert [one.address for one in config.meters] == [3]
    assert '"carlo-gavazzi-em24" or "carlo-gavazzi-em24-pfa"' in text
    assert '# profile = "carlo-gavazzi-em24"' in text


def test_a_device_of_unknown_model_stays_a_remark() -> None:
    text = document([[report(SLOW, found(SLOW, 3, candidate()), found(SLOW, 4))]])

    assert len(parse(text, HERE).meters) == 1
    assert "# Address 4" in text


def test_a_bus_has_one_speed_and_the_others_are_remarks() -> None:
    reports = [
        report(FAST, found(FAST, 1, candidate())),
        report(SLOW, found(SLOW, 3, candidate()), found(SLOW, 7, candidate())),
    ]
    text = document([reports])

    config = parse(text, HERE)

    assert [bus.line for bus in config.buses] == [
        SerialLine(port=SLOW.port, baud=9600, timeout_s=1.0, quiet_s=1.5)
    ]
    assert [one.address for one in config.meters] == [3, 7]
    assert "It answers at 19200 8E1. Set it to 9600 8N1 at its display" in text


def test_an_adapter_that_echoes_is_written_so() -> None:
    heard = report(SLOW, found(SLOW, 3, candidate()))
    heard.echo = True

    (bus,) = parse(document([[heard]]), HERE).buses

    assert isinstance(bus.line, SerialLine)
    assert bus.line.echo


def test_what_a_device_says_of_itself_cannot_become_configuration() -> None:
    text = document([[report(SLOW, found(SLOW, 3, candidate()))]])

    assert len([row for row in text.splitlines() if row.startswith("[")]) == 3


def test_an_existing_configuration_keeps_every_word(tmp_path: Path) -> None:
    before = (
        '[agent]\ndata_dir = "d"  # mine\nmarker_dir = "/run/m"\n\n'
        f'[[bus]]\nname = "hall"\nport = "{SLOW.port}"\n\n'
        '[[meter]]\nname = "grid"\nbus = "hall"\naddress = 3\nprofile = "abb-b23"\nrole = "grid"\n'
        "\n[status]\nport = 8081\n"
    )
    path = tmp_path / "meterseal.toml"
    path.write_text(before)
    devices = (found(SLOW, 3, candidate()), found(SLOW, 4, candidate()))

    text = document([[report(SLOW, *devices)]], before, load(path, {}))

    config = parse(text, path)
    assert text.startswith(before)
    assert [(one.name, one.bus, one.address, one.role) for one in config.meters] == [
        ("grid", "hall", 3, "grid"),
        ("load", "hall", 4, "load"),
    ]
    assert len(config.buses) == 1


def test_nothing_new_leaves_an_existing_configuration_as_it_is(tmp_path: Path) -> None:
    first = document([[report(SLOW, found(SLOW, 3, candidate()))]])
    path = tmp_path / "meterseal.toml"
    path.write_text(first)

    again = document([[report(SLOW, found(SLOW, 3, candidate()))]], first, load(path, {}))

    assert again == first


def test_no_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "meterseal.toml"
    path.write_text("mine")
    text = document([[report(SLOW, found(SLOW, 3, candidate()))]])

    with pytest.raises(AgentError, match="nothing is replaced"):
        save(path, text)

    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_reader_refuses_is_not_written(tmp_path: Path) -> None:
    text = document([[report(SLOW, found(SLOW, 4))]])

    with pytest.raises(ConfigError, match="at least one meter"):
        save(tmp_path / "new.toml", text)

    assert not list(tmp_path.iterdir())
