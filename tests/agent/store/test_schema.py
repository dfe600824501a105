"""The store's file: whose it is, which version, and nothing foreign touched."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal_agent.errors import StoreError
from meterseal_agent.store.schema import (
    check_header,
    connect,
    connect_to_read,
    create,
    place,
    unplace,
)

if TYPE_CHECKING:
    from pathlib import Path

DEVICE = bytes(range(16))


def test_a_new_store_is_known_by_its_header(tmp_path: Path) -> None:
    create(tmp_path / "store.sqlite3", DEVICE, born_with_key=True)

    check_header(tmp_path / "store.sqlite3")


def test_a_store_is_opened_so_that_a_commit_that_returned_is_on_the_card(tmp_path: Path) -> None:
    create(tmp_path / "store.sqlite3", DEVICE, born_with_key=True)

    connection = connect(tmp_path / "store.sqlite3")

    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_a_foreign_database_is_refused_by_name_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE photographs (id INTEGER)")
    foreign.close()
    before = path.read_bytes()

    with pytest.raises(StoreError, match="foreign database"):
        check_header(path)

    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["store.sqlite3"]


@pytest.mark.parametrize("data", [b"", b"hello", b"SQLite format 3\0" + bytes(10), bytes(4096)])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "store.sqlite3").write_bytes(data)

    with pytest.raises(StoreError, match="another kind of file"):
        check_header(tmp_path / "store.sqlite3")


def test_the_store_of_a_newer_release_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    create(path, DEVICE, born_with_key=True)
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 999")
    newer.close()

    with pytest.raises(StoreError, match="schema version 999, this release reads 1"):
        check_header(path)


def test_a_folder_that_cannot_be_written_is_a_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be made"):
        create(tmp_path / "absent" / "store.sqlite3", DEVICE, born_with_key=True)


def test_a_leftover_of_a_making_that_was_cut_short_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite3.new").write_bytes(b"half a store")

    create(tmp_path / "store.sqlite3", DEVICE, born_with_key=True)

    check_header(tmp_path / "store.sqlite3")


def test_a_reader_beside_the_agent_cannot_write(tmp_path: Path) -> None:
    create(tmp_path / "store.sqlite3", DEVICE, born_with_key=True)
    writer = connect(tmp_path / "store.sqlite3")
    reader = connect_to_read(tmp_path / "store.sqlite3")

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM device")

    reader.close()
    writer.close()


@given(st.integers(0, 2**20), st.integers(0, 2**40 - 1))
def test_a_place_holds_epoch_and_seq(epoch: int, seq: int) -> None:
    assert unplace(place(epoch, seq)) == (epoch, seq)


@given(
    st.tuples(st.integers(0, 9), st.integers(0, 99)),
    st.tuples(st.integers(0, 9), st.integers(0, 99)),
)
def test_places_are_ordered_by_epoch_and_then_by_seq(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    assert (place(*one) < place(*other)) == (one < other)
