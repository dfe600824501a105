"""A store and its keys belong together: neither is begun anew without the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal_aggregator import identity, keyfiles
from meterseal_aggregator.cli import main
from meterseal_aggregator.daemon import Aggregator
from meterseal_aggregator.errors import KeyFileError, StoreError
from meterseal_aggregator.store import Store
from support.aggregator_stage import ORIGIN, Stage, config_of
from support.gateway import Gateway

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_aggregator.config import Config


@pytest.fixture
def begun(tmp_path: Path) -> Config:
    made = config_of(tmp_path / "data", 1)
    identity.begin(made)
    return made


def lose_store(begun: Config) -> None:
    for file in begun.data_dir.glob("store.sqlite3*"):
        file.unlink()


def lose_keys(begun: Config, *names: str) -> None:
    for name in names:
        (begun.keys_dir / name).unlink()


def test_no_store_is_begun_beside_keys_that_lost_theirs(begun: Config) -> None:
    lose_store(begun)

    with pytest.raises(StoreError, match=r"log\.key is older .* Restore the store .* new origin"):
        identity.begin(begun)
    with pytest.raises(StoreError, match="history was lost"):
        Aggregator(begun)
    assert not begun.store_path.exists()


def test_each_command_says_that_a_store_was_lost(
    begun: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_store(begun)
    file = tmp_path / "aggregator.toml"
    file.write_text(
        f'[aggregator]\ndata_dir = "{begun.data_dir}"\norigin = "{ORIGIN}"\n'
        '[mqtt]\nhost = "127.0.0.1"\n'
    )

    for command in ("init", "run", "devices", "log", "fsck", "trust", "evidence"):
        assert main([command, "--config", str(file)]) == 1
        assert "Restore the store from your backup" in capsys.readouterr().err


def test_a_log_that_signed_and_lost_store_and_keys_is_not_begun_again(begun: Config) -> None:
    (begun.data_dir / "signed-before").touch()
    lose_store(begun)
    lose_keys(begun, *keyfiles.NAMES, keyfiles.ENROLMENT_PUBLIC)

    with pytest.raises(StoreError, match="signed-before is older"):
        identity.begin(begun)


@pytest.mark.parametrize("name", keyfiles.NAMES)
def test_a_lost_key_is_not_replaced_by_a_new_one(begun: Config, name: str) -> None:
    lose_keys(begun, name, *([keyfiles.ENROLMENT_PUBLIC] if name == keyfiles.ENROLMENT else []))

    with pytest.raises(KeyFileError, match=rf"{name}: it is gone.*a new key is another aggregator"):
        identity.begin(begun)
    assert not (begun.keys_dir / name).exists()


@pytest.mark.parametrize("lost", [(keyfiles.HEAD,), (*keyfiles.NAMES, keyfiles.ENROLMENT_PUBLIC)])
def test_run_without_a_key_asks_for_the_backup_and_not_for_init(
    begun: Config, lost: tuple[str, ...]
) -> None:
    lose_keys(begun, *lost)

    with pytest.raises(KeyFileError, match="Restore it from your backup") as refused:
        Aggregator(begun)
    assert "init" not in str(refused.value)


def test_the_enrolment_key_may_be_kept_elsewhere(begun: Config) -> None:
    lose_keys(begun, keyfiles.ENROLMENT)

    assert identity.begin(begun) == []
    assert not (begun.keys_dir / keyfiles.ENROLMENT).exists()


@pytest.mark.parametrize("killed_after", range(6))
def test_an_init_that_was_cut_off_is_ended_by_the_next(tmp_path: Path, killed_after: int) -> None:
    """Goal: no crash of `init` is taken for a loss. Method: lay down what each prefix leaves."""
    cut = config_of(tmp_path / "data", 1)
    whole = config_of(tmp_path / "whole", 1)
    identity.begin(whole)
    cut.keys_dir.mkdir(parents=True)
    with Store(cut.store_path, create=True) as store:
        identity.check_origin(store, ORIGIN)
        if killed_after:
            with store.write():
                store.pin(identity.BORN, b"")
    for name in keyfiles.NAMES[:killed_after]:
        (whole.keys_dir / name).rename(cut.keys_dir / name)

    created = identity.begin(cut)

    assert created == list(keyfiles.NAMES[killed_after:])
    assert identity.begin(cut) == []


@pytest.mark.parametrize("name", [keyfiles.LOG, keyfiles.HEAD, keyfiles.OPERATOR_WITNESS])
def test_a_key_that_is_another_aggregators_is_named_by_run_and_fsck(
    begun: Config, tmp_path: Path, name: str
) -> None:
    other = config_of(tmp_path / "other", 1)
    identity.begin(other)
    (other.keys_dir / name).replace(begun.keys_dir / name)

    keys = identity.read_keys(begun)
    with identity.open_store(begun) as store:
        (fault,) = identity.strangers(store, ORIGIN, keys)
        assert name in fault
        assert keys.public()[name].hex() in fault
        with pytest.raises(KeyFileError, match=name):
            identity.check_identity(store, ORIGIN, keys)


def test_a_store_made_before_stores_remembered_takes_only_the_log_key_that_signed(
    stage: Stage, tmp_path: Path
) -> None:
    gateway = Gateway()
    stage.enrol(gateway)
    stage.checkpoint()
    stage.store._connection.execute("DELETE FROM meta WHERE name LIKE 'public half%'")
    identity.begin(config_of(tmp_path / "other", 1))
    stranger = keyfiles.read_keys(tmp_path / "other" / "keys")

    with pytest.raises(KeyFileError, match=r"log\.key: it did not sign checkpoint 1"):
        identity.check_identity(stage.store, ORIGIN, stranger)
    identity.check_identity(stage.store, ORIGIN, stage.keys)
    assert len(identity.strange_keys(stage.store, stranger)) == 4


def test_fsck_and_trust_refuse_another_origin(
    begun: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "aggregator.toml"
    file.write_text(
        f'[aggregator]\ndata_dir = "{begun.data_dir}"\norigin = "another.test/log"\n'
        '[mqtt]\nhost = "127.0.0.1"\n'
    )

    assert main(["trust", "--config", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "correct [aggregator] origin" in said.err
    assert main(["fsck", "--config", str(file)]) == 14
    assert "An origin never changes" in capsys.readouterr().out


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644, 0o460])
def test_a_key_that_others_may_read_is_refused(begun: Config, mode: int) -> None:
    path = begun.keys_dir / keyfiles.HEAD
    path.chmod(mode)

    with pytest.raises(KeyFileError, match=rf"expected mode 0400, got {mode:04o}.*chmod 400"):
        identity.read_keys(begun)
    path.chmod(0o600)
    assert identity.read_keys(begun).head.public


def test_a_public_half_may_be_read_by_all(begun: Config) -> None:
    (begun.keys_dir / keyfiles.ENROLMENT_PUBLIC).chmod(0o644)

    assert len(identity.read_keys(begun).public()) == 4
