"""What is tried, in which order, and on which ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal_agent.bus.settings import SerialLine
from meterseal_agent.scan.found import setting
from meterseal_agent.scan.ports import has_parity, serial_ports
from meterseal_agent.scan.settings import BAUDS, PARITIES, lines, units

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_agent.profiles import Profile


def test_quick_tries_the_usual_settings_the_commonest_first(
    profiles: tuple[Profile, ...],
) -> None:
    tried = [setting(line) for line in lines("/dev/ttyUSB0", profiles, quick=True)]

    assert tried == ["9600 8N1", "9600 8E1", "19200 8N1", "19200 8E1", "2400 8N1"]
    assert units(profiles, quick=True) == tuple(range(1, 11))


def test_full_tries_every_setting_once_and_factory_settings_first(
    profiles: tuple[Profile, ...],
) -> None:
    tried = lines("/dev/ttyUSB0", profiles, quick=False)

    known = {(one.factory.baud, one.factory.parity) for one in profiles if one.factory.baud}
    pairs = [(line.baud, line.parity) for line in tried if isinstance(line, SerialLine)]
    assert pairs[0] == (9600, "N")
    assert set(pairs[: len(known)]) >= {pair for pair in known if pair[1]}
    assert len(pairs) == len(set(pairs)) == len(BAUDS) * len(PARITIES)


def test_full_asks_every_address_once_and_factory_addresses_early(
    profiles: tuple[Profile, ...],
) -> None:
    asked = units(profiles, quick=False)

    assert sorted(asked) == list(range(1, 248))
    assert asked[:10] == tuple(range(1, 11))
    assert asked.index(247) < 30


def test_a_person_may_narrow_it(profiles: tuple[Profile, ...]) -> None:
    tried = lines("/dev/ttyUSB0", profiles, quick=False, bauds=[19200], parities=["E"])

    assert [setting(line) for line in tried] == ["19200 8E1"]
    assert units(profiles, quick=True, only=[42, 7, 42]) == (42, 7)


def make_dev(folder: Path, links: dict[str, str]) -> Path:
    for number in range(3):
        (folder / f"ttyUSB{number}").touch()
    for name, target in links.items():
        link = folder / "serial" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder / target)
    return folder


def test_ports_are_listed_once_under_the_name_that_stays(tmp_path: Path) -> None:
    dev = make_dev(
        tmp_path,
        {
            "by-id/usb-FTDI_A-port0": "ttyUSB0",
            "by-path/pci-usb-0:1-port0": "ttyUSB0",
            "by-id/usb-FTDI_B-port0": "ttyUSB1",
            "by-path/pci-usb-0:2-port0": "ttyUSB1",
        },
    )

    found = serial_ports(dev)

    assert [name.removeprefix(str(dev)) for name in found] == [
        "/serial/by-id/usb-FTDI_A-port0",
        "/serial/by-id/usb-FTDI_B-port0",
        "/ttyUSB2",
    ]


def test_clones_that_share_an_id_are_told_apart_by_their_sockets(tmp_path: Path) -> None:
    dev = make_dev(
        tmp_path,
        {
            "by-id/usb-1a86-port0": "ttyUSB1",
            "by-path/pci-usb-0:1-port0": "ttyUSB0",
            "by-path/pci-usb-0:2-port0": "ttyUSB1",
        },
    )

    found = serial_ports(dev)

    assert [name.removeprefix(f"{dev}/serial/") for name in found[:2]] == [
        "by-path/pci-usb-0:1-port0",
        "by-path/pci-usb-0:2-port0",
    ]


def test_a_pseudo_terminal_has_no_parity(tmp_path: Path) -> None:
    link = tmp_path / "ttyRS485"
    link.symlink_to("/dev/pts/7")

    assert not has_parity(str(link))
    assert has_parity(str(tmp_path / "ttyUSB0"))
