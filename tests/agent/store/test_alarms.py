"""Offences are kept with what convicts, and a peer that repeats them does not fill the card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal_agent.store import alarms
from support.device import Bench
from support.small_log import NOW_MS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(folder=tmp_path)
    bench.turn_on()
    return bench


def test_an_offence_that_comes_again_is_kept_once(bench: Bench) -> None:
    for _ in range(3):
        alarms.keep(bench.store, "AGGREGATOR SPLIT VIEW", "why", (b"ours", b"theirs"), NOW_MS)

    kept = alarms.stored(bench.store.connection)
    assert [(one.verdict, one.detail, one.ours, one.theirs, one.at_ms) for one in kept] == [
        ("AGGREGATOR SPLIT VIEW", "why", b"ours", b"theirs", NOW_MS)
    ]


def test_of_each_verdict_the_first_sixteen_are_kept(bench: Bench) -> None:
    for number in range(100):
        for verdict in ("AGGREGATOR SPLIT VIEW", "ANCHOR MISMATCH"):
            theirs = number.to_bytes(2, "big")
            alarms.keep(bench.store, verdict, "why", (b"ours", theirs), NOW_MS + number)

    kept = alarms.stored(bench.store.connection)
    assert len(kept) == 2 * alarms.KEPT_MAX
    assert max(int.from_bytes(one.theirs, "big") for one in kept) == alarms.KEPT_MAX - 1
