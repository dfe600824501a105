"""Unsigned MQTT payloads: there and back, and nothing else in."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.bodies import CheckpointPointer
from meterseal.encoding import encode
from meterseal.errors import EncodingError
from meterseal.messages import Ask, Hello, Reject, RejectCode, Want
from meterseal.types import Epoch, Hash, Seq
from support.records import HASH, UINT, outcome

if TYPE_CHECKING:
    from collections.abc import Callable

Message: TypeAlias = Hello | Want | Reject | Ask
NONCE = st.binary(min_size=16, max_size=16)
RANGE = st.tuples(UINT, UINT, UINT).map(lambda r: (Epoch(r[0]), Seq(min(r[1:])), Seq(max(r[1:]))))
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Hello,
        nonce=NONCE,
        boot_nonce=NONCE,
        epoch=UINT,
        seq=UINT,
        hash=HASH,
        light_n=UINT,
        checkpoint=st.none() | st.builds(CheckpointPointer, size=UINT, root=HASH),
    ),
    st.builds(Want, ranges=st.lists(RANGE, max_size=16).map(tuple)),
    st.builds(Reject, hash=HASH, code=st.sampled_from(RejectCode)),
    st.builds(Ask, size=UINT),
)
EXAMPLES: tuple[Message, ...] = (
    Hello(
        nonce=bytes(range(16)),
        boot_nonce=bytes(16),
        epoch=Epoch(1),
        seq=Seq(4711),
        hash=Hash(bytes(32)),
        light_n=52,
        checkpoint=CheckpointPointer(size=9, root=Hash(bytes(32))),
    ),
    Want(ranges=((Epoch(0), Seq(7), Seq(9)),)),
    Reject(hash=Hash(bytes(32)), code=RejectCode.CONTRADICTS),
    Ask(size=4711),
)
PARSERS: tuple[Callable[[bytes], Message], ...] = (
    Hello.decode,
    Want.decode,
    Reject.decode,
    Ask.decode,
)


@given(MESSAGES)
def test_a_message_is_read_back_the_same(message: Message) -> None:
    assert type(message).decode(message.encode()) == message


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_a_bent_message_is_read_as_what_it_says_or_refused(message: Message) -> None:
    data = message.encode()

    for at in range(len(data)):
        for byte in range(256):
            bent = data[:at] + bytes([byte]) + data[at + 1 :]
            got = outcome(type(message).decode, bent)

            assert isinstance(got, EncodingError) or got.encode() == bent  # type: ignore[attr-defined]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_no_prefix_tail_or_other_message_is_read(message: Message) -> None:
    data, own = message.encode(), type(message).decode

    for size in range(len(data)):
        assert isinstance(outcome(own, data[:size]), EncodingError)
    assert isinstance(outcome(own, data + b"\0"), EncodingError)
    for parser in PARSERS:
        if parser != own:
            assert isinstance(outcome(parser, data), EncodingError)


@pytest.mark.parametrize("parser", PARSERS)
@given(data=st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(parser: Callable[[bytes], Message], data: bytes) -> None:
    got = outcome(parser, data)

    assert isinstance(got, EncodingError) or got.encode() == data  # type: ignore[attr-defined]


def test_a_want_has_bounds() -> None:
    ranges = tuple((Epoch(0), Seq(n), Seq(n)) for n in range(17))

    assert isinstance(outcome(Want.decode, Want(ranges=ranges).encode()), EncodingError)
    assert Want.decode(Want(ranges=ranges[:16]).encode()).ranges == ranges[:16]


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    assert isinstance(outcome(Want.decode, encode({1: [[0, 9, 7]]})), EncodingError)


def test_a_message_above_a_kibibyte_is_refused() -> None:
    assert isinstance(outcome(Ask.decode, bytes(1025)), EncodingError)
