"""Topic names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.errors import EncodingError
from meterseal.topics import (
    FROM_DEVICE,
    TO_DEVICE,
    CheckpointTopic,
    DeviceTopic,
    Leaf,
    checkpoint_topic,
    device_topic,
    parse_topic,
    shard,
    subscriptions,
)
from meterseal.types import DeviceId

DEVICES = st.binary(min_size=16, max_size=16).map(DeviceId)
DEVICE = DeviceId(bytes.fromhex("a1" * 16))


@given(DEVICES, st.sampled_from(Leaf))
def test_a_topic_is_read_back_the_same(device: DeviceId, leaf: Leaf) -> None:
    topic = device_topic(device, leaf)

    assert parse_topic(topic) == DeviceTopic(device=device, leaf=leaf)
    assert all(re.fullmatch("[0-9a-z]+", level) for level in topic.split("/"))
    assert topic.split("/")[2] == shard(device) == device.hex()[:2]


@given(st.text(max_size=40))
def test_a_checkpoint_topic_is_read_back(origin: str) -> None:
    topic = parse_topic(checkpoint_topic(origin.encode("utf-8", "replace").decode()))

    assert isinstance(topic, CheckpointTopic)
    assert len(topic.log) == 16


GOOD = device_topic(DEVICE, Leaf.RECORD)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        GOOD + "\n",
        GOOD + "/",
        "/" + GOOD,
        GOOD.upper(),
        GOOD.replace("/1/", "/2/"),
        GOOD.replace("/a1/", "/a2/"),
        GOOD.replace("/a1/", "/"),
        GOOD.replace("record", "records"),
        GOOD.replace("record", "RECORD"),
        GOOD.replace("record", ""),
        GOOD.replace("a1a1/record", "a1/record"),
        GOOD.replace("a1a1/record", "\u0661\u0661a1/record"),
        "meterseal/1/log/0123456789abcde/checkpoint",
        "meterseal/1/log/0123456789abcdef/checkpoint\n",
        "meterseal/1/log/0123456789ABCDEF/checkpoint",
        "meterseal/1/+/+/record",
        "$SYS/broker/version",
    ],
)
def test_another_topic_is_refused(topic: str) -> None:
    with pytest.raises(EncodingError, match="expected meterseal/1"):
        parse_topic(topic)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(topic: str) -> None:
    with pytest.raises(EncodingError):
        parse_topic(topic)


def test_every_leaf_has_one_direction() -> None:
    assert {*FROM_DEVICE} | {*TO_DEVICE} == {*Leaf}
    assert not {*FROM_DEVICE} & {*TO_DEVICE}


def test_an_aggregator_subscribes_to_the_shards_it_takes() -> None:
    assert subscriptions([Leaf.RECORD]) == ["meterseal/1/+/+/record"]
    assert subscriptions([Leaf.HELLO, Leaf.ASK], ["00", "ff"]) == [
        "meterseal/1/00/+/hello",
        "meterseal/1/ff/+/hello",
        "meterseal/1/00/+/ask",
        "meterseal/1/ff/+/ask",
    ]


def test_an_unknown_leaf_is_a_defect_of_ours() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        device_topic(DEVICE, "nonsense")
