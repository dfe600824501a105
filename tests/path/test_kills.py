"""Kill -9 of each part, once, in the middle of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal.records import Kind
from support.staged import (
    QuickStage,
    aggregator_rows,
    assert_nothing_lost_doubled_or_forked,
    await_true,
    device_records,
    state_counts,
)

if TYPE_CHECKING:
    from meterseal_simulator.demo.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(300)]


def caught_up(stage: Stage) -> bool:
    light = [one for one in device_records(stage) if one.record.kind is not Kind.READING]
    leaves = aggregator_rows(stage, "SELECT count(*) FROM leaf WHERE device IS NOT NULL")
    stored = aggregator_rows(stage, "SELECT count(*) FROM record WHERE status = 1")
    return leaves == [(len(light),)] and stored == [(len(device_records(stage)),)]


def anchored(stage: Stage) -> int:
    return state_counts(stage).get("anchored", 0)


def kill_in_the_middle(stage: Stage, name: str) -> None:
    before = anchored(stage)
    stage.kill(name)
    stage.restart(name)
    await_true(f"anchors go on after the {name} was killed", lambda: anchored(stage) > before, 120)


def test_kill_9_of_every_part_loses_doubles_and_forks_nothing(running: QuickStage) -> None:
    """Goal: whatever is killed, the record is whole, once, and goes on to the ledger.

    Method: kill the agent, the aggregator, the broker (the demonstration's own, and a mosquitto
    that forgets what it acknowledged) and the ledger, one after the other, each while the others
    work; start each again; wait until more records are anchored than before; at the end compare
    both stores.
    """
    for name in ("agent", "aggregator", "broker", "ledger"):
        kill_in_the_middle(running, name)

    running.children["agent"].stop()
    await_true("the aggregator logged what the device signed", lambda: caught_up(running))

    assert {one.record.epoch for one in device_records(running)} == {0}
    assert sum(one.record.kind is Kind.READING for one in device_records(running)) > 10
    assert_nothing_lost_doubled_or_forked(running)
