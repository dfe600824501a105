"""A point of a device's chain: all that judging the next record needs, with no store at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.chain import Head, KeyState, advance, advance_light, tree_start
from meterseal.encoding import decode, encode
from meterseal.fields import array, bstr, uint
from meterseal.records import Manifest, Publishes
from meterseal.types import Hash, PublicKey, Seq

if TYPE_CHECKING:
    from meterseal.records import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What rules after a light record until the next one: a row of `chain`.

    Attributes:
        keys: Key and manifest in force.
        publishes: Whether readings are to be expected here.
        tree_start: Where the open interval's tree begins.
    """

    keys: KeyState
    publishes: Publishes
    tree_start: Seq

    def encode(self) -> bytes:
        """Write the row."""
        keys = self.keys
        row = [keys.current, keys.pending, keys.manifest, int(self.publishes), self.tree_start]
        return encode(row)

    @classmethod
    def parse(cls, data: bytes) -> Rules:
        """Read the row."""
        current, pending, manifest, publishes, start = array(decode(data), "chain row", 5)
        return cls(
            keys=KeyState(
                current=PublicKey(bstr(current, "key", 32)),
                pending=None if pending is None else PublicKey(bstr(pending, "pending key", 32)),
                manifest=Hash(bstr(manifest, "manifest", 32)),
            ),
            publishes=Publishes(uint(publishes, "publishes")),
            tree_start=Seq(uint(start, "tree start")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A connected record and what rules there.

    Attributes:
        record: Its number in the store.
        branch: Number of the last light record up to it.
        head: What the next record must fit.
        rules: What rules.
    """

    record: int
    branch: int
    head: Head
    rules: Rules


def follow(
    base: Point | None, record: Record, record_hash: Hash, *, whole: bool
) -> tuple[Head, Rules]:
    """Advance by one record whose signature is checked.

    Args:
        base: Where the record continues; None for a genesis record.
        record: The record.
        record_hash: Its hash.
        whole: Whether `base` is the record that `prev` names; else it is the light predecessor,
            and what lies between stayed at home.

    Raises:
        ChainError: A rule of the chain is broken.
    """
    step = advance if whole else advance_light
    head = step(None if base is None else base.head, record, record_hash)
    if base is None:
        keys, publishes, start = KeyState.genesis(record, record_hash), Publishes.READINGS, Seq(0)
    else:
        rules = base.rules
        keys = rules.keys.advance(record, record_hash)
        publishes, start = rules.publishes, rules.tree_start
    if isinstance(record.body, Manifest):
        publishes = record.body.publishes
    moved = tree_start(record)
    return head, Rules(keys=keys, publishes=publishes, tree_start=start if moved is None else moved)
