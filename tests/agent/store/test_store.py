"""The append transaction under every kind of fault, and what the next start makes of it."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from meterseal.errors import ChainError
from meterseal.keys import SigningKey
from meterseal.records import Event, EventCode, Kind, Restore, RestoreReason
from meterseal.types import UnixMs
from meterseal_agent.errors import StoreError
from meterseal_agent.sign import Stamp
from meterseal_agent.store.audit import audit
from meterseal_agent.store.errors import StoreBroken, StoreBusy, StoreFull
from meterseal_agent.store.marker import Marker
from meterseal_agent.store.store import Entry, Store
from support.device import (
    DEVICE,
    KEY,
    NOON_MS,
    Bench,
    FaultyConnection,
    disk_error,
    faulty_connect,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from meterseal_agent.tip import Tip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(folder=tmp_path, connect=faulty_connect)


def faulty(bench: Bench) -> FaultyConnection:
    connection = bench.store.connection
    assert isinstance(connection, FaultyConnection)
    return connection


def test_a_chain_begins_with_a_manifest_and_the_boot(bench: Bench) -> None:
    records = bench.turn_on()

    assert [record.kind for record in records] == [Kind.MANIFEST, Kind.EVENT]
    assert (records[0].epoch, records[0].seq) == (0, 0)


def test_a_restart_in_one_boot_goes_on_in_the_epoch_and_in_the_interval(bench: Bench) -> None:
    bench.turn_on()
    for _ in range(3):
        bench.read()
    tip = bench.store.tip
    bench.turn_off()

    records = bench.turn_on()

    assert records == []
    assert bench.store.tip == tip
    for _ in range(10):
        bench.read()
    assert [interval.flags for interval in bench.intervals()] == [0, 0]


def test_the_tip_that_is_read_back_is_the_tip_that_was_left(bench: Bench) -> None:
    """Goal: a restart at any point builds on exactly what was committed. Method: reopen always."""
    bench.turn_on()
    for step in range(20):
        bench.read(after_ms=7_000 + 400 * (step % 3))
        tip = bench.store.tip
        bench.turn_off()

        assert bench.open().tip == tip


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_BUSY, StoreBusy),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreBroken),
        (sqlite3.SQLITE_CORRUPT, StoreBroken),
    ],
)
def test_a_commit_that_failed_leaves_head_and_marker_where_they_were(
    bench: Bench, code: int, error: type[StoreError]
) -> None:
    bench.turn_on()
    tip, mark = bench.store.tip, bench.marker.read()
    faulty(bench).fail_before = disk_error(code)

    with pytest.raises(error):
        bench.read()

    assert bench.store.tip == tip
    assert bench.marker.read() == mark
    bench.check()
    bench.read()
    assert bench.kinds() == "041"


def test_a_commit_whose_answer_was_lost_ends_the_process_and_is_found_at_the_next_start(
    bench: Bench,
) -> None:
    """Goal: no fork when a commit happened and nobody was told. Method: fail behind COMMIT."""
    bench.turn_on()
    released = len(bench.released)
    mark = bench.marker.read()
    faulty(bench).fail_after = disk_error(sqlite3.SQLITE_IOERR)

    with pytest.raises(StoreBroken):
        bench.read()

    assert bench.marker.read() == mark
    assert len(bench.released) == released
    bench.turn_off()
    assert bench.turn_on() == []
    assert bench.kinds() == "041"
    assert {record.epoch for record in bench.records()} == {0}


def test_a_crash_between_commit_and_marker_is_still_the_newest_store(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: the store may be one commit ahead of the marker. Method: the marker's folder fails."""
    bench.turn_on()

    def no_room(_marker: Marker, _mark: object) -> None:
        raise StoreError("no room in tmpfs")

    with monkeypatch.context() as patch:
        patch.setattr(Marker, "write", no_room)
        with pytest.raises(StoreError):
            bench.read()

    bench.turn_off()
    store = bench.open()
    assert store.proved_newest()
    assert bench.kinds() == "041"


def test_an_older_copy_of_the_store_in_the_same_boot_opens_an_epoch(
    bench: Bench, tmp_path: Path
) -> None:
    """Goal: no silent rewrite. Method: put last minute's card back while the marker is newer."""
    bench.turn_on()
    bench.read()
    bench.turn_off()
    shutil.copytree(bench.data, tmp_path / "backup")
    bench.turn_on()
    bench.read()
    bench.turn_off()
    shutil.rmtree(bench.data)
    shutil.copytree(tmp_path / "backup", bench.data)

    records = bench.turn_on()

    assert isinstance(records[0].body, Restore)
    assert records[0].body.reason is RestoreReason.OFFLINE_START
    assert records[0].epoch == 1


def test_a_power_cut_offline_opens_an_epoch_behind_the_head(bench: Bench) -> None:
    bench.turn_on()
    bench.read()
    head = bench.store.tip.head
    bench.cut_power()

    records = bench.turn_on()

    assert head is not None
    assert [record.kind for record in records] == [
        Kind.RESTORE,
        Kind.MANIFEST,
        Kind.GAP,
        Kind.EVENT,
    ]
    assert (records[0].epoch, records[0].seq, records[0].prev) == (1, head.seq + 1, head.hash)


def test_kill_9_loses_nothing_that_was_released(bench: Bench, tmp_path: Path) -> None:
    """Goal: what was released is on disk. Method: open a copy of the files of a living process."""
    bench.turn_on()
    for step in range(6):
        bench.read()
        copy = tmp_path / f"killed-{step}"
        shutil.copytree(bench.data, copy)

        store = Store(copy, KEY, bench.marker, str(bench.boot))

        assert store.tip == bench.store.tip
        assert store.proved_newest()
        assert audit(store.connection, KEY.public).faults == ()
        store.close()


def test_a_broken_end_is_set_aside_and_costs_an_epoch(bench: Bench) -> None:
    bench.turn_on()
    for _ in range(3):
        bench.read()
    bench.store.connection.execute(
        "UPDATE record SET bytes = zeroblob(length(bytes)) WHERE place = 3"
    )
    bench.turn_off()

    records = bench.turn_on()

    assert records[0].kind is Kind.RESTORE
    assert (records[0].epoch, records[0].seq) == (1, 3)
    aside = bench.store.connection.execute("SELECT place FROM aside ORDER BY id").fetchall()
    assert aside == [(3,), (4,), (4,)]
    assert bench.store.lost_end() is None


def test_a_broken_end_costs_an_epoch_even_if_the_first_start_was_killed(bench: Bench) -> None:
    """Goal: numbers that may have been released are never used again. Method: start twice."""
    bench.turn_on()
    bench.read()
    bench.store.connection.execute("UPDATE record SET hash = zeroblob(32) WHERE place = 2")
    bench.turn_off()
    bench.open()
    bench.turn_off()

    store = bench.open()

    assert store.lost_end() is not None
    assert not store.proved_newest()


def test_a_head_row_that_ran_ahead_of_the_records_costs_an_epoch(bench: Bench) -> None:
    bench.turn_on()
    bench.read()
    bench.store.connection.execute("DELETE FROM record WHERE place = 2")
    bench.turn_off()

    store = bench.open()

    assert "the head row names 0/2, the records end at 0/1" in str(store.lost_end())


def test_a_broken_record_in_the_middle_is_found_by_fsck_and_named(bench: Bench) -> None:
    bench.turn_on()
    for _ in range(14):
        bench.read()
    bench.store.connection.execute("UPDATE record SET time_ms = time_ms + 1 WHERE place = 4")

    report = audit(bench.store.connection, KEY.public)

    assert [fault.where for fault in report.faults] == ["record 0/4"]


@pytest.mark.parametrize("place", range(10))
def test_every_flipped_byte_of_every_record_is_found(bench: Bench, place: int) -> None:
    bench.turn_on()
    for _ in range(7):
        bench.read()
    (data,) = bench.store.connection.execute(
        "SELECT bytes FROM record WHERE place = ?", (place,)
    ).fetchone()

    for at in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[at] ^= 1
        bench.store.connection.execute(
            "UPDATE record SET bytes = ? WHERE place = ?", (bytes(flipped), place)
        )

        faults = audit(bench.store.connection, KEY.public).faults

        assert faults, f"byte {at} of record {place}"
        assert faults[0].where == f"record 0/{place}"


def test_a_missing_record_is_found(bench: Bench) -> None:
    bench.turn_on()
    for _ in range(14):
        bench.read()
    bench.store.connection.execute("DELETE FROM record WHERE place = 5")

    report = audit(bench.store.connection, KEY.public)

    assert report.faults[0].where == "record 0/6"


def test_another_devices_store_is_refused_by_name(bench: Bench) -> None:
    bench.turn_on()
    bench.turn_off()
    stranger = SigningKey.from_seed(bytes(32))

    with pytest.raises(StoreError, match=f"belongs to device {DEVICE.hex()}"):
        Store(bench.data, stranger, bench.marker, "1")


def test_a_store_in_use_is_refused(bench: Bench) -> None:
    bench.turn_on()

    with pytest.raises(StoreError, match="in use by process"):
        Store(bench.data, KEY, bench.marker, "1")


def test_a_head_that_another_process_moved_ends_the_process(bench: Bench) -> None:
    bench.turn_on()
    bench.store.connection.execute("UPDATE head SET seq = seq + 1")

    with pytest.raises(StoreBroken, match="another process wrote it"):
        bench.read()


def test_a_record_that_would_break_the_chain_is_not_stored(bench: Bench) -> None:
    bench.turn_on()
    early = Stamp(time=UnixMs(NOON_MS - 1), clock=bench.clock, up=0)

    def plan(_tip: Tip) -> Generator[Entry, Tip, None]:
        yield Entry(draft=Event(code=EventCode.BUTTON), stamp=early)

    with pytest.raises(ChainError):
        bench.store.append(plan)

    assert bench.kinds() == "04"
