"""systemd hears one datagram each, and its absence is no trouble."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from meterseal_agent.sdnotify import Notifier

if TYPE_CHECKING:
    from pathlib import Path

PID = 42


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@meterseal-{uuid4()}"


def test_each_state_is_one_datagram(address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address[1:] if address.startswith("@") else address)
        manager.settimeout(5)
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": address}, PID)

        notifier.ready()
        notifier.status("signed 7 readings\nREADY=0")
        notifier.alive()
        notifier.stopping()

        assert [manager.recv(200) for _ in range(4)] == [
            b"READY=1",
            b"STATUS=signed 7 readings READY=0",
            b"WATCHDOG=1",
            b"STOPPING=1",
        ]


def test_without_a_manager_nothing_happens(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}):
        Notifier.from_environment(environment, PID).ready()
    gone = Notifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "gone")}, PID)

    gone.ready()


@pytest.mark.parametrize(
    ("usec", "owner", "seconds"),
    [("30000000", "42", 30.0), ("30000000", "43", None), ("soon", "42", None), ("", "42", None)],
)
def test_the_watchdog_is_ours_only_when_it_names_us(
    usec: str, owner: str, seconds: float | None
) -> None:
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": usec, "WATCHDOG_PID": owner}

    assert Notifier.from_environment(environment, PID).watchdog_s == seconds
