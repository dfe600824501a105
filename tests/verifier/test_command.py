"""The `meterseal` command, run in this process: what it prints and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from meterseal.evidence import encode_evidence
from meterseal.policy import format_policy
from meterseal_verifier import __main__ as command

if TYPE_CHECKING:
    from pathlib import Path

    from support.world import World

Output = pytest.CaptureFixture[str]


def words(capsys: Output) -> str:
    return capsys.readouterr().out.replace("\n", " ")


@pytest.fixture
def trust(tmp_path: Path, world: World) -> Path:
    path = tmp_path / "trust.toml"
    path.write_text(format_policy(world.policy(ledger=True)))
    return path


@pytest.fixture
def evidence(tmp_path: Path, world: World) -> Path:
    path = tmp_path / "reading.evidence"
    path.write_bytes(encode_evidence(world.reading_evidence(full=True)))
    return path


def run(*arguments: object) -> int:
    return command.main([str(each) for each in arguments])


def test_an_honest_file_ends_with_0_and_a_line_for_each_step(
    trust: Path, evidence: Path, capsys: Output
) -> None:
    status = run("verify", evidence, "--trust", trust)

    out = capsys.readouterr().out
    assert status == 0
    assert [f"({n}) passed" in out for n in range(1, 8)] == [True] * 7
    assert "energy import      1234.535 kWh" in out
    assert "\nOK\nReading 6 of epoch 0" in out


def test_anothers_trust_file_ends_with_12(
    tmp_path: Path, evidence: Path, foreign: World, capsys: Output
) -> None:
    theirs = tmp_path / "theirs.toml"
    theirs.write_text(format_policy(foreign.policy(ledger=True)))

    assert run("verify", evidence, "--trust", theirs) == 12
    assert "CANNOT CHECK" in capsys.readouterr().out


def test_a_fork_ends_with_14_and_both_hashes(
    tmp_path: Path, trust: Path, world: World, capsys: Output
) -> None:
    file = tmp_path / "fork.evidence"
    file.write_bytes(encode_evidence(world.fork_evidence()))

    status = run("verify", file, "--trust", trust)

    out = capsys.readouterr().out
    assert status == 14
    assert "\nTAMPERED: DEVICE FORK\n" in out
    assert "culprit:" in out
    assert "(4) failed       contradiction" in out


def test_without_the_ledger_part_it_ends_with_11(
    tmp_path: Path, trust: Path, world: World, capsys: Output
) -> None:
    file = tmp_path / "core.evidence"
    file.write_bytes(encode_evidence(world.reading_evidence()))

    assert run("verify", file, "--trust", trust) == 11
    assert "PENDING Not yet anchored" in words(capsys)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (bytes(65537), "too long"), (b"\x01", "cannot be read")],
)
def test_a_file_that_is_no_evidence_ends_with_13(
    tmp_path: Path, trust: Path, capsys: Output, content: bytes, sentence: str
) -> None:
    file = tmp_path / "odd.evidence"
    file.write_bytes(content)

    status = run("verify", file, "--trust", trust)

    out = capsys.readouterr().out
    assert status == 13
    assert "\nBAD INPUT\n" in out
    assert sentence in out.replace("\n", " ")


def test_a_missing_file_or_a_folder_ends_with_13(
    tmp_path: Path, trust: Path, capsys: Output
) -> None:
    assert run("verify", tmp_path / "nothing.evidence", "--trust", trust) == 13
    assert "No such file" in words(capsys)
    assert run("verify", tmp_path, "--trust", trust) == 13
    assert "Is a directory" in words(capsys)


def test_a_missing_trust_file_ends_with_12_and_a_remedy(
    tmp_path: Path, evidence: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    status = run("verify", evidence)

    out = capsys.readouterr().out.replace("\n", " ")
    assert status == 12
    assert str(tmp_path / "home" / ".config" / "meterseal" / "trust.toml") in out
    assert "--trust FILE" in out


def test_the_default_trust_file_is_read(
    tmp_path: Path, evidence: Path, trust: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "home" / ".config" / "meterseal"
    folder.mkdir(parents=True)
    trust.rename(folder / "trust.toml")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert run("verify", evidence) == 0


@pytest.mark.parametrize("text", ["[log", "", "\x00", "x = 1"])
def test_a_broken_trust_file_ends_with_12(
    trust: Path, evidence: Path, capsys: Output, text: str
) -> None:
    trust.write_text(text)

    assert run("verify", evidence, "--trust", trust) == 12
    assert "is not one:" in words(capsys)


def test_a_trust_file_that_is_no_utf_8_ends_with_12(trust: Path, evidence: Path) -> None:
    trust.write_bytes(b"\xff\xfe")

    assert run("verify", evidence, "--trust", trust) == 12


def test_the_json_report_is_stable(trust: Path, evidence: Path, capsys: Output) -> None:
    run("verify", evidence, "--trust", trust, "--json")

    report = json.loads(capsys.readouterr().out)
    assert list(report) == [
        "schema",
        "verdict",
        "exit_status",
        "offence",
        "sentence",
        "culprit",
        "expected",
        "got",
        "claim",
        "vouched_by",
        "steps",
        "proved",
    ]
    assert report["schema"] == "meterseal-report/1"
    assert [(each["step"], each["state"]) for each in report["steps"]] == [
        (n, "passed") for n in range(1, 8)
    ]
    assert report["proved"]["reading"]["meters"][0]["energy_import_wh"] == 1_234_535


def test_nothing_is_called_proved_unless_it_is(
    tmp_path: Path, trust: Path, world: World, capsys: Output
) -> None:
    file = tmp_path / "core.evidence"
    file.write_bytes(encode_evidence(world.reading_evidence()))

    run("verify", file, "--trust", trust, "--json")

    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], report["exit_status"], report["proved"]) == ("PENDING", 11, None)


@pytest.mark.parametrize(
    "arguments", [[], ["verify"], ["judge", "x"], ["verify", "x", "--trus", "y"], ["show"]]
)
def test_wrong_usage_ends_with_64(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*arguments)

    assert ended.value.code == 64
    assert "meterseal --help" in capsys.readouterr().err


def test_help_has_examples_and_the_exit_statuses(capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        run("--help")

    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "meterseal verify reading.evidence" in out
    assert all(status in out for status in ("11", "12", "13", "14", "64", "70"))


def test_a_defect_of_ours_ends_with_70_and_is_no_verdict(
    trust: Path, evidence: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect\x1b[2J")

    monkeypatch.setattr(command, "verify", broken)

    status = run("verify", evidence, "--trust", trust)

    printed = capsys.readouterr()
    assert status == 70
    assert printed.out == ""
    assert "report it" in printed.err
    assert "\x1b" not in printed.err
