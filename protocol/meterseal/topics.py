"""MQTT topic names: builders and a strict parser.

    meterseal/1/<shard>/<device>/<leaf>
    meterseal/1/log/<first 16 hex of SHA-256(origin)>/checkpoint

Levels hold only [0-9a-z]. The shard is the first byte of the device id in hex: aggregators split
the 256 shards among themselves, for `$share` would mix one device's records over workers.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from meterseal.errors import EncodingError
from meterseal.types import DeviceId

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX: Final = "meterseal/1"
_DEVICE: Final = re.compile(rf"{PREFIX}/([0-9a-f]{{2}})/([0-9a-f]{{32}})/([a-z]+)\Z")
_CHECKPOINT: Final = re.compile(rf"{PREFIX}/log/([0-9a-f]{{16}})/checkpoint\Z")


class Leaf(StrEnum):
    """The last level of a device's topic, and who writes it."""

    RECORD = "record"
    HELLO = "hello"
    HEAD = "head"
    WANT = "want"
    REJECT = "reject"
    RECEIPT = "receipt"
    COSIGNATURE = "cosignature"
    ASK = "ask"
    STATUS = "status"


FROM_DEVICE: Final = (Leaf.RECORD, Leaf.HELLO, Leaf.COSIGNATURE, Leaf.ASK, Leaf.STATUS)
"""What a device writes and an aggregator reads."""
TO_DEVICE: Final = (Leaf.HEAD, Leaf.WANT, Leaf.REJECT, Leaf.RECEIPT)
"""What an aggregator writes and a device reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceTopic:
    """A topic of one device."""

    device: DeviceId
    leaf: Leaf


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointTopic:
    """The retained checkpoint of a log, by the short hash of its origin (16 hex digits)."""

    log: str


def shard(device: DeviceId) -> str:
    """Give the shard of a device, "00" to "ff"."""
    return device[:1].hex()


def device_topic(device: DeviceId, leaf: Leaf | str) -> str:
    """Build `meterseal/1/<shard>/<device>/<leaf>`."""
    return f"{PREFIX}/{shard(device)}/{device.hex()}/{Leaf(leaf).value}"


def checkpoint_topic(origin: str) -> str:
    """Build the topic of a log's checkpoint from its origin line."""
    return f"{PREFIX}/log/{hashlib.sha256(origin.encode()).hexdigest()[:16]}/checkpoint"


def subscriptions(leaves: Iterable[Leaf], shards: Iterable[str] = ("+",)) -> list[str]:
    """Build the topic filters of an aggregator: every device of these shards ("+": all)."""
    chosen = list(shards)
    return [f"{PREFIX}/{one}/+/{leaf.value}" for leaf in leaves for one in chosen]


def parse_topic(topic: str) -> DeviceTopic | CheckpointTopic:
    """Read a topic strictly.

    Raises:
        EncodingError: If it is none of the two forms, or the shard is not the device's.
    """
    if found := _CHECKPOINT.match(topic):
        return CheckpointTopic(log=found[1])
    found = _DEVICE.match(topic)
    if found is None or not found[2].startswith(found[1]) or found[3] not in set(Leaf):
        raise EncodingError(f"topic {topic[:120]!r}: expected {PREFIX}/<shard>/<device>/<leaf>")
    return DeviceTopic(device=DeviceId(bytes.fromhex(found[2])), leaf=Leaf(found[3]))
