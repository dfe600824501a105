"""An adapter is found again by a name that stays, whatever the kernel calls it next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal_agent.bus.adapter import Adapter

if TYPE_CHECKING:
    from pathlib import Path

FTDI = "usb-FTDI_FT232R_USB_UART_A9XK-if00-port0"
CLONE = "usb-1a86_USB_Serial-if00-port0"
SOCKET_1 = "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.1:1.0-port0"
SOCKET_2 = "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0-port0"


def plug(dev: Path, name: str, *, by_id: str | None, by_path: str) -> None:
    """Make the nodes and links that udev makes for an adapter."""
    (dev / name).touch()
    for kind, link in (("by-id", by_id), ("by-path", by_path)):
        if link is not None:
            folder = dev / "serial" / kind
            folder.mkdir(parents=True, exist_ok=True)
            (folder / link).unlink(missing_ok=True)
            (folder / link).symlink_to(f"../../{name}")


def unplug(dev: Path, name: str) -> None:
    for link in (dev / "serial").glob("*/*"):
        if link.resolve() == dev / name:
            link.unlink()
    (dev / name).unlink()


def test_a_kernel_name_is_remembered_by_id(tmp_path: Path) -> None:
    plug(tmp_path, "ttyUSB0", by_id=FTDI, by_path=SOCKET_1)
    adapter = Adapter(port=str(tmp_path / "ttyUSB0"), dev=tmp_path)
    assert adapter.path == str(tmp_path / "ttyUSB0")

    adapter.opened()
    unplug(tmp_path, "ttyUSB0")
    plug(tmp_path, "ttyUSB0", by_id=CLONE, by_path=SOCKET_2)
    plug(tmp_path, "ttyUSB1", by_id=FTDI, by_path=SOCKET_1)

    stable = tmp_path / "serial/by-id" / FTDI
    assert adapter.path == str(stable)
    assert stable.resolve() == tmp_path / "ttyUSB1"
    assert adapter.warning() == ""


def test_clones_are_told_apart_by_their_sockets(tmp_path: Path) -> None:
    # udev has one name for both, and gave it to the second.
    plug(tmp_path, "ttyUSB0", by_id=CLONE, by_path=SOCKET_1)
    plug(tmp_path, "ttyUSB1", by_id=CLONE, by_path=SOCKET_2)
    adapter = Adapter(port=str(tmp_path / "ttyUSB0"), dev=tmp_path)

    adapter.opened()

    assert adapter.path == str(tmp_path / "serial/by-path" / SOCKET_1)


def test_a_port_by_an_id_that_two_share_is_warned_of(tmp_path: Path) -> None:
    plug(tmp_path, "ttyUSB0", by_id=CLONE, by_path=SOCKET_1)
    adapter = Adapter(port=str(tmp_path / "serial/by-id" / CLONE), dev=tmp_path)
    adapter.opened()
    assert adapter.warning() == ""

    plug(tmp_path, "ttyUSB1", by_id=CLONE, by_path=SOCKET_2)

    assert "share an id" in adapter.warning()
    assert SOCKET_1 in adapter.warning()


def test_a_configured_link_is_opened_as_it_is(tmp_path: Path) -> None:
    plug(tmp_path, "ttyUSB0", by_id=FTDI, by_path=SOCKET_1)
    rule = tmp_path / "ttyRS485"
    rule.symlink_to("ttyUSB0")
    adapter = Adapter(port=str(rule), dev=tmp_path)

    adapter.opened()

    assert adapter.path == str(rule)


def test_a_built_in_port_without_other_names_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "ttyAMA0").touch()
    adapter = Adapter(port=str(tmp_path / "ttyAMA0"), dev=tmp_path)

    adapter.opened()

    assert adapter.path == str(tmp_path / "ttyAMA0")
    assert adapter.warning() == ""
