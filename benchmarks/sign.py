"""What a signed reading costs beyond its signature.

Signing: build the record, write it deterministically, sign, hash, move the chain's head; against
PyNaCl's own `SigningKey.sign` over a message of the same length. Verifying: strict reading and
signature; against `VerifyKey.verify`. A one-meter reading of seven quantities, one core, no disk.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import nacl.signing

from harness import Row, interleaved, median_ratio
from meterseal import chain, cose
from meterseal.keys import SigningKey, device_id
from meterseal.records import (
    Clock,
    Kind,
    MeterReading,
    MeterState,
    Reading,
    Record,
    encode_record,
    open_record,
    record_hash,
)
from meterseal.types import Epoch, Hash, Seq, UnixMs

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 1000
ROUNDS = 15
SEED = bytes(range(32))
METER = MeterReading(
    meter=0,
    state=MeterState.GOOD,
    offset_ms=0,
    values={1: 1_234_567, 2: 89_012, 16: -1_512, 24: 230_123, 27: 6_571, 32: 50_012, 33: 998},
    raw={1: bytes.fromhex("449a522b"), 2: bytes.fromhex("42b20625")},
)
HEAD = chain.Head(
    device=device_id(SigningKey.from_seed(SEED).public),
    epoch=Epoch(0),
    seq=Seq(4711),
    hash=Hash(bytes(range(32, 64))),
    light_n=52,
    light_hash=Hash(bytes(range(64, 96))),
    time=UnixMs(1_780_000_000_000),
)


def run() -> list[Row]:
    """Measure both directions, interleaved with their references."""
    key = SigningKey.from_seed(SEED)
    reading = encode_record(next_reading(HEAD), key)
    envelope = cose.parse1(reading, cose.RECORD)
    raw = nacl.signing.SigningKey(SEED)
    rates = interleaved(
        {
            "raw sign": batch(lambda: raw.sign(envelope.to_be_signed).signature),
            "sign": lambda: sign_a_chain(key),
            "raw verify": batch(
                lambda: raw.verify_key.verify(envelope.to_be_signed, envelope.signature)
            ),
            "verify": batch(lambda: open_record(reading, key.public)),
        },
        rounds=ROUNDS,
    )
    return [
        row("sign, encode and chain a reading", rates["sign"], "raw sign", rates["raw sign"], 0.60),
        row(
            "strict reading and signature", rates["verify"], "raw verify", rates["raw verify"], 0.75
        ),
        Row(
            figure="one-meter reading",
            value=len(reading),
            unit="bytes",
            reference="its signature",
            reference_value=64,
        ),
    ]


def next_reading(head: chain.Head) -> Record:
    """Build the reading that follows `head` ten seconds later."""
    return Record(
        device=head.device,
        epoch=head.epoch,
        seq=Seq(head.seq + 1),
        time=UnixMs(head.time + 10_000),
        clock=Clock.SYNCHRONISED,
        prev=head.hash,
        kind=Kind.READING,
        body=Reading(meters=(METER,)),
        up=head.seq * 10_000,
        light=None,
    )


def sign_a_chain(key: SigningKey) -> int:
    """Sign a batch of readings, each of which names the one before."""
    head = HEAD
    for _ in range(BATCH):
        record = next_reading(head)
        head = chain.advance(head, record, record_hash(encode_record(record, key)))
    return BATCH


def batch(work: Callable[[], object]) -> Callable[[], int]:
    """Repeat `work` a batch of times."""

    def repeat() -> int:
        for _ in range(BATCH):
            work()
        return BATCH

    return repeat


def row(
    figure: str, rates: list[float], reference: str, reference_rates: list[float], least: float
) -> Row:
    """Compare medians, pair by pair."""
    median = statistics.median(reference_rates)
    return Row(
        figure=figure,
        value=median * median_ratio(rates, reference_rates),
        unit="1/s",
        reference=reference,
        reference_value=median,
        goal_of="ratio",
        goal_op=">=",
        goal_limit=least,
    )
