"""A hostile device costs a bounded amount: alarms, disk, files, bodies that nobody signed."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from meterseal.messages import RejectCode
from meterseal.records import decode_record, encode_record
from meterseal.topics import Leaf
from meterseal_aggregator import admission, connecting
from meterseal_aggregator.devicestate import signed
from meterseal_aggregator.forks import EVIDENCE_MAX, write_evidence
from meterseal_aggregator.store import Status, Store
from meterseal_aggregator.store.schema import TABLES, VERSION
from support.aggregator_stage import Stage, message
from support.gateway import Gateway

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal.records import Record
    from meterseal.types import PublicKey


@pytest.fixture
def gateway(stage: Stage) -> Gateway:
    gateway = Gateway()
    stage.enrol(gateway)
    stage.send(gateway, *gateway.chain(3))
    return gateway


def rivals(gateway: Gateway, count: int) -> list[bytes]:
    """Other records at the place of the first reading."""
    record = decode_record(gateway.records[1])
    return [
        encode_record(replace(record, up=record.up + 1 + number), gateway.key)
        for number in range(count)
    ]


def test_a_contradiction_is_an_alarm_when_it_is_new_and_then_no_more(
    stage: Stage, gateway: Gateway
) -> None:
    forged = rivals(gateway, connecting.RIVALS_MAX + 100)

    first = stage.send(gateway, forged[0])
    again = stage.send(gateway, forged[0])
    kept = stage.send(gateway, *forged[1 : connecting.RIVALS_MAX])
    beyond = stage.send(gateway, *forged[connecting.RIVALS_MAX :])

    assert [len(one.alarms) for one in (first, again, kept, beyond)] == [1, 0, 63, 0]
    assert [bool(one.forked) for one in (first, again, kept, beyond)] == [True, False, True, False]
    assert beyond.counts == {"contradicts": 100}
    assert len(stage.stored(gateway, Status.RIVAL)) == connecting.RIVALS_MAX


def test_a_waiting_record_that_breaks_a_rule_when_it_connects_is_an_alarm(stage: Stage) -> None:
    gateway = Gateway("waits")
    stage.enrol(gateway)
    manifest, reading = gateway.manifest(), gateway.reading()
    interval = gateway.interval(root=gateway.state.last)
    stage.send(gateway, manifest, interval)

    answers = stage.send(gateway, reading)

    assert stage.frozen(gateway) is not None
    assert answers.forked == {gateway.id}
    assert len(answers.alarms) == 1


def test_the_evidence_files_of_a_device_are_bounded_and_one_is_enough(
    stage: Stage, gateway: Gateway
) -> None:
    stage.send(gateway, *rivals(gateway, EVIDENCE_MAX + 9))

    paths = write_evidence(stage.store, stage.folder / "evidence", gateway.id)

    assert len(paths) == len(set(paths)) == EVIDENCE_MAX
    assert sorted(paths) == sorted((stage.folder / "evidence").iterdir())


def test_evidence_is_looked_for_at_the_one_device(stage: Stage, gateway: Gateway) -> None:
    stage.send(gateway, *rivals(gateway, 2))
    other = Gateway("other")
    stage.enrol(other)
    stage.send(other, *other.chain(3))
    stage.send(other, *rivals(other, 1))
    read = Counter[str]()
    stage.store._connection.set_trace_callback(lambda sql: read.update([sql.split(" WHERE ")[-1]]))

    (path,) = write_evidence(stage.store, stage.folder / "evidence", other.id)

    assert path.name.startswith(other.id.hex())
    assert sum(times for where, times in read.items() if where.startswith("id = ")) == 2


def test_the_folder_of_an_evidence_file_is_synced(
    stage: Stage, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[bool] = []
    fsync = os.fsync

    def seen(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    stage.send(gateway, *rivals(gateway, 1))

    write_evidence(stage.store, stage.folder / "evidence")

    assert synced == [False, True]


def test_a_replaced_key_that_contradicts_itself_ahead_freezes_nobody_and_costs_little(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: a stolen old key. Method: after the key change it signs ahead, at odds with itself;
    then the true records come."""
    monkeypatch.setattr(connecting, "RIVALS_MAX", 2)
    gateway, thief = Gateway("stolen"), Gateway("stolen")
    stage.enrol(gateway)
    stage.send(gateway, *gateway.chain(1, every=9), *gateway.change_key("new"))
    true = [gateway.event() for _ in range(6)]
    for up in (1, 2):
        forged = [encode_record(replace(decode_record(one), up=up), thief.key) for one in true[1:]]
        stage.send(gateway, *forged)
    assert stage.frozen(gateway) is None

    stage.send(gateway, *true)

    assert stage.frozen(gateway) is None
    assert stage.stored(gateway)[-6:] == true
    assert stage.stored(gateway, Status.WAITING) == []
    assert len(stage.stored(gateway, Status.VOID)) == 2


class Reader:
    """Sees what admission checks and reads, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.did: list[str] = []
        monkeypatch.setattr(admission, "signed", self._signed)
        monkeypatch.setattr(admission, "decode_record", self._decode)

    def _signed(self, data: bytes, key: PublicKey) -> bool:
        self.did.append("signed")
        return signed(data, key)

    def _decode(self, data: bytes) -> Record:
        self.did.append("read")
        return decode_record(data)


def test_a_body_that_no_known_key_signed_is_read_only_so_often(
    stage: Stage, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to the topic makes us parse; nobody's signature is on what he writes."""
    thief = Gateway("thief")
    record = decode_record(gateway.records[1])
    forged = [
        encode_record(replace(record, up=number), thief.key)
        for number in range(admission.UNSIGNED_MAX + 50)
    ]
    reader = Reader(monkeypatch)

    answers = stage.send(gateway, *forged, gateway.event())

    assert reader.did.count("read") == admission.UNSIGNED_MAX + 1
    assert answers.counts == {"invalid": len(forged), "extends": 1}


def test_a_body_is_not_read_before_its_signature_is_checked(
    stage: Stage, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(monkeypatch)

    stage.send(gateway, gateway.event())

    assert reader.did == ["signed", "read"]


def test_rejects_to_many_devices_take_a_time_that_grows_with_their_number(stage: Stage) -> None:
    def took(devices: int) -> float:
        batch = [
            message(Gateway(str(number)).id, Leaf.RECORD, b"\xff") for number in range(devices)
        ] * 20
        started = time.process_time()
        answers = stage.deliver(*batch)
        assert len(answers.rejects) == 16 * devices
        return time.process_time() - started

    took(10)

    assert took(800) < 40 * max(took(100), 0.01)


def test_a_store_of_the_version_before_is_brought_up_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    old = sqlite3.connect(path)
    before, _, rest = TABLES.partition("CREATE TABLE greeting")
    old.executescript(before + "CREATE TABLE record" + rest.partition("CREATE TABLE record")[2])
    old.executescript("PRAGMA application_id = 0x4D534147; PRAGMA user_version = 1;")
    old.execute("INSERT INTO meta VALUES ('origin', x'61')")
    old.commit()
    old.close()

    for _ in range(2):
        with Store(path) as store:
            assert store.fact("origin") == b"a"
            assert store.greetings.owed(1) == []
            (version,) = store._connection.execute("PRAGMA user_version").fetchone()
            assert version == VERSION


def test_rejects_of_one_device_are_bounded(stage: Stage, gateway: Gateway) -> None:
    answers = stage.send(gateway, *rivals(gateway, 40))

    assert len(answers.rejects) == 16
    assert {refused.code for _, refused in answers.rejects} == {RejectCode.CONTRADICTS}
