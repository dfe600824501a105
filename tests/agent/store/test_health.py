"""fsck looks at the file as a database too: pages, references, tables, and how full they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal_agent.store.health import look
from support.device import Bench

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(folder=tmp_path)
    bench.turn_on()
    bench.read()
    return bench


def test_a_healthy_store_has_no_fault_and_its_rows_are_counted(bench: Bench) -> None:
    health = look(bench.store.connection)

    assert health.faults == ()
    assert (health.rows["record"], health.rows["head"], health.rows["alarm"]) == (3, 1, 0)
    assert health.size >= 4096


def test_a_table_that_somebody_changed_is_named(bench: Bench) -> None:
    bench.store.connection.execute("ALTER TABLE alarm ADD COLUMN note TEXT")
    bench.store.connection.execute("DROP INDEX record_light_hash")

    told = {fault.where: fault.message for fault in look(bench.store.connection).faults}

    assert told == {
        "schema, alarm": "alarm is not as this release makes it",
        "schema, record_light_hash": "record_light_hash is not here",
    }


def test_a_receipt_whose_checkpoint_was_removed_is_named(bench: Bench) -> None:
    connection = bench.store.connection
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO logged VALUES (0, 0, 5, x'', 1, 1, 1)")

    (fault,) = look(connection).faults

    assert (fault.where, "checkpoint" in fault.message) == ("table logged", True)


def test_looking_writes_nothing(bench: Bench) -> None:
    before = bench.store.connection.total_changes
    bench.store.connection.execute("PRAGMA query_only = ON")

    look(bench.store.connection)

    assert bench.store.connection.total_changes == before
