"""The device's key: made once, read only by its owner, and refused when it is not a key."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from meterseal_agent.keyfile import KeyFileError, create_key, load_key

if TYPE_CHECKING:
    from pathlib import Path


def test_a_key_that_was_made_is_the_key_that_is_read(tmp_path: Path) -> None:
    made = create_key(tmp_path / "device.key")

    assert load_key(tmp_path / "device.key").public == made.public


def test_only_the_owner_may_read_a_new_key(tmp_path: Path) -> None:
    create_key(tmp_path / "device.key")

    assert stat.S_IMODE((tmp_path / "device.key").stat().st_mode) == 0o400


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    create_key(tmp_path / "device.key")
    before = (tmp_path / "device.key").read_bytes()

    with pytest.raises(KeyFileError, match="never overwritten"):
        create_key(tmp_path / "device.key")

    assert (tmp_path / "device.key").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["device.key"]


def test_a_key_that_others_may_read_is_refused_with_the_command_that_mends_it(
    tmp_path: Path,
) -> None:
    create_key(tmp_path / "device.key")
    (tmp_path / "device.key").chmod(0o440)

    with pytest.raises(KeyFileError, match=r"expected mode 0400, got 0440.*chmod 400"):
        load_key(tmp_path / "device.key")


def test_an_absent_key_says_which_command_makes_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="meterseal-agent init"):
        load_key(tmp_path / "device.key")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"00" * 31,
        b"00" * 33,
        b"00" * 32 + b"\n\n",
        b"A0" * 32,
        b" " + b"00" * 32,
        b"zz" * 32,
        "٣".encode() * 32,
        bytes(32),
    ],
)
def test_a_file_that_is_not_one_line_of_64_hex_digits_is_no_key(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(data)
    path.chmod(0o400)

    with pytest.raises(KeyFileError, match="expected 64 lower-case hex digits"):
        load_key(path)


def test_an_error_about_a_key_never_shows_the_key(tmp_path: Path) -> None:
    path = tmp_path / "device.key"
    path.write_bytes(b"secret" + b"00" * 30)
    path.chmod(0o400)

    with pytest.raises(KeyFileError) as caught:
        load_key(path)

    assert "secret" not in str(caught.value)


def test_a_key_in_a_folder_that_is_not_there_is_a_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be written"):
        create_key(tmp_path / "absent" / "device.key")
