"""A gateway that only signs: chains of records as a device makes them, honest or not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from meterseal import merkle
from meterseal.keys import SigningKey, device_id
from meterseal.records import (
    Body,
    Clock,
    Event,
    EventCode,
    Interval,
    KeyChange,
    Kind,
    Light,
    Manifest,
    MeterIdentity,
    MeterReading,
    MeterState,
    Publishes,
    Reading,
    Record,
    Restore,
    RestoreReason,
    decode_record,
    encode_record,
    record_hash,
)
from meterseal.types import ZERO_HASH, Epoch, Hash, PublicKey, Seq, UnixMs

START_MS = 1_795_446_900_000  # 2026-11-23 15:15:00 UTC
METER = MeterIdentity(
    make="Eastron",
    model="SDM630",
    serial="20260001",
    firmware="1.40",
    profile="eastron-sdm630",
    profile_hash=Hash(hashlib.sha256(b"profile").digest()),
    bus="rs485",
    address=1,
)


def key_of(seed: str) -> SigningKey:
    return SigningKey.from_seed(hashlib.sha256(seed.encode()).digest())


@dataclass(frozen=True, slots=True)
class State:
    """A card: copy it, and two gateways have one key."""

    epoch: int = 0
    seq: int = -1
    last: Hash = ZERO_HASH
    light_n: int = -1
    light: Hash = ZERO_HASH
    time: int = START_MS
    tree: tuple[Hash, ...] = ()
    first_seq: int = 0
    manifest: Hash = ZERO_HASH


class Gateway:
    """One device; every method returns the bytes of the record it signed."""

    def __init__(self, seed: str = "gateway", publishes: Publishes = Publishes.READINGS) -> None:
        self.key = key_of(seed)
        self.genesis = self.key.public
        self.id = device_id(self.key.public)
        self.publishes = publishes
        self.state = State()
        self.records: list[bytes] = []

    def manifest(self, *, prev: Hash | None = None) -> bytes:
        if prev is not None:
            self.state = replace(self.state, last=prev)
        data = self.sign(
            Kind.MANIFEST,
            Manifest(
                public_key=self.key.public,
                witness_key=None,
                evidence_key=None,
                software="test 1",
                meters=(METER,),
                s0=(),
                interval_s=900,
                tolerance_ms=5000,
                publishes=self.publishes,
            ),
        )
        self.state = replace(self.state, manifest=record_hash(data))
        return data

    def reading(self, power_w: int = 1) -> bytes:
        return self.sign(
            Kind.READING,
            Reading(
                meters=(
                    MeterReading(
                        meter=0,
                        state=MeterState.GOOD,
                        offset_ms=0,
                        values={1: 1000 + self.state.seq, 16: power_w},
                        raw={},
                    ),
                )
            ),
        )

    def interval(self, *, root: Hash | None = None) -> bytes:
        state = self.state
        data = self.sign(
            Kind.INTERVAL,
            Interval(
                start=UnixMs(state.time - 900_000),
                end=UnixMs(state.time),
                first_seq=Seq(state.first_seq),
                count=len(state.tree),
                root=root or merkle.root(state.tree),
                manifest_hash=state.manifest,
                checkpoint=None,
                flags=0,
                rows=(),
            ),
        )
        self.state = replace(self.state, tree=(), first_seq=self.state.seq + 1)
        return data

    def event(self) -> bytes:
        return self.sign(Kind.EVENT, Event(code=EventCode.BUTTON, detail=()))

    def restore(self, nonce: bytes = bytes(16), epoch: int | None = None) -> bytes:
        state = self.state
        self.state = replace(
            state,
            epoch=state.epoch + 1 if epoch is None else epoch,
            tree=(),
            first_seq=state.seq + 1,
        )
        return self.sign(
            Kind.RESTORE, Restore(reason=RestoreReason.OFFLINE_START, nonce=nonce, missing=None)
        )

    def change_key(self, seed: str) -> list[bytes]:
        new = key_of(seed)
        change = self.sign(Kind.KEY_CHANGE, KeyChange(public_key=PublicKey(new.public)))
        self.key = new
        return [change, self.manifest()]

    def chain(self, readings: int, *, every: int = 3) -> list[bytes]:
        """A genesis and some readings with an interval after every few of them."""
        records = [self.manifest()]
        for number in range(readings):
            records.append(self.reading())
            if number % every == every - 1:
                records.append(self.interval())
        return records

    def light(self) -> list[Hash]:
        """Hashes of all light records so far, in order."""
        decoded = [(data, decode_record(data)) for data in self.records]
        return [record_hash(data) for data, record in decoded if record.light is not None]

    def sign(self, kind: Kind, body: Body) -> bytes:
        state = self.state
        light = None
        if kind is not Kind.READING:
            light = Light(n=state.light_n + 1, hash=state.light)
        record = Record(
            device=self.id,
            epoch=Epoch(state.epoch),
            seq=Seq(state.seq + 1),
            time=UnixMs(state.time + 10_000),
            clock=Clock.SYNCHRONISED,
            prev=state.last,
            kind=kind,
            body=body,
            up=state.time - START_MS,
            light=light,
        )
        data = encode_record(record, self.key)
        this = record_hash(data)
        self.state = replace(
            state,
            seq=record.seq,
            last=this,
            time=record.time,
            tree=(*state.tree, this),
            light_n=state.light_n if light is None else light.n,
            light=state.light if light is None else this,
        )
        self.records.append(data)
        return data
