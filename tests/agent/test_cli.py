"""Every command: what it prints, and one clear sentence for whatever the operator got wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from meterseal.policy import TrustPolicy
from meterseal.records import record_hash
from meterseal_agent.__main__ import main
from meterseal_agent.store.lock import StoreLock
from meterseal_verifier.verdict import Offence
from meterseal_verifier.verify import verify
from support.small_log import SmallLog

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
[agent]
data_dir = "data"
marker_dir = "run"
interval_s = 60
tolerance_ms = 5000
read_every_s = 1
clock = "trusted"

[[bus]]
name = "rs485"
port = "/dev/absent"

[[meter]]
name = "grid"
bus = "rs485"
address = 1
profile = "eastron-sdm630"
role = "grid"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "meterseal.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def device(config: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A device that was born and has no record yet."""
    assert main(["init", "--config", str(config)]) == 0
    capsys.readouterr()
    return config


def test_init_prints_what_enrolment_needs(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--config", str(config), "--json"]) == 0

    facts = json.loads(capsys.readouterr().out)
    assert facts["new"]
    assert (len(facts["device"]), len(facts["public_key"])) == (32, 64)
    assert facts["name"] == f"ms-{facts['device'][:8]}"


def test_init_twice_is_one_device(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = (device.parent / "data" / "device.key").read_bytes()

    assert main(["init", "--config", str(device), "--json"]) == 0

    assert not json.loads(capsys.readouterr().out)["new"]
    assert (device.parent / "data" / "device.key").read_bytes() == key


def test_the_private_key_is_never_printed(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = (device.parent / "data" / "device.key").read_text().strip()

    main(["init", "--config", str(device)])
    main(["init", "--config", str(device), "--json", "--verbose"])

    printed = capsys.readouterr()
    assert seed not in printed.out + printed.err


def test_show_and_fsck_of_an_empty_store(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "--config", str(device)]) == 0
    assert main(["fsck", "--config", str(device), "--json"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "No such record yet."
    assert json.loads(lines[1])["faults"] == []


def test_alarms_are_listed_and_become_files(
    device: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, out = SmallLog(leaves=[record_hash(b"leaf")]), tmp_path / "offence.evidence"
    assert main(["show", "--alarms", "--config", str(device)]) == 0
    assert capsys.readouterr().out == "No alarm is kept.\n"
    rival = log.note(root=record_hash(b"another root"))
    with closing(sqlite3.connect(device.parent / "data" / "store.sqlite3")) as store, store:
        store.execute(
            "INSERT INTO alarm VALUES (1, 1795435300000, 'AGGREGATOR SPLIT VIEW', 'why', ?, ?)",
            (log.note(), rival),
        )

    export = ["export", "--alarm", "1", "--out", str(out), "--config", str(device)]
    assert "[aggregator]" in refused(export, capsys)
    pins = (
        f'[aggregator]\norigin = "{log.log.name}"\nhead_key = "{log.head_key.public.hex()}"\n'
        f'log_key = "{log.log.verifier.vkey}"\n'
    )
    device.write_text(CONFIG + pins)
    assert main(["show", "--alarms", "--json", "--config", str(device)]) == 0
    assert main([*export, "--json"]) == 0

    shown, told = map(json.loads, capsys.readouterr().out.splitlines())
    assert [one["verdict"] for one in shown["alarms"]] == ["AGGREGATOR SPLIT VIEW"]
    assert (told["claim"], told["bytes"]) == ("split view", out.stat().st_size)
    trust = TrustPolicy(log=log.policy())
    assert verify(out.read_bytes(), trust).offence is Offence.AGGREGATOR_SPLIT_VIEW


def test_a_half_finished_file_is_enough_for_init_and_not_for_run(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG + '[mqtt]\nhost = "broker.example"\n')

    assert main(["init", "--config", str(config)]) == 0
    capsys.readouterr()

    assert "[aggregator] table beside it" in refused(["run", "--config", str(config)], capsys)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail, and return its one sentence."""
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    return printed.err


def test_a_missing_configuration_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(["show", "--config", str(tmp_path / "absent.toml")], capsys)

    assert "absent.toml" in told


def test_an_unknown_key_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CONFIG.replace("read_every_s", "read_evry_s"))

    assert "read_evry_s" in refused(["init", "--config", str(config)], capsys)


def test_a_foreign_database_is_refused_and_left_alone(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = device.parent / "data" / "store.sqlite3"
    path.unlink()
    with closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE photographs (id INTEGER)")
    before = path.read_bytes()

    for command in ("run", "init", "show", "fsck"):
        assert "foreign database" in refused([command, "--config", str(device)], capsys)

    assert path.read_bytes() == before


def test_a_key_that_is_none_is_refused(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = device.parent / "data" / "device.key"
    key.chmod(0o600)
    key.write_text("abc")
    key.chmod(0o400)

    assert "expected 64 lower-case hex digits" in refused(["run", "--config", str(device)], capsys)


def test_a_store_without_its_key_is_not_given_a_new_one(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (device.parent / "data" / "device.key").unlink()

    assert "put the store's key back" in refused(["run", "--config", str(device)], capsys)
    assert not (device.parent / "data" / "device.key").exists()


def test_a_store_that_was_lost_does_not_begin_a_second_chain(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its key may have signed a chain that others hold; with nobody to ask nothing is signed."""
    (device.parent / "data" / "store.sqlite3").unlink()

    told = refused(["run", "--config", str(device)], capsys)

    assert "made later than its key" in told


def test_a_store_in_use_is_named(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StoreLock(device.parent / "data" / "store.lock"):
        told = refused(["run", "--config", str(device)], capsys)

    assert f"in use by process {os.getpid()}" in told


def test_a_busy_status_port_is_named(device: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        device.write_text(CONFIG + f'\n[status]\nhost = "127.0.0.1"\nport = {port}\n')

        assert str(port) in refused(["run", "--config", str(device)], capsys)


def test_what_is_not_there_cannot_be_exported(
    device: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.evidence"

    told = refused(["export", "--config", str(device), "--seq", "4", "--out", str(out)], capsys)

    assert "reading 4: not in this store" in told
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["export", "--out", "x"],
        ["export", "--seq", "1"],
        ["export", "--seq", "-1", "--out", "x"],
        ["export", "--seq", "1_000", "--out", "x"],
        ["export", "--interval", "yesterday", "--out", "x"],
        ["export", "--interval", "2026-13-01T00:00:00Z", "--out", "x"],
        ["show", "--kind", "rumour"],
    ],
)
def test_wrong_usage_exits_64(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 64
    assert "--help" in capsys.readouterr().err


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])

    assert caught.value.code == 0
    assert "examples:" in capsys.readouterr().out


class Running:
    """`meterseal-agent run` as a process, with its page."""

    def __init__(self, config: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config.write_text(CONFIG + f'\n[status]\nhost = "127.0.0.1"\nport = {self.port}\n')
        self._process = subprocess.Popen(  # noqa: S603 -- this interpreter, our own module
            [sys.executable, "-m", "meterseal_agent", "run", "--config", str(config)],
            stderr=subprocess.PIPE,
        )

    def status(self, epoch: int = 0) -> dict[str, object]:
        """The record part of the page's JSON, as soon as there is one of this epoch."""
        while True:
            assert self._process.poll() is None, self._process.communicate()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/status") as page:
                    record: dict[str, object] | None = json.load(page)["record"]
            except OSError:
                time.sleep(0.02)  # There is no other sign that the process listens.
                continue
            if record is not None and record["epoch"] == epoch:
                return record
            time.sleep(0.02)

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        self._process.communicate(timeout=20)
        return self._process.returncode


def test_without_meter_and_broker_it_runs_and_stops_cleanly(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = Running(device)

    record = agent.status()

    assert record["seq"] == 1
    assert agent.end(signal.SIGTERM) == 0
    assert main(["fsck", "--config", str(device)]) == 0
    assert "0 faults in 2 records" in capsys.readouterr().out


def test_after_kill_9_it_goes_on_in_the_same_epoch(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Running(device)
    first.status()
    first.end(signal.SIGKILL)

    second = Running(device)
    second.status()
    second.end(signal.SIGTERM)

    assert main(["fsck", "--config", str(device)]) == 0
    assert "in 2 records, 0 intervals, 1 epochs" in capsys.readouterr().out


def test_without_its_marker_it_opens_an_epoch(device: Path) -> None:
    """A power cut takes what lies in tmpfs; offline nobody knows whether the card is the newest."""
    first = Running(device)
    first.status()
    first.end(signal.SIGTERM)
    for mark in (device.parent / "run").iterdir():
        mark.unlink()

    second = Running(device)
    second.status(epoch=1)
    second.end(signal.SIGTERM)

    assert main(["fsck", "--config", str(device)]) == 0


def test_fsck_names_the_record_and_exits_non_zero(
    device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = Running(device)
    agent.status()
    agent.end(signal.SIGTERM)
    with closing(sqlite3.connect(device.parent / "data" / "store.sqlite3")) as store, store:
        store.execute("UPDATE record SET time_ms = time_ms + 1 WHERE place = 1")
    capsys.readouterr()

    assert main(["fsck", "--config", str(device)]) == 1

    assert capsys.readouterr().out.startswith("record 0/1: ")
