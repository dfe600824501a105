"""An honest small world: one device, one log with witnesses, one ledger, all named by a seed.

    world = World.build()
    world.reading_evidence()            # a file that proves one reading
    world.policy()                      # a checker who pins all of it

Two worlds of different seeds share no key. Nothing here is random: the same seed gives the same
bytes, so a test that fails fails again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from meterseal import merkle
from meterseal.bodies import (
    Body,
    Clock,
    Interval,
    KeyChange,
    Kind,
    Manifest,
    MeterIdentity,
    MeterReading,
    MeterState,
    Publishes,
    Reading,
)
from meterseal.checkpoint import Checkpoint, LogPolicy, Witness, sign_checkpoint
from meterseal.evidence import (
    AnchorMismatchEvidence,
    ForkEvidence,
    IntervalEvidence,
    Logged,
    ReadingEvidence,
    RollbackEvidence,
    SplitViewEvidence,
)
from meterseal.keys import SigningKey, device_id
from meterseal.note import Cosigner, Signer
from meterseal.policy import TrustPolicy
from meterseal.records import Light, Record, encode_record, record_hash
from meterseal.rows import Row, meter_id
from meterseal.statements import Enrolment, encode_enrolment
from meterseal.types import ZERO_HASH, DeviceId, Epoch, Hash, Seq, UnixMs
from support.small_ledger import SmallLedger

if TYPE_CHECKING:
    from collections.abc import Mapping

START_MS = 1_795_446_900_000  # 2026-11-23 15:15:00 UTC, a quarter-hour
INTERVAL_MS = 900_000
LEAVES_OF_OTHERS = 37

METER = MeterIdentity(
    make="Eastron",
    model="SDM630",
    serial="20260001",
    firmware="1.40",
    profile="eastron-sdm630",
    profile_hash=Hash(sha256(b"profile").digest()),
    bus="rs485",
    address=1,
)


def key(seed: str, role: str) -> SigningKey:
    """Make a key that only this seed and role give."""
    return SigningKey.from_seed(sha256(f"{seed} {role}".encode()).digest())


@dataclass(slots=True)
class Chain:
    """A device's records in order, each signed and linked."""

    device: DeviceId
    records: list[bytes] = field(default_factory=list)
    epoch: int = 0
    light_n: int = -1
    light_hash: Hash = ZERO_HASH

    @property
    def seq(self) -> int:
        """Number of the next record."""
        return len(self.records)

    def next_record(self, body: Body, time_ms: int) -> Record:
        """Build the record that continues the chain."""
        light = None
        if body.kind is not Kind.READING:
            light = Light(n=self.light_n + 1, hash=self.light_hash)
        return Record(
            device=self.device,
            epoch=Epoch(self.epoch),
            seq=Seq(self.seq),
            time=UnixMs(time_ms),
            clock=Clock.SYNCHRONISED,
            prev=record_hash(self.records[-1]) if self.records else ZERO_HASH,
            kind=body.kind,
            body=body,
            up=time_ms - START_MS + 60_000,
            light=light,
        )

    def append(self, body: Body, time_ms: int, signer: SigningKey) -> bytes:
        """Sign the next record and move the head."""
        data = encode_record(self.next_record(body, time_ms), signer)
        self.records.append(data)
        if body.kind is not Kind.READING:
            self.light_n += 1
            self.light_hash = record_hash(data)
        return data


def manifest(signer: SigningKey) -> Manifest:
    """Describe the device as it is with this key."""
    return Manifest(
        public_key=signer.public,
        software="meterseal-agent 0.1.0",
        meters=(METER,),
        interval_s=900,
        tolerance_ms=5000,
        publishes=Publishes.READINGS,
    )


def reading(n: int) -> Reading:
    """Read the meter for the n-th time."""
    values: Mapping[int, int | None] = {1: 1_234_500 + 7 * n, 2: 98_760, 16: 2520, 24: 231_400}
    raw: Mapping[int, bytes | None] = {1: (1_234_500 + 7 * n).to_bytes(4, "big"), 2: None}
    meter = MeterReading(meter=0, state=MeterState.GOOD, offset_ms=0, values=values, raw=raw)
    return Reading(meters=(meter,))


def interval(leaves: list[Hash], first_seq: int, manifest_hash: Hash) -> Interval:
    """Close the quarter-hour over these leaves."""
    row = Row(
        meter=0,
        state=MeterState.GOOD,
        clock=Clock.SYNCHRONISED,
        flags=0,
        opening_import_wh=1_234_500,
        opening_export_wh=98_760,
        closing_import_wh=1_235_130,
        closing_export_wh=98_760,
        opening_offset_ms=120,
        closing_offset_ms=140,
        meter_id=meter_id(METER),
    )
    return Interval(
        start=UnixMs(START_MS),
        end=UnixMs(START_MS + INTERVAL_MS),
        first_seq=Seq(first_seq),
        count=len(leaves),
        root=merkle.root(leaves),
        manifest_hash=manifest_hash,
        checkpoint=None,
        flags=0,
        rows=(row,),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """Everything that evidence is made of.

    Attributes:
        device_key: The genesis key.
        signing_key: The key in force at the interval.
        records: The device's chain; the interval is its last record.
        first_seq: First record of the interval's tree.
        leaves: Leaf hashes of the log.
        enrolment: The enrolment statement, as logged.
    """

    seed: str
    device_key: SigningKey
    signing_key: SigningKey
    log: Signer
    witnesses: tuple[Cosigner, ...]
    enrolment_key: SigningKey
    enrolment: bytes
    ledger: SmallLedger
    records: tuple[bytes, ...]
    first_seq: int
    manifest: bytes
    key_changes: tuple[bytes, ...]
    leaves: tuple[Hash, ...]

    @classmethod
    def build(
        cls,
        seed: str = "ours",
        *,
        readings: int = 12,
        witnesses: int = 3,
        key_changes: int = 0,
        enrolment: Mapping[str, object] | None = None,
    ) -> World:
        """Build a world; `enrolment` overrides fields of the enrolment statement."""
        device_key = signer = key(seed, "device")
        chain = Chain(device=device_id(device_key.public))
        in_force = chain.append(manifest(signer), START_MS - 20_000, signer)
        changed: list[bytes] = []
        for n in range(key_changes):
            new = key(seed, f"device, key {n + 1}")
            changed.append(
                chain.append(KeyChange(public_key=new.public), START_MS - 10_000, signer)
            )
            signer = new
            in_force = chain.append(manifest(signer), START_MS - 10_000, signer)
            changed.append(in_force)
        for n in range(readings):
            chain.append(reading(n), START_MS + 120 + 10_000 * n, signer)
        hashes = [record_hash(each) for each in chain.records]
        body = interval(hashes, 0, record_hash(in_force))
        chain.append(body, START_MS + INTERVAL_MS + 140, signer)

        enrolment_key = key(seed, "enrolment")
        statement = Enrolment(
            device=chain.device,
            public_key=device_key.public,
            metering_point="DE0001234567890000000000000000001",
            serials=(METER.serial,),
            role="grid",
            valid_from=UnixMs(START_MS - 86_400_000),
        )
        statement = replace(statement, **(enrolment or {}))  # type: ignore[arg-type]
        enrolled = encode_enrolment(statement, enrolment_key)
        others = [merkle.leaf_hash(f"{seed} other {n}".encode()) for n in range(LEAVES_OF_OTHERS)]
        own = [enrolled, chain.records[0], *changed, chain.records[-1]]
        leaves = [*others[:20], *(merkle.leaf_hash(each) for each in own), *others[20:]]
        return cls(
            seed=seed,
            device_key=device_key,
            signing_key=signer,
            log=Signer(name=f"log.{seed}.example/meterseal", key=key(seed, "log")),
            witnesses=tuple(
                Cosigner(name=f"witness-{n}.{seed}.example", key=key(seed, f"witness {n}"))
                for n in range(witnesses)
            ),
            enrolment_key=enrolment_key,
            enrolment=enrolled,
            ledger=SmallLedger(seed=seed),
            records=tuple(chain.records),
            first_seq=0,
            manifest=in_force,
            key_changes=tuple(changed),
            leaves=tuple(leaves),
        )

    @property
    def device(self) -> DeviceId:
        return device_id(self.device_key.public)

    @property
    def interval(self) -> bytes:
        return self.records[-1]

    @property
    def readings(self) -> tuple[bytes, ...]:
        return self.records[1 + len(self.key_changes) : -1]

    @property
    def root(self) -> Hash:
        return merkle.root(self.leaves)

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint(origin=self.log.name, size=len(self.leaves), root=self.root)

    def note(self, checkpoint: Checkpoint | None = None, cosigned_by: int | None = None) -> bytes:
        """Sign a checkpoint with the real log key, and the first few witnesses."""
        times = enumerate(self.witnesses[:cosigned_by], START_MS // 1000 + 930)
        cosigners = [(witness, time_s) for time_s, witness in times]
        return sign_checkpoint(checkpoint or self.checkpoint, self.log, *cosigners)

    def logged(self, data: bytes) -> Logged:
        """Give a leaf with its place in the log."""
        index = self.leaves.index(merkle.leaf_hash(data))
        path = merkle.inclusion_path(index, self.leaves)
        return Logged(data=data, index=index, path=path)

    def ledger_proof(self, roots: dict[int, Hash] | None = None, **options: int) -> bytes:
        """Prove what the ledger holds for the log's size: its root, if nothing else is said."""
        size = len(self.leaves)
        held = {size: self.root} if roots is None else roots
        return self.ledger.prove(self.log.name, size, held, **options).encode()

    def interval_evidence(self, *, full: bool = False) -> IntervalEvidence:
        """Prove the interval; `full` adds every optional part."""
        core = IntervalEvidence(
            interval=self.logged(self.interval),
            checkpoint=self.note(),
            key_changes=tuple(self.logged(each) for each in self.key_changes),
        )
        if not full:
            return core
        return replace(
            core,
            manifest=self.logged(self.manifest),
            enrolment=self.logged(self.enrolment),
            ledger=self.ledger_proof(),
        )

    def reading_evidence(self, n: int = 5, *, full: bool = False) -> ReadingEvidence:
        """Prove the n-th reading."""
        data = self.readings[n]
        hashes = [record_hash(each) for each in self.records[self.first_seq : -1]]
        index = self.records.index(data) - self.first_seq
        return ReadingEvidence(
            reading=data,
            path=merkle.inclusion_path(index, hashes),
            interval=self.interval_evidence(full=full),
        )

    def fork_evidence(self, n: int = 5) -> ForkEvidence:
        """Show the n-th reading and another one, signed by the real key at the same place."""
        return ForkEvidence(record=self.readings[n], rival=self.rival_reading(n))

    def rival_reading(self, n: int = 5) -> bytes:
        """Sign the n-th reading again, with other numbers."""
        honest = self.readings[n]
        chain = Chain(device=self.device, records=list(self.records[: self.records.index(honest)]))
        record = chain.next_record(reading(n + 1000), START_MS + 120 + 10_000 * n)
        return encode_record(record, self.signing_key)

    def split_view_evidence(self) -> SplitViewEvidence:
        """Show the checkpoint and another one of the same size, signed by the real log key."""
        other = replace(self.checkpoint, root=Hash(sha256(b"another history").digest()))
        return SplitViewEvidence(checkpoint=self.note(), rival=self.note(other, cosigned_by=0))

    @property
    def operator(self) -> Cosigner:
        """The operator's own cosignature key."""
        return Cosigner(name=f"{self.log.name}/operator", key=key(self.seed, "operator"))

    def operators_note(self, size: int, time_s: int) -> bytes:
        """Sign the log at a size, and cosign it as the operator alone."""
        tree = replace(self.checkpoint, size=size, root=merkle.root(self.leaves[:size]))
        return sign_checkpoint(tree, self.log, (self.operator, time_s))

    def rollback_evidence(self) -> RollbackEvidence:
        """Show the checkpoint and a smaller one that the operator cosigned a minute later."""
        time_s = START_MS // 1000 + 930
        return RollbackEvidence(
            checkpoint=self.operators_note(len(self.leaves), time_s),
            rival=self.operators_note(len(self.leaves) - 9, time_s + 60),
        )

    def mismatch_evidence(self) -> AnchorMismatchEvidence:
        """Show the checkpoint and a ledger that holds another root for its size."""
        other = {len(self.leaves): Hash(sha256(b"another history").digest())}
        return AnchorMismatchEvidence(checkpoint=self.note(), ledger=self.ledger_proof(other))

    def policy(
        self,
        *,
        ledger: bool = False,
        pinned: bool = True,
        quorum: int = 2,
        operator: bool = False,
    ) -> TrustPolicy:
        """Pin this world, as a checker who believes all of it would."""
        return TrustPolicy(
            log=LogPolicy(
                origin=self.log.name,
                log=self.log.verifier,
                witnesses=tuple(
                    Witness(verifier=each.verifier, owner=f"owner {n}")
                    for n, each in enumerate(self.witnesses)
                ),
                quorum=quorum,
                operator=self.operator.verifier if operator else None,
            ),
            devices={self.device: self.device_key.public} if pinned else {},
            enrolment_keys=frozenset({self.enrolment_key.public}),
            ledger=self.ledger.policy if ledger else None,
        )
