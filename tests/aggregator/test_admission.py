"""The five outcomes of protocol 5, and what must never lead to one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meterseal.errors import EncodingError
from meterseal.evidence import ForkEvidence, decode_evidence
from meterseal.messages import RejectCode
from meterseal.records import Publishes, decode_record, record_hash
from meterseal_aggregator import admission
from meterseal_aggregator.forks import write_evidence
from meterseal_aggregator.store import Status
from support.gateway import Gateway, key_of

if TYPE_CHECKING:
    from support.aggregator_stage import Stage


@pytest.fixture
def gateway(stage: Stage) -> Gateway:
    gateway = Gateway()
    stage.enrol(gateway)
    return gateway


def light(records: list[bytes]) -> list[bytes]:
    return [record_hash(data) for data in records if decode_record(data).light is not None]


def test_a_chain_is_stored_and_its_light_records_are_logged_in_order(
    stage: Stage, gateway: Gateway
) -> None:
    records = gateway.chain(9)

    answers = stage.send(gateway, *records)
    stage.sequence()

    assert answers.counts == {"extends": len(records)}
    assert stage.stored(gateway) == records
    assert stage.head(gateway) == records[-1]
    assert stage.logged(gateway) == light(records)


def test_the_same_record_again_is_known_and_changes_nothing(stage: Stage, gateway: Gateway) -> None:
    records = gateway.chain(4)
    stage.send(gateway, *records)

    answers = stage.send(gateway, *records)

    assert answers.counts == {"known": len(records)}
    assert answers.known == {gateway.id}
    assert stage.stored(gateway) == records


def test_a_record_whose_predecessor_is_missing_waits_outside_head_and_log(
    stage: Stage, gateway: Gateway
) -> None:
    first, second, third, interval = gateway.chain(2, every=2)
    stage.send(gateway, first)

    answers = stage.send(gateway, third, interval)
    stage.sequence()

    assert answers.counts == {"ahead": 2}
    assert stage.head(gateway) == first
    assert stage.logged(gateway) == [record_hash(first)]
    assert stage.stored(gateway, Status.WAITING) == [third, interval]

    stage.send(gateway, second)
    stage.sequence()

    assert stage.head(gateway) == interval
    assert stage.logged(gateway) == [record_hash(first), record_hash(interval)]


def test_two_records_at_one_place_freeze_the_device_and_both_are_kept(
    stage: Stage, gateway: Gateway
) -> None:
    records = gateway.chain(3)
    before = gateway.state
    honest = gateway.reading(power_w=1)
    gateway.state = before
    forged = gateway.reading(power_w=9999)
    stage.send(gateway, *records, honest)

    answers = stage.send(gateway, forged)

    assert answers.counts == {"contradicts": 1}
    assert answers.rejects[0][1].code is RejectCode.CONTRADICTS
    assert stage.frozen(gateway) is not None
    assert stage.head(gateway) == honest
    assert stage.stored(gateway, Status.RIVAL) == [forged]


def test_the_evidence_of_a_fork_names_both_records_and_is_written_once(
    stage: Stage, gateway: Gateway
) -> None:
    stage.send(gateway, gateway.manifest())
    before = gateway.state
    honest = gateway.reading(1)
    gateway.state = before
    forged = gateway.reading(2)
    stage.send(gateway, honest, forged)

    (path,) = write_evidence(stage.store, stage.folder / "evidence")
    (again,) = write_evidence(stage.store, stage.folder / "evidence")

    assert path == again
    assert path.name == f"{gateway.id.hex()}-fork-1.evidence"
    assert decode_evidence(path.read_bytes()) == ForkEvidence(record=forged, rival=honest)


def test_a_frozen_device_gets_no_further_and_is_told_so(stage: Stage, gateway: Gateway) -> None:
    stage.send(gateway, gateway.manifest())
    before = gateway.state
    honest = gateway.reading(1)
    gateway.state = before
    forged = gateway.reading(2)
    after_forged = gateway.reading(3)
    stage.send(gateway, honest, forged)

    answers = stage.send(gateway, after_forged)

    assert answers.rejects[0][1].code in {RejectCode.FROZEN, RejectCode.CONTRADICTS}
    assert stage.head(gateway) == honest


def test_a_light_record_that_names_another_light_record_contradicts(
    stage: Stage, gateway: Gateway
) -> None:
    stage.send(gateway, gateway.manifest())
    before = gateway.state
    event = gateway.event()
    gateway.state = before
    gateway.reading()
    other = gateway.event()
    stage.send(gateway, event)

    answers = stage.send(gateway, other)

    assert answers.counts == {"contradicts": 1}


def test_two_restores_of_one_epoch_are_two_cards_with_one_key(
    stage: Stage, gateway: Gateway
) -> None:
    stage.send(gateway, *gateway.chain(2))
    card = gateway.state
    gateway.reading()
    stage.send(gateway, gateway.records[-1])
    first = gateway.restore(nonce=b"1" * 16)
    gateway.state = card
    second = gateway.restore(nonce=b"2" * 16)
    stage.send(gateway, first)

    answers = stage.send(gateway, second)

    assert answers.counts == {"contradicts": 1}
    assert stage.head(gateway) == first


def test_a_restore_may_continue_an_older_connected_record_and_becomes_the_head(
    stage: Stage, gateway: Gateway
) -> None:
    stage.send(gateway, *gateway.chain(2))
    card = gateway.state
    stage.send(gateway, gateway.reading(), gateway.event())
    gateway.state = card

    answers = stage.send(gateway, gateway.restore(), gateway.reading())

    assert answers.counts == {"extends": 2}
    assert stage.head(gateway) == gateway.records[-1]
    assert stage.frozen(gateway) is None


def test_late_records_of_the_older_epoch_are_stored_and_logged_but_are_not_the_head(
    stage: Stage, gateway: Gateway
) -> None:
    stage.send(gateway, *gateway.chain(2))
    card = gateway.state
    late = [gateway.reading(), gateway.event()]
    gateway.state = card
    restore = gateway.restore()
    stage.send(gateway, restore)

    answers = stage.send(gateway, *late)
    stage.sequence()

    assert answers.counts == {"extends": 2}
    assert stage.head(gateway) == restore
    assert record_hash(late[1]) in stage.logged(gateway)


def test_after_a_key_change_the_old_key_signs_nothing(stage: Stage, gateway: Gateway) -> None:
    stage.send(gateway, *gateway.chain(2))
    old = gateway.key
    stage.send(gateway, *gateway.change_key("new"), gateway.reading())
    new, gateway.key = gateway.key, old
    before = gateway.state
    by_old = gateway.reading()
    gateway.key, gateway.state = new, before

    answers = stage.send(gateway, by_old)
    honest = stage.send(gateway, gateway.reading())

    assert answers.counts == {"invalid": 1}
    assert honest.counts == {"extends": 1}
    assert stage.frozen(gateway) is None


def test_a_stolen_old_key_cannot_freeze_a_device_by_signing_ahead(
    stage: Stage, gateway: Gateway
) -> None:
    """Goal: a thief with the replaced key plants a record ahead of the honest one; it must not
    convict. Method: the planted record waits; then the honest record at its place comes."""
    stage.send(gateway, *gateway.chain(2))
    old = gateway.key
    stage.send(gateway, *gateway.change_key("new"))
    new, before = gateway.key, gateway.state
    gateway.reading()
    gateway.key = old
    planted = gateway.reading(power_w=666)
    gateway.key, gateway.state = new, before
    stage.send(gateway, planted)

    answers = stage.send(gateway, gateway.reading(), gateway.reading())

    assert answers.counts == {"extends": 2}
    assert stage.frozen(gateway) is None


def test_a_restore_by_the_replaced_key_is_refused(stage: Stage, gateway: Gateway) -> None:
    stage.send(gateway, *gateway.chain(2))
    card, old = gateway.state, gateway.key
    stage.send(gateway, *gateway.change_key("new"))
    stolen = Gateway("thief")
    stolen.id, stolen.key, stolen.state = gateway.id, old, card

    answers = stage.send(gateway, stolen.restore())

    assert answers.counts == {"invalid": 1}


@pytest.mark.parametrize("position", [0, 1])
def test_a_record_by_another_key_is_dropped(stage: Stage, gateway: Gateway, position: int) -> None:
    records = [gateway.manifest()]
    if position == 0:
        gateway.state, records = type(gateway.state)(), []
    stage.send(gateway, *records)
    gateway.key = key_of("foreign")
    forged = gateway.manifest() if position == 0 else gateway.reading()

    answers = stage.send(gateway, forged)

    assert answers.counts == {"invalid": 1}
    assert stage.stored(gateway) == records


def test_an_unenrolled_device_is_refused_and_nothing_is_kept(stage: Stage) -> None:
    stranger = Gateway("stranger")

    answers = stage.send(stranger, stranger.manifest())

    assert [reject.code for _, reject in answers.rejects] == [RejectCode.NOT_ENROLLED]
    assert stage.store.records.count() == 0


def test_a_record_of_another_device_on_this_topic_is_dropped(
    stage: Stage, gateway: Gateway
) -> None:
    other = Gateway("other")
    stage.enrol(other)

    answers = stage.send(gateway, other.manifest())

    assert answers.counts == {"invalid": 1}


def test_a_device_that_keeps_its_readings_connects_by_its_light_chain(stage: Stage) -> None:
    gateway = Gateway("quiet", publishes=Publishes.INTERVALS)
    stage.enrol(gateway)
    records = gateway.chain(9)
    published = [data for data in records if decode_record(data).light is not None]

    answers = stage.send(gateway, *reversed(published))
    stage.sequence()

    assert answers.counts["ahead"] == len(published) - 1
    assert stage.stored(gateway) == published
    assert stage.logged(gateway) == light(records)


def test_a_device_that_publishes_readings_does_not_connect_without_them(
    stage: Stage, gateway: Gateway
) -> None:
    records = gateway.chain(3)
    published = [data for data in records if decode_record(data).light is not None]

    stage.send(gateway, *published)

    assert stage.stored(gateway) == [records[0]]


def test_an_interval_whose_root_is_not_that_of_its_readings_contradicts(
    stage: Stage, gateway: Gateway
) -> None:
    stage.send(gateway, gateway.manifest(), gateway.reading())

    answers = stage.send(gateway, gateway.interval(root=record_hash(b"another")))

    assert answers.counts == {"contradicts": 1}
    assert write_evidence(stage.store, stage.folder / "evidence") == []


def test_a_genesis_that_names_a_predecessor_needs_an_enrolment_that_names_it(
    stage: Stage,
) -> None:
    old_last = record_hash(b"the last record of the old device")
    gateway = Gateway("replacement")
    stage.enrol(gateway)
    genesis = gateway.manifest(prev=old_last)

    refused = stage.send(gateway, genesis)
    stage.enrol(gateway, replaces=(Gateway("old").id, old_last))
    stage.reopen()
    accepted = stage.send(gateway, genesis)

    assert refused.counts == {"invalid": 1}
    assert accepted.counts == {"extends": 1}


def test_waiting_records_are_bounded_and_the_device_is_told(
    stage: Stage, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "WAITING_MAX", 3)
    records = gateway.chain(8, every=99)
    stage.send(gateway, records[0])

    answers = stage.send(gateway, *records[2:])

    codes = [reject.code for _, reject in answers.rejects]
    assert codes == [RejectCode.TOO_FAR_AHEAD] * (len(records) - 2 - 3)
    assert len(stage.stored(gateway, Status.WAITING)) == 3
    stage.send(gateway, *records)
    assert stage.stored(gateway) == records


def test_rubbish_never_raises_and_is_never_stored(stage: Stage, gateway: Gateway) -> None:
    record = gateway.manifest()
    for size in range(0, len(record), 7):
        stage.send(gateway, record[:size])
        stage.send(gateway, record[:size] + b"\xff" + record[size + 1 :])

    assert stage.store.records.count() == 0
    with pytest.raises(EncodingError):
        decode_record(record[:-1])
