"""What a device found against its log is judged by a stranger exactly as the device saw it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from meterseal.errors import ProtocolError
from meterseal.evidence import encode_evidence
from meterseal.note import Cosigner
from meterseal.policy import TrustPolicy
from meterseal.receipt import AnchorMismatch, Rollback, SplitView
from meterseal.types import Hash
from meterseal_agent.export import NotProvable, accusation, find_alarm
from meterseal_agent.store import alarms, receipts
from meterseal_verifier.verdict import Offence
from meterseal_verifier.verify import verify
from support.device import KEY, Bench
from support.small_log import NOW_MS, SmallLog

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.checkpoint import LogPolicy
    from meterseal.receipt import Receipt

STRANGER = Cosigner(name="stranger.example", key=KEY)
SECONDS = 1_795_435_300


@dataclass
class Found:
    """A device of a log that misbehaves, with the log's own witness as its operator."""

    bench: Bench
    log: SmallLog

    @property
    def policy(self) -> LogPolicy:
        return replace(self.log.policy(), operator=self.log.second.verifier)

    @property
    def trust(self) -> TrustPolicy:
        return TrustPolicy(log=self.policy, ledger=self.log.ledger_policy)

    def accept(self, receipt: Receipt) -> None:
        receipts.accept(self.bench.store, receipt, self.policy, self.log.ledger_policy, NOW_MS)

    def keep(self, verdict: str, ours: bytes, theirs: bytes) -> None:
        alarms.keep(self.bench.store, verdict, "why", (ours, theirs), NOW_MS)

    def judged(self, number: int = 1) -> Offence | None:
        evidence = accusation(find_alarm(self.bench.store.connection, number), self.policy)
        return verify(encode_evidence(evidence), self.trust).offence


@pytest.fixture
def found(tmp_path: Path) -> Found:
    bench, log = Bench(folder=tmp_path), SmallLog()
    bench.turn_on()
    for _ in range(9):
        bench.read()
    log.take(*(one.data for one in bench.released))
    return Found(bench, log)


def test_a_split_view_convicts_the_log(found: Found) -> None:
    log = found.log
    found.accept(log.receipt())
    log.leaves[0] = Hash(bytes(32))
    with pytest.raises(SplitView) as caught:
        found.accept(log.receipt(cosigners=(log.witness, STRANGER)))

    found.keep(alarms.SPLIT_VIEW, caught.value.ours, caught.value.theirs)

    assert found.judged() is Offence.AGGREGATOR_SPLIT_VIEW


def test_a_rollback_convicts_the_operator(found: Found) -> None:
    """The larger tree came first; then the operator called a smaller one its largest."""
    log = found.log
    both = (log.witness, log.second)
    found.accept(replace(log.receipt(), checkpoint=log.note(cosigners=both)))
    later = log.note(2, cosigners=(*both, STRANGER), time_s=SECONDS + 60)
    with pytest.raises(Rollback) as caught:
        found.accept(replace(log.receipt(size=2), checkpoint=later))

    found.keep(alarms.ROLLBACK, caught.value.ours, caught.value.theirs)

    assert found.judged() is Offence.AGGREGATOR_ROLLBACK


def test_an_anchor_that_does_not_fit_convicts_the_log(found: Found) -> None:
    log = found.log
    receipt = log.receipt()
    rival = log.ledger.prove(log.log.name, 3, {3: Hash(b"\x01" * 32)})
    with pytest.raises(AnchorMismatch) as caught:
        found.accept(replace(receipt, ledger=rival))

    found.keep(alarms.MISMATCH, caught.value.note, caught.value.proof.encode())

    assert found.judged() is Offence.ANCHOR_MISMATCH


def test_without_the_operators_key_a_rollback_cannot_be_shown(found: Found) -> None:
    log = found.log
    found.keep(alarms.ROLLBACK, log.note(), log.note(2))

    with pytest.raises(NotProvable, match="key `operator` under"):
        accusation(find_alarm(found.bench.store.connection, 1), log.policy())


def test_under_other_pins_an_alarm_accuses_nobody(found: Found) -> None:
    log = found.log
    found.keep(alarms.SPLIT_VIEW, log.note(), log.note(root=Hash(bytes(32))))
    other = replace(log.policy(), log=replace(log.log, key=KEY).verifier)

    with pytest.raises(NotProvable, match="old pins"):
        accusation(find_alarm(found.bench.store.connection, 1), other)


def test_an_alarm_that_is_not_there_names_those_that_are(found: Found) -> None:
    with pytest.raises(NotProvable, match="there are: none"):
        find_alarm(found.bench.store.connection, 7)
    found.keep(alarms.SPLIT_VIEW, b"ours", b"theirs")
    with pytest.raises(NotProvable, match="there are: 1"):
        find_alarm(found.bench.store.connection, 7)


def test_what_convicts_is_what_the_device_refused(found: Found) -> None:
    """No alarm is kept for what merely is not shown."""
    found.accept(found.log.receipt())
    found.log.leaves.append(Hash(bytes(32)))

    with pytest.raises(ProtocolError):
        found.accept(found.log.receipt())

    assert alarms.stored(found.bench.store.connection) == ()
