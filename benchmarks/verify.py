"""What it costs a stranger to check one reading: bytes to carry, and time to judge.

The core evidence of the goals: device key and manifest in the policy, a one-meter reading out of an
interval of 90, a log of 2^20 leaves (random ones, and a real path), three cosignatures, no ledger.
The references are what no scheme of this kind can do without: its signatures and hashes, and the
raw verification of as many signatures.
"""

from __future__ import annotations

import statistics
from hashlib import sha256
from typing import TYPE_CHECKING

import nacl.signing

from harness import Row, interleaved
from meterseal import merkle
from meterseal.checkpoint import Checkpoint, LogPolicy, Witness, sign_checkpoint
from meterseal.evidence import IntervalEvidence, Logged, ReadingEvidence, encode_evidence
from meterseal.keys import SigningKey, device_id
from meterseal.note import Cosigner, Signer
from meterseal.policy import TrustPolicy
from meterseal.records import (
    Body,
    CheckpointPointer,
    Clock,
    Interval,
    Kind,
    Light,
    MeterReading,
    MeterState,
    Reading,
    Record,
    encode_record,
    record_hash,
)
from meterseal.records import (
    Row as RegisterRow,
)
from meterseal.types import Epoch, Hash, Seq, UnixMs
from meterseal_verifier.verdict import Verdict
from meterseal_verifier.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_SIZE = 2**20
READINGS = 90
WITNESSES = 3
BATCH = 50
START_MS = 1_795_446_900_000
FIRST_SEQ = 40_000
PATHS = 7 + 20
"""Hashes on the two paths: of 90 leaves, and of 2^20."""
SIGNATURES = 2 + 1 + WITNESSES
"""Of reading and interval, of the log, of the witnesses."""


def run() -> list[Row]:
    """Build the evidence, see that it passes, and measure."""
    evidence, policy = core_evidence()
    report = verify(evidence, policy)
    if report.verdict is not Verdict.OK:
        raise AssertionError(report.sentence)
    rates = interleaved({"check": repeated(lambda: verify(evidence, policy)), "raw": raw_verifies})
    check_ms, raw_ms = (1000 / statistics.median(rates[name]) for name in ("check", "raw"))
    return [
        Row(
            figure="core evidence of one reading",
            value=len(evidence),
            unit="bytes",
            reference="its signatures and hashes alone",
            reference_value=64 * SIGNATURES + 32 * PATHS,
            goal_of="value",
            goal_op="<=",
            goal_limit=4096,
        ),
        Row(
            figure="check of core evidence",
            value=check_ms,
            unit="ms",
            reference=f"{SIGNATURES} raw signature verifications",
            reference_value=raw_ms,
            goal_of="value",
            goal_op="<=",
            goal_limit=10,
        ),
    ]


def core_evidence() -> tuple[bytes, TrustPolicy]:
    """Build the evidence and the policy of somebody who pins all that it needs."""
    key = seeded("device")
    chain = [signed_reading(key, n) for n in range(READINGS)]
    hashes = [record_hash(each) for each in chain]
    interval = closed_interval(key, hashes)
    index = LOG_SIZE // 3
    levels = tree({index: record_hash(interval)})
    log = Signer(name="log.example.org/meterseal", key=seeded("log"))
    witnesses = [
        Cosigner(name=f"witness-{n}.example.org", key=seeded(f"witness {n}"))
        for n in range(WITNESSES)
    ]
    checkpoint = Checkpoint(origin=log.name, size=LOG_SIZE, root=levels[-1][0])
    times = ((each, START_MS // 1000 + 930) for each in witnesses)
    evidence = ReadingEvidence(
        reading=chain[READINGS // 2],
        path=merkle.inclusion_path(READINGS // 2, hashes),
        interval=IntervalEvidence(
            interval=Logged(
                data=interval,
                index=index,
                path=merkle.inclusion_path_from(index, LOG_SIZE, lambda lv, at: levels[lv][at]),
            ),
            checkpoint=sign_checkpoint(checkpoint, log, *times),
        ),
    )
    policy = TrustPolicy(
        log=LogPolicy(
            origin=log.name,
            log=log.verifier,
            witnesses=tuple(Witness(verifier=w.verifier, owner=w.name) for w in witnesses),
            quorum=WITNESSES,
        ),
        devices={device_id(key.public): key.public},
    )
    return encode_evidence(evidence), policy


def tree(own: dict[int, Hash]) -> list[list[Hash]]:
    """Build all levels of a full tree of random leaves, with our own leaves in it."""
    level = [Hash(sha256(n.to_bytes(8, "big")).digest()) for n in range(LOG_SIZE)]
    for index, leaf in own.items():
        level[index] = leaf
    levels = [level]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [merkle.node_hash(left, right) for left, right in pairs]
        levels.append(level)
    return levels


def signed_reading(key: SigningKey, n: int) -> bytes:
    """Sign one reading of seven quantities with the raw words of both billing counters."""
    values: dict[int, int | None] = {
        1: 1_234_567 + 7 * n,
        2: 89_012,
        16: -1_512,
        24: 230_123,
        27: 6_571,
        32: 50_012,
        33: 998,
    }
    raw: dict[int, bytes | None] = {1: bytes.fromhex("449a522b"), 2: bytes.fromhex("42b20625")}
    meter = MeterReading(meter=0, state=MeterState.GOOD, offset_ms=0, values=values, raw=raw)
    body = Reading(meters=(meter,))
    return encode_record(record(key, body, FIRST_SEQ + n, START_MS + 10_000 * n), key)


def closed_interval(key: SigningKey, hashes: list[Hash]) -> bytes:
    """Close the quarter-hour over the readings."""
    row = RegisterRow(
        meter=0,
        state=MeterState.GOOD,
        clock=Clock.SYNCHRONISED,
        flags=0,
        opening_import_wh=1_234_567,
        opening_export_wh=89_012,
        closing_import_wh=1_235_197,
        closing_export_wh=89_012,
        opening_offset_ms=120,
        closing_offset_ms=140,
        meter_id=bytes(range(16)),
    )
    body = Interval(
        start=UnixMs(START_MS),
        end=UnixMs(START_MS + 900_000),
        first_seq=Seq(FIRST_SEQ),
        count=len(hashes),
        root=merkle.root(hashes),
        manifest_hash=Hash(sha256(b"manifest").digest()),
        checkpoint=CheckpointPointer(size=LOG_SIZE - 400, root=hashes[0]),
        flags=0,
        rows=(row,),
    )
    return encode_record(record(key, body, FIRST_SEQ + READINGS, START_MS + 900_140), key)


def record(key: SigningKey, body: Body, seq: int, time_ms: int) -> Record:
    """Put a body into a record of the device."""
    logged = body.kind is not Kind.READING
    return Record(
        device=device_id(key.public),
        epoch=Epoch(0),
        seq=Seq(seq),
        time=UnixMs(time_ms),
        clock=Clock.SYNCHRONISED,
        prev=Hash(sha256(seq.to_bytes(8, "big")).digest()),
        kind=body.kind,
        body=body,
        up=time_ms - START_MS + 10**8,
        light=Light(n=412, hash=Hash(sha256(b"light").digest())) if logged else None,
    )


def raw_verifies() -> int:
    """Verify as many raw signatures as the evidence holds, over as many bytes as a reading has."""
    key = nacl.signing.SigningKey(bytes(32))
    message = bytes(240)
    signature = key.sign(message).signature
    for _ in range(BATCH * SIGNATURES):
        key.verify_key.verify(message, signature)
    return BATCH


def repeated(work: Callable[[], object]) -> Callable[[], int]:
    """Repeat `work` a batch of times."""

    def repeat() -> int:
        for _ in range(BATCH):
            work()
        return BATCH

    return repeat


def seeded(role: str) -> SigningKey:
    """Make the key of a role."""
    return SigningKey.from_seed(sha256(role.encode()).digest())
