"""Kill -9 of each part, once, in the middle of everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal.records import Kind
from support.staged import (
    MosquittoStage,
    assert_nothing_lost_doubled_or_forked,
    await_true,
    device_records,
    state_counts,
)

if TYPE_CHECKING:
    from meterseal_simulator.demo.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(300)]


def anchored(stage: Stage) -> int:
    return state_counts(stage).get("anchored", 0)


def kill_in_the_middle(stage: Stage, name: str) -> None:
    before = anchored(stage)
    stage.kill(name)
    stage.restart(name)
    await_true(f"anchors go on after the {name} was killed", lambda: anchored(stage) > before, 120)


def test_kill_9_of_every_part_loses_doubles_and_forks_nothing(running: MosquittoStage) -> None:
    """Goal: whatever is killed, the record is whole, once, and goes on to the ledger.

    Method: kill the agent, the aggregator, the broker (a mosquitto that forgets what it
    acknowledged) and the ledger, one after the other, each while the others work; start each
    again; wait until more records are anchored than before; at the end compare both stores.
    """
    for name in ("agent", "aggregator", "broker", "ledger"):
        kill_in_the_middle(running, name)

    running.children["agent"].stop()
    await_true(
        "the aggregator has what the device has",
        lambda: running.command(
            "meterseal_aggregator", "devices", "--config", str(running.aggregator_config), "--json"
        ),
    )

    assert {one.record.epoch for one in device_records(running)} == {0}
    assert sum(one.record.kind is Kind.READING for one in device_records(running)) > 10
    assert_nothing_lost_doubled_or_forked(running)
