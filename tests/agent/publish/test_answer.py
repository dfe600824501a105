"""What a head statement may do: only one that answers our hello and names our own record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.errors import ProtocolError
from meterseal.keys import SigningKey
from meterseal.types import DeviceId, Epoch
from meterseal_agent.publish.answer import Answer, missing_between, proves_ahead, read_answer
from support.device import DEVICE, KEY, Bench
from support.small_log import SmallLog

if TYPE_CHECKING:
    from pathlib import Path

NONCE = bytes(range(16))
STRANGER = SigningKey.from_seed(bytes(32))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(folder=tmp_path)
    bench.turn_on()
    bench.read()
    return bench


def read(payload: bytes) -> Answer:
    return read_answer(
        payload,
        head_key=SmallLog().head_key.public,
        device=DEVICE,
        public=KEY.public,
        nonces=[NONCE],
    )


def test_a_head_that_repeats_our_nonce_is_an_answer(bench: Bench) -> None:
    reading, light = bench.released[2].data, bench.released[1].data

    answer = read(SmallLog().head(DEVICE, reading, nonce=NONCE, light=light))

    assert answer.asked
    assert answer.head == replace(bench.store.tip.head, up=answer.head.up if answer.head else 0)  # type: ignore[type-var]
    assert answer.kept == (reading, light)


def test_a_retained_head_is_no_answer_and_proves_nothing(bench: Bench) -> None:
    data = bench.released[1].data

    for nonce in (None, bytes(16)):
        answer = read(SmallLog().head(DEVICE, data, nonce=nonce))

        assert not answer.asked
        assert not proves_ahead(answer, None, held=False)


def test_a_head_by_another_key_is_refused(bench: Bench) -> None:
    with pytest.raises(ProtocolError):
        read(SmallLog().head(DEVICE, bench.released[1].data, nonce=NONCE, key=STRANGER))


def test_a_head_about_another_device_is_refused(bench: Bench) -> None:
    with pytest.raises(ProtocolError, match="about device"):
        read(SmallLog().head(DeviceId(bytes(16)), bench.released[1].data, nonce=NONCE))


def test_a_head_with_a_record_that_we_never_signed_is_refused(bench: Bench) -> None:
    forged = bytearray(bench.released[1].data)
    forged[-1] ^= 1

    with pytest.raises(ProtocolError):
        read(SmallLog().head(DEVICE, bytes(forged), nonce=NONCE))


def test_a_reading_without_the_logged_record_before_it_is_refused(bench: Bench) -> None:
    with pytest.raises(ProtocolError, match="no logged record is given"):
        read(SmallLog().head(DEVICE, bench.released[2].data, nonce=NONCE))


def test_a_record_that_we_hold_never_proves_ahead(bench: Bench) -> None:
    answer = read(SmallLog().head(DEVICE, bench.released[1].data, nonce=NONCE))

    assert not proves_ahead(answer, bench.store.tip.head, held=True)
    assert proves_ahead(answer, None, held=False)


def test_a_record_of_an_epoch_that_we_left_is_no_news(bench: Bench) -> None:
    answer = read(SmallLog().head(DEVICE, bench.released[1].data, nonce=NONCE))
    head = bench.store.tip.head
    assert head is not None

    assert not proves_ahead(answer, replace(head, epoch=Epoch(1)), held=False)


def test_the_missing_range_lies_between_the_two_heads(bench: Bench) -> None:
    head = bench.store.tip.head
    assert head is not None

    assert missing_between(None, head) == (0, 2)
    assert missing_between(head, head) is None


@given(st.binary(max_size=300))
def test_rubbish_is_a_protocol_error_and_no_other(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data)
