"""What comes back is checked, committed with its proof, and never taken back."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from meterseal.errors import LedgerError, ProtocolError
from meterseal.evidence import encode_evidence
from meterseal.note import Cosigner
from meterseal.policy import TrustPolicy
from meterseal.receipt import NoConsistency, NotIncluded, Receipt, SplitView, Stale
from meterseal.types import Hash
from meterseal_agent.export import NotProvable, interval_evidence, reading_evidence
from meterseal_agent.store import outbox, receipts, states, trusted
from meterseal_agent.store.errors import OtherLog, StoreBroken
from meterseal_agent.store.schema import NOWHERE, Place
from meterseal_verifier.verdict import Verdict
from meterseal_verifier.verify import verify
from support.device import DEVICE, KEY, NOON_MS, Bench, FaultyConnection, disk_error, faulty_connect
from support.small_log import NOW_MS, SmallLog

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log() -> SmallLog:
    return SmallLog()


@pytest.fixture
def bench(tmp_path: Path, log: SmallLog) -> Bench:
    """A device with one closed interval and three readings behind it; the log has all of it."""
    bench = Bench(folder=tmp_path, connect=faulty_connect)
    bench.turn_on()
    for _ in range(9):
        bench.read()
    log.take(*(one.data for one in bench.released))
    return bench


def states_of(bench: Bench) -> dict[str, int]:
    counts = receipts.counts(bench.store.connection, NOWHERE)
    return {one.state: one.count for one in counts if one.count}


def accept(bench: Bench, log: SmallLog, receipt: Receipt) -> None:
    receipts.accept(bench.store, receipt, log.policy(), log.ledger_policy, NOW_MS)
    bench.check()


def judged(bench: Bench, log: SmallLog, quorum: int = 1) -> Verdict:
    """What a stranger says of the evidence that this device can give of a reading."""
    trust = TrustPolicy(
        log=log.policy(quorum), devices={DEVICE: KEY.public}, ledger=log.ledger_policy
    )
    evidence = reading_evidence(bench.store.connection, 4, None)
    return verify(encode_evidence(evidence), trust).verdict


def test_nothing_has_come_back_yet(bench: Bench) -> None:
    assert states_of(bench) == {"signed": 12}


def test_a_cosigned_receipt_makes_records_witnessed_and_readings_with_their_interval(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log, log.receipt())

    assert states_of(bench) == {"witnessed": 9, "signed": 3}


def test_a_receipt_without_its_witnesses_is_logged_and_moves_no_trust(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log, log.receipt(cosigners=()))

    assert states_of(bench) == {"logged": 9, "signed": 3}
    assert trusted.size(bench.store.connection) == 0


def test_an_anchored_receipt_makes_records_anchored_and_keeps_path_and_proof_of_that_size(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log, log.receipt())
    accept(bench, log, log.receipt(since=3, all_leaves=True, anchored=True))

    assert states_of(bench) == {"anchored": 9, "signed": 3}


def test_an_anchor_may_come_when_a_larger_tree_is_held_already(bench: Bench, log: SmallLog) -> None:
    for _ in range(6):
        bench.read()
    log.take(*(one.data for one in bench.released))
    accept(bench, log, log.receipt())

    accept(bench, log, log.receipt(since=4, size=3, anchored=True))

    assert trusted.size(bench.store.connection) == 4
    assert states_of(bench)["anchored"] == 9


def test_an_anchored_path_is_not_replaced_by_a_later_receipt(bench: Bench, log: SmallLog) -> None:
    accept(bench, log, log.receipt(anchored=True))
    log.leaves.append(Hash(bytes(32)))

    accept(bench, log, log.receipt(since=3, all_leaves=True))

    sizes = bench.store.connection.execute("SELECT DISTINCT size FROM logged").fetchall()
    assert sizes == [(3,)]


def test_a_receipt_that_skips_a_record_does_not_move_the_frontier_past_it(
    bench: Bench, log: SmallLog
) -> None:
    receipt = log.receipt()

    accept(bench, log, replace(receipt, inclusions=receipt.inclusions[:1] + receipt.inclusions[2:]))

    assert receipts.frontier(bench.store.connection).logged == Place(0)


def test_a_receipt_without_a_connection_to_ours_is_refused_and_says_from_where(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log, log.receipt())
    log.leaves.append(Hash(bytes(32)))

    with pytest.raises(NoConsistency) as caught:
        accept(bench, log, log.receipt())

    assert caught.value.held_size == 3


def test_two_roots_of_one_size_are_a_split_view_and_change_nothing(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log, log.receipt())
    before = trusted.pointer(bench.store.connection)
    log.leaves[0] = Hash(bytes(32))

    with pytest.raises(SplitView):
        accept(bench, log, log.receipt())

    assert trusted.pointer(bench.store.connection) == before


def test_an_old_receipt_is_stale(bench: Bench, log: SmallLog) -> None:
    old = log.receipt(size=2)
    accept(bench, log, log.receipt())

    with pytest.raises(Stale):
        accept(bench, log, old)


def test_a_path_to_another_record_is_refused_whole(bench: Bench, log: SmallLog) -> None:
    receipt = log.receipt()
    swapped = replace(receipt.inclusions[0], index=1)

    with pytest.raises(NotIncluded):
        accept(bench, log, replace(receipt, inclusions=(swapped, *receipt.inclusions[1:])))

    assert states_of(bench) == {"signed": 12}


def test_a_ledger_proof_of_other_validators_is_refused(bench: Bench, log: SmallLog) -> None:
    receipt = SmallLog(ledger=type(log.ledger)(seed="theirs"), leaves=log.leaves).receipt(
        anchored=True
    )

    with pytest.raises(LedgerError):
        accept(bench, log, receipt)

    assert states_of(bench) == {"signed": 12}


def test_a_receipt_of_another_log_is_refused(bench: Bench, log: SmallLog) -> None:
    other = SmallLog(log=replace(log.log, key=KEY), leaves=log.leaves)

    with pytest.raises(ProtocolError):
        accept(bench, log, other.receipt())


def test_a_receipt_whose_commit_failed_left_nothing(bench: Bench, log: SmallLog) -> None:
    connection = bench.store.connection
    assert isinstance(connection, FaultyConnection)
    connection.fail_before = disk_error(sqlite3.SQLITE_IOERR)

    with pytest.raises(StoreBroken):
        accept(bench, log, log.receipt())

    assert states_of(bench) == {"signed": 12}
    assert trusted.size(connection) == 0


def test_a_receipt_whose_answer_was_lost_is_taken_again_without_harm(
    bench: Bench, log: SmallLog
) -> None:
    connection = bench.store.connection
    assert isinstance(connection, FaultyConnection)
    connection.fail_after = disk_error(sqlite3.SQLITE_IOERR)
    with pytest.raises(StoreBroken):
        accept(bench, log, log.receipt())

    accept(bench, log, log.receipt())

    assert states_of(bench) == {"witnessed": 9, "signed": 3}


def test_a_device_that_is_given_another_log_refuses_to_start_with_it(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log, log.receipt())
    other = replace(log.policy(), log=replace(log.log, key=KEY).verifier)

    with pytest.raises(OtherLog, match="follows one log for life"):
        trusted.load_trusted(bench.store.connection, other)


def test_a_quorum_that_was_raised_keeps_what_is_held_and_holds_new_receipts_to_it(
    bench: Bench, log: SmallLog
) -> None:
    """The owner adds a witness: yesterday's checkpoint has one cosignature, and still counts."""
    accept(bench, log, log.receipt())
    log.leaves.append(Hash(bytes(32)))

    receipts.accept(
        bench.store, log.receipt(since=3), log.policy(quorum=2), log.ledger_policy, NOW_MS
    )

    assert trusted.load_trusted(bench.store.connection, log.policy(quorum=2)).size == 3
    assert trusted.load_trusted(bench.store.connection, log.policy(quorum=2)).checkpoint


def test_a_broker_that_cuts_a_cosignature_takes_nothing_from_finished_evidence(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log, log.receipt(anchored=True))

    accept(bench, log, log.receipt(since=3, all_leaves=True, cosigners=(), anchored=True))

    assert judged(bench, log) is Verdict.OK


def test_each_of_two_receipts_with_one_witness_adds_its_cosignature(
    bench: Bench, log: SmallLog
) -> None:
    one, both = log.policy(), log.policy(quorum=2)
    for cosigner in (log.witness, log.second):
        receipt = log.receipt(since=3, all_leaves=True, anchored=True, cosigners=(cosigner,))
        policy = replace(both, quorum=1)
        receipts.accept(bench.store, receipt, policy, log.ledger_policy, NOW_MS)

    assert judged(bench, log, quorum=2) is Verdict.OK
    held = trusted.load_trusted(bench.store.connection, one)
    assert held.checkpoint is not None
    assert len(held.checkpoint.note.splitlines()) == 7  # three lines, a blank one, three signatures


def test_a_stranger_s_line_that_a_broker_adds_does_not_spoil_evidence(
    bench: Bench, log: SmallLog
) -> None:
    stranger = Cosigner(name="stranger.example", key=KEY)
    accept(bench, log, log.receipt(anchored=True, cosigners=(log.witness, stranger)))

    assert judged(bench, log) is Verdict.OK


def test_an_anchor_whose_witnesses_were_cut_waits_for_a_receipt_that_has_them(
    bench: Bench, log: SmallLog
) -> None:
    """Else evidence that was under a quorum would move to a size that is under none."""
    accept(bench, log, log.receipt())
    log.leaves.append(Hash(bytes(32)))

    accept(bench, log, log.receipt(since=3, all_leaves=True, cosigners=(), anchored=True))
    assert states_of(bench)["witnessed"] == 9
    accept(bench, log, log.receipt(since=3, all_leaves=True, anchored=True))

    assert states_of(bench)["anchored"] == 9
    assert judged(bench, log) is Verdict.OK


def test_anchors_and_checkpoints_that_no_path_needs_are_dropped_but_the_newest(
    bench: Bench, log: SmallLog
) -> None:
    accept(bench, log, log.receipt(anchored=True))
    for size in (3, 4, 5):
        log.leaves.append(Hash(bytes([size]) * 32))
        accept(bench, log, log.receipt(since=size, all_leaves=True, anchored=True))

    for query in ("SELECT size FROM anchor", "SELECT size FROM checkpoint ORDER BY size"):
        assert bench.store.connection.execute(query).fetchall() == [(3,), (6,)], query


def test_the_sizes_that_paths_need_are_found_by_an_index(bench: Bench) -> None:
    """Each receipt asks for them; a device has a hundred paths more every day, for years.

    A store that was made before there was the index gets it at the next start.
    """
    bench.store.connection.execute("DROP INDEX logged_size")
    bench.turn_off()
    bench.open()

    plan = bench.store.connection.execute(
        "EXPLAIN QUERY PLAN DELETE FROM checkpoint WHERE size NOT IN (SELECT size FROM logged)"
    ).fetchall()

    assert "INDEX logged_size" in str(plan)


def test_a_path_that_was_changed_on_the_card_is_found_by_fsck(bench: Bench, log: SmallLog) -> None:
    accept(bench, log, log.receipt())
    bench.store.connection.execute("UPDATE logged SET path = zeroblob(64) WHERE place = 8")

    with pytest.raises(AssertionError, match="receipt of record 0/8"):
        bench.check()


def test_single_records_tell_their_state(bench: Bench, log: SmallLog) -> None:
    accept(bench, log, log.receipt(anchored=True))

    walked = [(one.seq, one.state) for one in states.walk(bench.store.connection)]

    assert walked[:4] == [(11, "signed"), (10, "signed"), (9, "signed"), (8, "anchored")]
    assert {state for _, state in walked[3:]} == {"anchored"}


def test_evidence_of_a_reading_convinces_the_verifier(bench: Bench, log: SmallLog) -> None:
    accept(bench, log, log.receipt(anchored=True))

    evidence = reading_evidence(bench.store.connection, 4, None)

    assert evidence.interval.ledger is not None
    assert evidence.interval.manifest is not None
    assert judged(bench, log) is Verdict.OK


def test_evidence_that_is_not_anchored_goes_without_the_ledger(bench: Bench, log: SmallLog) -> None:
    accept(bench, log, log.receipt())

    assert interval_evidence(bench.store.connection, NOON_MS, None).ledger is None


@pytest.mark.parametrize(
    ("seq", "epoch", "why"),
    [
        (4, None, "not logged yet"),
        (10, None, "its interval is still open"),
        (1, None, "expected a reading"),
        (99, None, "not in this store in any epoch"),
        (4, 7, "not in this store in epoch 7"),
    ],
)
def test_what_cannot_be_proved_yet_says_why(
    bench: Bench, seq: int, epoch: int | None, why: str
) -> None:
    with pytest.raises(NotProvable, match=why):
        reading_evidence(bench.store.connection, seq, epoch)


def test_a_reading_that_lost_its_interval_to_a_restore_says_so(bench: Bench) -> None:
    bench.cut_power()
    bench.turn_on()

    with pytest.raises(NotProvable, match="a new epoch began"):
        reading_evidence(bench.store.connection, 10, None)


def test_an_interval_that_never_was_says_so(bench: Bench) -> None:
    with pytest.raises(NotProvable, match="none starts then"):
        interval_evidence(bench.store.connection, NOON_MS + 1, None)


def test_a_batch_ends_where_a_payload_is_full(bench: Bench) -> None:
    bench.auditing = False
    for _ in range(300):
        bench.read(after_ms=1)
    newest = outbox.newest(bench.store.connection)

    first = outbox.batch(bench.store.connection, NOWHERE, newest, light_only=False)
    rest = outbox.batch(bench.store.connection, first.last, newest, light_only=False)

    assert len(first.payload) <= 60 * 1024
    assert first.count + rest.count == newest + 1


def test_light_only_leaves_readings_at_home(bench: Bench) -> None:
    newest = outbox.newest(bench.store.connection)

    found = outbox.batch(bench.store.connection, NOWHERE, newest, light_only=True)

    assert (found.count, found.last) == (3, newest)
