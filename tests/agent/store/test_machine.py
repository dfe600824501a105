"""A rule-based machine over the store: faults of both kinds, restarts, receipts, in any order.

After every step: fsck finds nothing, all that was released is on the card, and no number of an
epoch was ever signed and released twice.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from hypothesis.strategies import integers, sampled_from

from meterseal.receipt import Stale
from meterseal.records import MeterState
from meterseal_agent.store import receipts, trusted
from meterseal_agent.store.errors import StoreBroken, StoreFull
from meterseal_agent.store.receipts import RETURNED
from support.device import Bench, FaultyConnection, disk_error, faulty_connect
from support.small_log import NOW_MS, SmallLog


class Device(RuleBasedStateMachine):
    """One device with a card that fails now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="meterseal-machine-"))
        self.bench = Bench(folder=self.folder, connect=faulty_connect, auditing=False)
        self.bench.turn_on()
        self.log = SmallLog()
        self.frontiers = dict.fromkeys(RETURNED, -1)

    @property
    def card(self) -> FaultyConnection:
        connection = self.bench.store.connection
        assert isinstance(connection, FaultyConnection)
        return connection

    @rule(
        state=sampled_from([MeterState.GOOD, MeterState.TIMEOUT]),
        after_ms=sampled_from([1_000, 10_000, 31_000, 200_000]),
    )
    def read(self, state: MeterState, after_ms: int) -> None:
        self.bench.read(state, after_ms=after_ms)

    @rule()
    def find_the_disk_full(self) -> None:
        self.card.fail_before = disk_error(sqlite3.SQLITE_FULL)
        try:
            self.bench.read()
        except StoreFull:
            return
        self.card.fail_before = None

    @rule(happened=sampled_from([False, True]))
    def lose_a_commit_or_its_answer_and_start_again(self, *, happened: bool) -> None:
        error = disk_error(sqlite3.SQLITE_IOERR)
        if happened:
            self.card.fail_after = error
        else:
            self.card.fail_before = error
        try:
            self.bench.read()
        except StoreBroken:
            self.bench.turn_off()
            self.bench.turn_on()
        self.card.fail_after = self.card.fail_before = None

    @rule()
    def kill_and_start_again(self) -> None:
        self.bench.turn_off()
        self.bench.turn_on()

    @rule(dark_ms=sampled_from([5_000, 70_000]), answered=sampled_from([False, True]))
    def cut_the_power(self, dark_ms: int, *, answered: bool) -> None:
        self.bench.cut_power(dark_ms=dark_ms)
        self.bench.turn_on(answered=answered)

    @rule(count=integers(1, 20), anchored=sampled_from([False, True]))
    def take_a_receipt(self, count: int, *, anchored: bool) -> None:
        self.log.take(*(one.data for one in self.bench.released[:count]))
        since = trusted.size(self.bench.store.connection)
        receipt = self.log.receipt(since=since, anchored=anchored, all_leaves=True)
        try:
            receipts.accept(
                self.bench.store, receipt, self.log.policy(), self.log.ledger_policy, NOW_MS
            )
        except Stale:
            return

    @invariant()
    def fsck_finds_nothing(self) -> None:
        self.bench.auditing = True
        self.bench.check()
        self.bench.auditing = False

    @invariant()
    def what_was_released_is_on_the_card_once(self) -> None:
        stored = {
            data for (data,) in self.bench.store.connection.execute("SELECT bytes FROM record")
        }
        numbers = [(one.record.epoch, one.record.seq) for one in self.bench.released]
        assert stored >= {one.data for one in self.bench.released}
        assert len(numbers) == len(set(numbers))

    @invariant()
    def states_never_go_back(self) -> None:
        now = receipts.frontier(self.bench.store.connection)
        for state in RETURNED:
            assert getattr(now, state) >= self.frontiers[state]
            self.frontiers[state] = getattr(now, state)

    def teardown(self) -> None:
        self.bench.turn_off()
        shutil.rmtree(self.folder)


Device.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestDevice = pytest.mark.timeout(120)(Device.TestCase)
