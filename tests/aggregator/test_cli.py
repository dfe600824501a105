"""The command line and its configuration: one clear sentence, a non-zero exit, nothing lost."""

from __future__ import annotations

import json
import stat
import tomllib
from typing import TYPE_CHECKING

import pytest

from meterseal.policy import parse_policy
from meterseal_aggregator import config
from meterseal_aggregator.cli import main
from meterseal_aggregator.errors import ConfigError
from meterseal_aggregator.options import parser
from support.gateway import Gateway

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

GOOD = """
[aggregator]
data_dir = "{folder}/data"
origin = "log.test/meterseal"
[mqtt]
host = "127.0.0.1"
port = 1883
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "aggregator.toml"
    path.write_text(GOOD.format(folder=tmp_path))
    return path


def run(file: Path, *arguments: str) -> int:
    command, *rest = arguments
    return main([command, "--config", str(file), *rest])


def enrol(file: Path, gateway: Gateway) -> int:
    return run(
        file, "enrol", "--device", gateway.id.hex(), "--public-key", gateway.genesis.hex(),
        "--metering-point", "DE0001", "--serial", "20260001", "--json",
    )  # fmt: skip


def test_init_creates_keys_that_only_their_owner_reads_and_never_writes_over_them(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(file, "init", "--json") == 0
    first = json.loads(capsys.readouterr().out)
    keys = file.parent / "data" / "keys"
    contents = {path.name: path.read_bytes() for path in keys.iterdir()}

    assert run(file, "init", "--json") == 0

    second = json.loads(capsys.readouterr().out)
    assert len(first.pop("created")) == 5
    assert second.pop("created") == []
    assert first == second
    assert contents == {path.name: path.read_bytes() for path in keys.iterdir()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.iterdir()} == {0o400}


def test_enrolling_twice_is_one_statement(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(file, "init")
    capsys.readouterr()

    assert enrol(file, Gateway()) == enrol(file, Gateway()) == 0

    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["new"], second["new"]) == (True, False)
    assert first["statement"] == second["statement"]


def test_devices_fsck_log_trust_and_evidence_speak_for_a_fresh_store(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(file, "init")
    enrol(file, Gateway())
    capsys.readouterr()

    assert run(file, "devices", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], row["stored"]) == ("enrolled", 0)
    for command in ("devices", "fsck", "log", "evidence"):
        assert run(file, command) == 0
    capsys.readouterr()
    assert run(file, "trust") == 0
    policy = parse_policy(capsys.readouterr().out)
    assert policy.devices == {Gateway().id: Gateway().genesis}


def test_the_operators_word_for_a_store_must_name_its_size_and_is_shown_in_the_log(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f'origin = "log.test/meterseal"\nmarker_dir = "{file.parent}"'
    file.write_text(file.read_text().replace('origin = "log.test/meterseal"', text))
    run(file, "init")
    capsys.readouterr()

    assert run(file, "confirm", "--size", "5") == 1
    assert "has size 0" in capsys.readouterr().err
    assert run(file, "confirm", "--size", "0", "--json") == 0
    assert json.loads(capsys.readouterr().out)["marker"].startswith(str(file.parent))
    assert run(file, "log", "--json") == 0
    (confirmed,) = json.loads(capsys.readouterr().out)["confirmed"]
    assert confirmed.startswith("size 0 at ")


def test_fsck_of_a_damaged_store_ends_with_14(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(file, "init")
    enrol(file, Gateway())
    with config_store(file) as store:
        store._connection.execute("UPDATE enrolment SET statement = zeroblob(9)")

    assert run(file, "fsck") == 14
    assert "enrolment" in capsys.readouterr().out


def test_an_id_that_is_not_the_keys_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(file, "init")

    status = run(
        file, "enrol", "--device", "00" * 16, "--public-key", Gateway().genesis.hex(),
        "--metering-point", "x",
    )  # fmt: skip

    assert status == 1
    said = capsys.readouterr().err
    assert Gateway().id.hex() in said
    assert "`meterseal-agent init` prints them" in said


@pytest.mark.parametrize("digits", ["", "0", "ZZ" * 16, "00" * 15, "00 " * 16])
def test_what_is_not_hex_of_the_right_length_is_a_usage_error(file: Path, digits: str) -> None:
    assert (
        run(file, "enrol", "--device", digits, "--public-key", "x", "--metering-point", "x") == 64
    )


def test_commands_before_init_name_init(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "devices", "fsck", "trust", "evidence", "log"):
        assert run(file, command) == 1
        assert "meterseal-aggregator init" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--role", "wind"),
        ("--metering-point", ""),
        ("--metering-point", "x" * 65),
        ("--metering-point", "ä" * 33),
        ("--metering-point", '""'),
        ("--metering-point", "DE\u202e1"),
        ("--metering-point", "DE1\n"),
        ("--metering-point", " DE1"),
        ("--metering-point", "DE\udcff"),
        ("--serial", "''"),
        ("--replaces", "x"),
    ],
)
def test_what_a_statement_must_not_say_is_a_usage_error(
    file: Path, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    run(file, "init")
    capsys.readouterr()

    status = run(
        file, "enrol", "--device", Gateway().id.hex(), "--public-key", Gateway().genesis.hex(),
        "--metering-point", "DE1", option, value, *(["y"] if option == "--replaces" else []),
    )  # fmt: skip

    assert status == 64
    assert f"argument {option}: " in capsys.readouterr().err
    assert run(file, "devices", "--json") == 0
    assert capsys.readouterr().out == "[]\n"


def test_enrolling_at_another_metering_point_says_that_it_moves_the_device(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(file, "init")
    device = ("--device", Gateway().id.hex(), "--public-key", Gateway().genesis.hex())
    run(file, "enrol", *device, "--metering-point", "DE1")
    assert "moved_from        -" in capsys.readouterr().out

    run(file, "enrol", *device, "--metering-point", "DE2")
    said = capsys.readouterr().out
    run(file, "enrol", *device, "--metering-point", "DE3", "--json")
    facts = json.loads(capsys.readouterr().out)

    assert f"moves device {Gateway().id.hex()} from DE1 to DE2" in said
    assert "True" not in said
    assert (facts["moved_from"], facts["metering_point"]) == ("DE2", "DE3")


def test_a_folder_that_cannot_be_written_is_one_sentence_in_words(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.parent.joinpath("data").write_text("a file in the way")

    assert run(file, "init") == 1

    said = capsys.readouterr().err
    assert "data_dir" in said
    assert "Errno" not in said


def test_text_says_yes_no_and_nothing_in_words(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(file, "init")
    capsys.readouterr()

    assert run(file, "log") == 0

    said = capsys.readouterr().out
    assert "ledger_proof      no" in said
    assert "checkpoint        -" in said


def test_a_foreign_database_is_not_touched(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3  # noqa: PLC0415 -- only to make another program's file

    run(file, "init")
    path = file.parent / "data" / "store.sqlite3"
    for each in path.parent.glob("store.sqlite3*"):
        each.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (text)")
    other.commit()
    other.close()
    before = path.read_bytes()
    capsys.readouterr()

    assert run(file, "devices") == 1
    assert "another program's database" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be one" * 50])
def test_a_file_that_is_no_database_is_named(
    file: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    run(file, "init")
    path = file.parent / "data" / "store.sqlite3"
    for each in path.parent.glob("store.sqlite3*"):
        each.unlink()
    path.write_bytes(content)
    capsys.readouterr()

    assert run(file, "devices") == 1
    assert "expected an aggregator's store" in capsys.readouterr().err
    assert path.read_bytes() == content


def test_a_broken_key_file_is_named_without_its_content(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(file, "init")
    key = file.parent / "data" / "keys" / "enrolment.key"
    key.unlink()
    key.write_text("5ecret" * 10)
    capsys.readouterr()

    assert enrol(file, Gateway()) == 1
    said = capsys.readouterr().err
    assert "enrolment.key" in said
    assert "5ecret" not in said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("[aggregator]", "the table [aggregator] is missing"),
        ('origin = "log.test/meterseal"', "origin is missing"),
        ("port = 1883", None),
    ],
)
def test_a_missing_key_is_named(file: Path, change: str, expected: str | None) -> None:
    text = file.read_text().replace(change, "[x]" if change.startswith("[") else "")

    if expected is None:
        assert config.parse(text, source="f").mqtt.port == 1883
        return
    with pytest.raises(ConfigError, match=r"missing|unknown"):
        config.parse(text, source="f")


@pytest.mark.parametrize(
    ("addition", "expected"),
    [
        ("colour = 1", "unknown key colour"),
        ("[other]", "unknown key other"),
        ("username = 5", "expected text, got 5"),
        ("tls = {ca = 'a', cart = 'b'}", "unknown key cart"),
        ("[ledger]\nurl = 'x'\nchain_id = 'a'", "expected a whole number, got 'a'"),
        ("[ledger]\nurl = 'x'\nchain_id = true", "expected a whole number, got true"),
        ("[ledger]\nurl = 'x'\nchain_id = 1", "an address, or deploy = true"),
        ("[ledger]\nurl = 'x'\nchain_id = 1\ncontract = '0x12'", "40 hex digits"),
        ("[ledger]\nurl = 'x'\nchain_id = 1\ndeploy = true\nfinality = 'x'", '"qbft"'),
        ("port = 1", "not TOML"),
    ],
)
def test_each_bad_value_is_named_with_what_was_expected(
    file: Path, addition: str, expected: str
) -> None:
    with pytest.raises(ConfigError, match=expected):
        config.parse(file.read_text() + addition, source="f")


def test_the_printed_example_is_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--example"]) == 0

    text = capsys.readouterr().out
    assert config.parse(text, source="example").ledger is not None
    assert "aggregator" in tomllib.loads(text)


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "examples:" in capsys.readouterr().out
    assert main([]) == 64


@pytest.mark.parametrize(
    "command",
    ["init", "run", "enrol", "revoke", "devices", "log", "confirm", "fsck", "trust", "evidence"],
)
def test_each_command_has_an_example_and_says_what_each_option_is(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0

    said = capsys.readouterr().out
    assert f"example:\n  meterseal-aggregator {command}" in said
    for action in _options(command):
        assert action.help, action.option_strings


def _options(command: str) -> list[argparse.Action]:
    """Every option of a command; argparse keeps them under private names only."""
    (commands,) = (action for action in parser()._actions if isinstance(action.choices, dict))
    assert isinstance(commands.choices, dict)
    return list(commands.choices[command]._actions)


def config_store(file: Path):  # type: ignore[no-untyped-def]  # noqa: ANN201 -- a Store
    from meterseal_aggregator.store import Store  # noqa: PLC0415

    return Store(config.load(file).store_path)
