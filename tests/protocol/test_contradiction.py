from __future__ import annotations

from dataclasses import replace

import pytest

from meterseal.bodies import Event, EventCode, Kind, Reading, Restore, RestoreReason
from meterseal.contradiction import contradiction
from meterseal.records import Clock, Light, Record
from meterseal.types import DeviceId, Epoch, Hash, Seq, UnixMs

A, B, C = (Hash(bytes([n]) * 32) for n in (1, 2, 3))


def light(seq: int, n: int, *, prev: Hash = C, before: Hash = C) -> Record:
    return Record(
        device=DeviceId(bytes(16)),
        epoch=Epoch(2),
        seq=Seq(seq),
        time=UnixMs(0),
        clock=Clock.SYNCHRONISED,
        prev=prev,
        kind=Kind.EVENT,
        body=Event(code=EventCode.BOOT),
        up=0,
        light=Light(n=n, hash=before),
    )


def reading(seq: int, *, prev: Hash = C) -> Record:
    return replace(light(seq, 0, prev=prev), kind=Kind.READING, body=Reading(meters=()), light=None)


def restore(seq: int, n: int) -> Record:
    body = Restore(reason=RestoreReason.OPERATOR, nonce=bytes(16), missing=None)
    return replace(light(seq, n), kind=Kind.RESTORE, body=body)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (reading(5), reading(5), "number 5 of epoch 2"),
        (reading(5), light(5, 1), "number 5 of epoch 2"),
        (light(5, 1), light(9, 1), "light number 1 of epoch 2"),
        (restore(5, 1), restore(9, 4), "the restore that opens epoch 2"),
        (reading(5), reading(6, prev=C), "number 5 of epoch 2, one of them named by the next"),
        (light(5, 1), light(9, 2), "light number 1 of epoch 2, one of them named by the next"),
    ],
)
def test_a_pair_that_no_honest_device_signs_is_found_either_way_round(
    one: Record, other: Record, words: str
) -> None:
    assert contradiction(one, A, other, B) == words
    assert contradiction(other, B, one, A) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (reading(5), reading(6, prev=A)),
        (reading(5), reading(7)),
        (light(5, 1), light(9, 2, before=A)),
        (light(5, 1), light(9, 3)),
        (light(5, 1), restore(6, 2)),
        (light(5, 1), replace(light(5, 1), epoch=Epoch(3))),
        (light(5, 1), replace(light(5, 1), device=DeviceId(bytes([1]) * 16))),
    ],
)
def test_a_pair_that_an_honest_device_may_sign_is_let_be(one: Record, other: Record) -> None:
    assert contradiction(one, A, other, B) is None
    assert contradiction(other, B, one, A) is None


def test_a_record_does_not_contradict_itself() -> None:
    assert contradiction(light(5, 1), A, light(5, 1), A) is None
