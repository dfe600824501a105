"""Head statements: what we hold of a device, signed, so that it knows what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meterseal.records import Kind
from meterseal.statements import HeadStatement, encode_head

if TYPE_CHECKING:
    from meterseal.keys import SigningKey
    from meterseal.types import DeviceId, UnixMs
    from meterseal_aggregator.store import Store


def head_of(  # noqa: PLR0913 -- what is said, by whom, when
    store: Store,
    device: DeviceId,
    *,
    key: SigningKey,
    nonce: bytes | None,
    now_ms: UnixMs,
    longest_delay_ms: int,
) -> tuple[int, bytes] | None:
    """Build the head statement of a device from what is on disk.

    Args:
        store: The store.
        device: Whose head.
        key: The acknowledgement key.
        nonce: The hello's, None in an unasked head.
        now_ms: Time of the statement.
        longest_delay_ms: What is promised.

    Returns:
        The number of the head record (0: there is none yet) and the statement; None when the
        device is not enrolled.
    """
    row = store.devices.get(device)
    if row is None:
        return None
    last = last_light = None
    if row.head is not None:
        stored = store.records.by_id(row.head)
        last = stored.data
        if stored.kind == Kind.READING and stored.branch is not None:
            last_light = store.records.by_id(stored.branch).data
    statement = HeadStatement(
        device=device,
        nonce=nonce,
        time=now_ms,
        last_record=last,
        last_light=last_light,
        longest_delay_ms=longest_delay_ms,
    )
    return row.head or 0, encode_head(statement, key)
