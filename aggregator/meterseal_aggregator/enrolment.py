"""Enrolling and revoking: statements by the enrolment key, kept, and queued as log leaves.

The newest statement of a device is the one that counts; statements are never changed or removed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal.keys import device_id
from meterseal.merkle import leaf_hash
from meterseal.statements import Enrolment, decode_enrolment, encode_enrolment
from meterseal.types import UnixMs
from meterseal_aggregator.errors import ConfigError

if TYPE_CHECKING:
    from meterseal.keys import SigningKey
    from meterseal.types import DeviceId, Epoch, Hash, Seq
    from meterseal_aggregator.store import Store


def newest(store: Store, device: DeviceId) -> tuple[Hash, Enrolment] | None:
    """Read the statement about a device that counts, with its leaf hash; None without any."""
    statements = [
        (leaf, decode_enrolment(statement)) for leaf, statement in store.devices.enrolments(device)
    ]
    return max(statements, key=lambda one: one[1].valid_from, default=None)


def enrol(store: Store, enrolment: Enrolment, key: SigningKey) -> tuple[Hash, bool]:
    """Enrol a device in one transaction; saying what counts already changes nothing.

    Returns:
        The leaf hash of the statement, and whether it is new.

    Raises:
        ConfigError: The id is not that of the key, or the key was revoked.
    """
    expected = device_id(enrolment.public_key)
    if expected != enrolment.device:
        raise ConfigError(
            f"--device {enrolment.device.hex()}: expected {expected.hex()}, which is the id of "
            f"--public-key {enrolment.public_key.hex()}. Copy both: `meterseal-agent init` "
            "prints them."
        )
    with store.write():
        stands = newest(store, enrolment.device)
        if stands is None:
            return _keep(store, enrolment, key), True
        leaf, before = stands
        if before.revoked_after is not None:
            raise ConfigError(
                f"--device {enrolment.device.hex()}: its key was revoked, and stays so. Let the "
                "gateway make a new key, and enrol that one with --replaces."
            )
        if replace(before, valid_from=enrolment.valid_from) == enrolment:
            return leaf, False
        return _keep(store, _later(enrolment, before), key), True


def revoke(
    store: Store, device: DeviceId, after: tuple[Epoch, Seq], key: SigningKey, now_ms: UnixMs
) -> tuple[Hash, bool]:
    """Revoke the keys of a device, in one transaction: no later record of it is taken any more.

    Records that wait beyond `after` are set aside. What is connected stays connected and logged.

    Args:
        store: The store.
        device: Whose keys.
        after: (epoch, seq) of the last record that counts.
        key: The enrolment key.
        now_ms: Time of the statement.

    Returns:
        The leaf hash of the statement, and whether it is new.

    Raises:
        ConfigError: The device is not enrolled, or less was left to it before.
    """
    with store.write():
        stands = newest(store, device)
        if stands is None:
            raise ConfigError(f"--device {device.hex()}: no such device is enrolled.")
        leaf, before = stands
        if before.revoked_after == after:
            return leaf, False
        if before.revoked_after is not None and after > before.revoked_after:
            raise ConfigError(
                f"--after {after[0]}:{after[1]}: revoked after {before.revoked_after[0]}:"
                f"{before.revoked_after[1]} already. A revocation may be made stricter only."
            )
        revoked = replace(before, valid_from=now_ms, revoked_after=after)
        leaf = _keep(store, _later(revoked, before), key)
        store.records.set_aside(device, after)
    return leaf, True


def _later(enrolment: Enrolment, before: Enrolment) -> Enrolment:
    """Let a statement be newer than the one before it, whatever the clock says."""
    valid_from = UnixMs(max(enrolment.valid_from, before.valid_from + 1))
    return replace(enrolment, valid_from=valid_from)


def _keep(store: Store, enrolment: Enrolment, key: SigningKey) -> Hash:
    statement = encode_enrolment(enrolment, key)
    leaf = leaf_hash(statement)
    replaces = None if enrolment.replaces is None else enrolment.replaces[1]
    store.devices.enrol(enrolment.device, enrolment.public_key, replaces, leaf, statement)
    store.tree.enqueue(leaf, None)
    return leaf
