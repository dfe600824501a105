"""What was promised and did not come is told, with the time since which it is late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal_agent.store import receipts
from meterseal_agent.store.overdue import Overdue, note_promise, overdue
from meterseal_agent.store.schema import Place
from support.device import Bench
from support.small_log import NOW_MS, SmallLog

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000


@pytest.fixture
def log() -> SmallLog:
    return SmallLog()


@pytest.fixture
def bench(tmp_path: Path, log: SmallLog) -> Bench:
    """Manifest and boot event at 0 and 1, the interval at 8; readings up to 11."""
    bench = Bench(folder=tmp_path)
    bench.turn_on()
    for _ in range(9):
        bench.read()
    log.take(*(one.data for one in bench.released))
    return bench


def accept(bench: Bench, log: SmallLog, *, anchored: bool = False, size: int = 3) -> None:
    receipt = log.receipt(size=size, anchored=anchored, all_leaves=True)
    receipts.accept(bench.store, receipt, log.policy(), log.ledger_policy, NOW_MS)


def late(bench: Bench, now_ms: int, *, anchor_every_s: int | None = 900) -> Overdue:
    return overdue(bench.store.connection, now_ms, anchor_every_s)


def test_a_record_that_is_not_logged_in_the_promised_time_is_overdue_since_then(
    bench: Bench,
) -> None:
    note_promise(bench.store, Place(11), NOW_MS + 60_000)

    assert late(bench, NOW_MS + 60_000) == Overdue()
    assert late(bench, NOW_MS + 60_001) == Overdue(log_ms=NOW_MS + 60_000)
    assert "Not logged as promised since 2026-" in late(bench, NOW_MS + HOUR_MS).notices[0][1]


def test_a_promise_that_was_kept_is_over(bench: Bench, log: SmallLog) -> None:
    note_promise(bench.store, Place(11), NOW_MS + 60_000)
    accept(bench, log)

    assert late(bench, NOW_MS + HOUR_MS, anchor_every_s=None) == Overdue()


def test_later_heads_do_not_put_the_oldest_open_promise_off(bench: Bench) -> None:
    for minute in range(10):
        note_promise(bench.store, Place(minute + 1), NOW_MS + minute * 60_000)

    assert late(bench, NOW_MS + HOUR_MS).log_ms == NOW_MS


def test_a_promise_is_not_forgiven_by_a_restart(bench: Bench) -> None:
    note_promise(bench.store, Place(11), NOW_MS)
    bench.turn_off()
    bench.open()

    assert late(bench, NOW_MS + 1).log_ms == NOW_MS


def test_the_next_promise_counts_once_the_last_one_was_kept(bench: Bench, log: SmallLog) -> None:
    note_promise(bench.store, Place(1), NOW_MS)
    accept(bench, log, size=2)
    note_promise(bench.store, Place(7), NOW_MS + 1)  # readings only: nothing left to be logged
    note_promise(bench.store, Place(8), NOW_MS + 2)

    assert late(bench, NOW_MS + HOUR_MS, anchor_every_s=None).log_ms == NOW_MS + 2


def test_a_log_that_is_not_anchored_for_three_periods_is_overdue(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log)

    assert late(bench, NOW_MS + 3 * 900_000) == Overdue()
    since_ms = NOW_MS + 3 * 900_000
    assert late(bench, NOW_MS + HOUR_MS).anchor_ms == since_ms
    assert "Anchor overdue since 2026-" in late(bench, NOW_MS + HOUR_MS).notices[0][1]


def test_an_anchor_ends_it_and_where_no_ledger_is_pinned_it_never_begins(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log)
    assert late(bench, NOW_MS + HOUR_MS, anchor_every_s=None) == Overdue()

    receipt = log.receipt(since=3, anchored=True, all_leaves=True)
    receipts.accept(bench.store, receipt, log.policy(), log.ledger_policy, NOW_MS)

    assert late(bench, NOW_MS + HOUR_MS) == Overdue()
