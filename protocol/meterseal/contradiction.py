"""Which two records no honest device signs both (protocol 4 and 5, "CONTRADICTS").

Within one epoch, two different records contradict each other if they

1. have one sequence number,
2. have one number in the light chain,
3. are both restores: two cards opened the epoch with one key, or
4. are neighbours, in either chain, and the later one names another hash than the earlier one's.

Records of two epochs never do: a restore may continue from any older record, so numbers come again.
Whether one key signed both is the caller's to check first; only then has the device said both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.bodies import Kind

if TYPE_CHECKING:
    from meterseal.records import Record
    from meterseal.types import Hash


def contradiction(one: Record, one_hash: Hash, other: Record, other_hash: Hash) -> str | None:
    """Say what two records cannot both be.

    Args:
        one: A record.
        one_hash: Its record hash.
        other: Another record, of the same device.
        other_hash: Its record hash.

    Returns:
        What both claim, as words that follow "two different records as", or None.
    """
    if one_hash == other_hash or one.device != other.device or one.epoch != other.epoch:
        return None
    epoch = one.epoch
    if one.seq == other.seq:
        return f"number {one.seq} of epoch {epoch}"
    if one.light is not None and other.light is not None and one.light.n == other.light.n:
        return f"light number {one.light.n} of epoch {epoch}"
    if one.kind is other.kind is Kind.RESTORE:
        return f"the restore that opens epoch {epoch}"
    if one.seq < other.seq:
        return _broken_link(one, one_hash, other)
    return _broken_link(other, other_hash, one)


def _broken_link(earlier: Record, earlier_hash: Hash, later: Record) -> str | None:
    if later.kind is Kind.RESTORE:  # it opens the epoch: what it names lies before
        return None
    if later.seq == earlier.seq + 1 and later.prev != earlier_hash:
        return f"number {earlier.seq} of epoch {earlier.epoch}, one of them named by the next"
    if earlier.light is None or later.light is None:
        return None
    if later.light.n == earlier.light.n + 1 and later.light.hash != earlier_hash:
        n = earlier.light.n
        return f"light number {n} of epoch {earlier.epoch}, one of them named by the next"
    return None
