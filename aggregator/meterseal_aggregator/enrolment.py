"""Enrolling a device: a statement signed by the enrolment key, kept, and queued as a log leaf."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meterseal.keys import device_id
from meterseal.merkle import leaf_hash
from meterseal.statements import Enrolment, decode_enrolment, encode_enrolment
from meterseal_aggregator.errors import ConfigError

if TYPE_CHECKING:
    from meterseal.keys import SigningKey
    from meterseal.types import Hash
    from meterseal_aggregator.store import Store


def enrol(store: Store, enrolment: Enrolment, key: SigningKey) -> tuple[Hash, bool]:
    """Enrol a device in one transaction; saying the same again changes nothing.

    Returns:
        The leaf hash of the statement, and whether it is new.

    Raises:
        ConfigError: The id is not that of the key, or the device stands with another key.
    """
    expected = device_id(enrolment.public_key)
    if expected != enrolment.device:
        raise ConfigError(
            f"--device {enrolment.device.hex()}: expected {expected.hex()}, which is the id of "
            f"--public-key {enrolment.public_key.hex()}. Copy both from `meterseal-agent show`."
        )
    with store.write():
        for leaf, statement in store.devices.enrolments(enrolment.device):
            stands = decode_enrolment(statement)
            if replace(stands, valid_from=enrolment.valid_from) == enrolment:
                return leaf, False
        statement = encode_enrolment(enrolment, key)
        leaf = leaf_hash(statement)
        replaces = None if enrolment.replaces is None else enrolment.replaces[1]
        store.devices.enrol(enrolment.device, enrolment.public_key, replaces, leaf, statement)
        store.tree.enqueue(leaf, None)
    return leaf, True
