"""Whatever order, repetition, partition or fault: one store, one log order, nothing lost."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterseal.records import Publishes, decode_record
from meterseal_aggregator.errors import StoreError
from meterseal_aggregator.store import Status
from support.aggregator_stage import Stage
from support.gateway import Gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def build(publishes: Publishes) -> Gateway:
    """Two epochs, a key change, events and intervals: all that a chain may hold."""
    gateway = Gateway(f"ordered {publishes}", publishes)
    gateway.chain(4, every=2)
    card = gateway.state
    gateway.event()
    gateway.reading()
    gateway.state = card
    gateway.restore()
    gateway.reading()
    gateway.change_key("ordered, second key")
    gateway.reading()
    gateway.interval()
    return gateway


GATEWAYS = {one: build(one) for one in Publishes}


def published(gateway: Gateway) -> list[bytes]:
    if gateway.publishes is Publishes.READINGS:
        return gateway.records
    return [data for data in gateway.records if decode_record(data).light is not None]


@pytest.mark.parametrize("publishes", list(Publishes))
@QUIET
@given(data=st.data())
def test_any_order_duplication_and_partition_ends_in_the_same_store_and_light_order(
    publishes: Publishes, data: st.DataObject
) -> None:
    """Method: shuffle, repeat and cut the records into batches, restart between batches, and send
    what the aggregator could not verify yet again, as a device does when it is asked."""
    gateway = GATEWAYS[publishes]
    records = published(gateway)
    doubled = data.draw(st.permutations([*records, *data.draw(st.lists(st.sampled_from(records)))]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(doubled)), max_size=4)))
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        stage.enrol(gateway)
        for batch in _batches(doubled, cuts):
            stage.send(gateway, *batch)
            stage.reopen()
            stage.sequence()
        for _ in range(3):  # a record by a key not known yet was refused; it is sent again
            stage.send(gateway, *records)
        stage.checkpoint()

        assert stage.frozen(gateway) is None
        assert sorted(stage.stored(gateway)) == sorted(records)
        assert stage.stored(gateway, Status.WAITING) == []
        assert stage.head(gateway) == records[-1]
        assert sorted(stage.logged(gateway)) == sorted(gateway.light())
        assert _in_light_order(stage, gateway)
        assert stage.fsck() == []
        stage.close()


@pytest.mark.parametrize("when", ["before", "after"])
@QUIET
@given(crashes=st.lists(st.integers(0, 12), min_size=1, max_size=4))
def test_a_transaction_that_fails_or_is_unanswered_is_made_good_by_redelivery(
    when: str, crashes: list[int]
) -> None:
    """Goal: the commit fails, or happens and the process dies before it acknowledges.
    Method: raise inside or right after the transaction at some batches; deliver them again."""
    gateway = GATEWAYS[Publishes.READINGS]
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        stage.enrol(gateway)
        for number, record in enumerate(gateway.records):
            if number in crashes:
                if when == "after":
                    stage.send(gateway, record)
                else:
                    with pytest.raises(ZeroDivisionError), stage.store.write():
                        _half_done(stage, gateway, record)
                stage.reopen()
            stage.send(gateway, record)

        assert stage.stored(gateway) == gateway.records
        assert stage.fsck() == []
        stage.close()


def test_a_failed_batch_leaves_nothing_behind_in_memory(stage: Stage) -> None:
    """A transaction that fails must not leave a head in memory that is not on disk."""
    gateway = Gateway()
    stage.enrol(gateway)
    records = gateway.chain(5)
    stage.send(gateway, records[0])
    stage.store._connection.execute(
        "CREATE TEMP TRIGGER refuse BEFORE INSERT ON record WHEN NEW.seq = 3"
        " BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
    )
    with pytest.raises(StoreError, match="disk I/O"):
        stage.send(gateway, *records[1:])
    stage.store._connection.execute("DROP TRIGGER refuse")

    answers = stage.send(gateway, *records[1:])

    assert answers.counts == {"extends": len(records) - 1}


def _half_done(stage: Stage, gateway: Gateway, record: bytes) -> None:
    stage.intake._admission.admit(gateway.id, record, 0)  # type: ignore[arg-type]
    stage.intake._admission.forget()
    raise ZeroDivisionError


def _batches(records: list[bytes], cuts: list[int]) -> Iterator[list[bytes]]:
    for start, end in zip([0, *cuts], [*cuts, len(records)], strict=True):
        yield records[start:end]


def _in_light_order(stage: Stage, gateway: Gateway) -> bool:
    """Each light record is logged after the one that it names."""
    place = {leaf: index for index, leaf in enumerate(stage.logged(gateway))}
    rows = [row for row in stage.store.records.of_device(gateway.id) if row.light_n]
    return all(place[row.light_prev] < place[row.hash] for row in rows if row.light_prev)
