"""Chain rules: what may follow what, and who must have signed it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meterseal import merkle
from meterseal.bodies import Body, Event, EventCode, KeyChange, Kind, Restore, RestoreReason
from meterseal.chain import (
    Head,
    KeyState,
    advance,
    advance_light,
    check_interval,
    genesis_head,
    tree_start,
)
from meterseal.errors import ChainError, SignatureInvalid
from meterseal.keys import SigningKey
from meterseal.records import Clock, Light, Record, open_record
from meterseal.types import ZERO_HASH, Epoch, Hash, Seq, UnixMs
from support.records import (
    DEVICE,
    H1,
    H2,
    INTERVAL,
    KEY,
    MANIFEST,
    NOON,
    OTHER_KEY,
    READING,
    genesis,
    signed,
)

EVENT = Event(code=EventCode.BOOT)
NONCE = bytes(range(16))


def begun() -> Head:
    record = genesis()
    return genesis_head(record, signed(record)[1])


def after(head: Head, body: Body, **changes: Any) -> Record:  # noqa: ANN401 - any field
    """Build the record that honestly follows `head`."""
    record = Record(
        device=head.device,
        epoch=Epoch(head.epoch + 1) if isinstance(body, Restore) else head.epoch,
        seq=Seq(head.seq + 1),
        time=UnixMs(head.time + 1000),
        clock=Clock.SYNCHRONISED,
        prev=head.hash,
        kind=body.kind,
        body=body,
        up=head.up + 1000,
        light=None
        if body.kind is Kind.READING
        else Light(n=head.light_n + 1, hash=head.light_hash),
    )
    return replace(record, **changes)


def follow(head: Head, body: Body, **changes: Any) -> Head:  # noqa: ANN401 - any field
    record = after(head, body, **changes)
    return advance(head, record, signed(record)[1])


def restore(reason: RestoreReason = RestoreReason.OFFLINE_START) -> Restore:
    return Restore(reason=reason, nonce=NONCE, missing=None)


def test_a_chain_begins_with_its_manifest() -> None:
    record = genesis()
    digest = signed(record)[1]

    head = advance(None, record, digest)

    assert head == genesis_head(record, digest) == advance_light(None, record, digest)
    assert (head.seq, head.light_n, head.hash, head.light_hash) == (0, 0, digest, digest)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("another kind", {"kind": Kind.EVENT, "body": EVENT}),
        ("epoch 1", {"epoch": Epoch(1)}),
        ("seq 1", {"seq": Seq(1)}),
        ("a foreign device id", {"device": bytes(16)}),
        ("a foreign key", {"body": replace(MANIFEST, public_key=OTHER_KEY.public)}),
        ("light 1", {"light": Light(n=1, hash=ZERO_HASH)}),
        ("a light link", {"light": Light(n=0, hash=H1)}),
    ],
)
def test_a_genesis_record_is_refused_for(name: str, change: dict[str, Any]) -> None:
    with pytest.raises(ChainError):
        genesis_head(replace(genesis(), **change), H1)
    assert name


def test_a_device_that_replaces_another_begins_with_its_last_hash() -> None:
    assert genesis_head(replace(genesis(), prev=H2), H1).seq == 0


def test_readings_move_the_chain_and_leave_the_light_chain() -> None:
    head = begun()

    for n in range(1, 4):
        head = follow(head, READING)
        assert (head.seq, head.light_n) == (n, 0)
    head = follow(head, EVENT)

    assert (head.seq, head.light_n, head.light_hash) == (4, 1, head.hash)


@pytest.mark.parametrize("body", [READING, EVENT], ids=["reading", "event"])
@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("device", {"device": bytes(16)}),
        ("epoch", {"epoch": Epoch(1)}),
        ("seq", {"seq": Seq(0)}),
        ("seq", {"seq": Seq(2)}),
        ("prev", {"prev": H1}),
        ("time", {"time": UnixMs(NOON - 1)}),
    ],
)
def test_a_record_that_breaks_a_rule_is_refused_by_its_name(
    body: Body, rule: str, change: dict[str, Any]
) -> None:
    head = begun()
    record = after(head, body, **change)

    with pytest.raises(ChainError, match=rule):
        advance(head, record, H1)


@pytest.mark.parametrize("light", [Light(n=0, hash=H1), Light(n=2, hash=H1), Light(n=1, hash=H2)])
def test_a_broken_light_link_is_refused(light: Light) -> None:
    head = replace(begun(), light_hash=H1)
    for step in (advance, advance_light):
        with pytest.raises(ChainError, match="light"):
            step(head, after(head, EVENT, light=light), H2)


def test_equal_time_is_not_backwards() -> None:
    assert follow(begun(), READING, time=NOON).time == NOON


def test_the_light_chain_alone_is_followed_where_readings_stayed_at_home() -> None:
    head = light = begun()
    for _ in range(5):
        head = follow(head, READING)
    record = after(head, EVENT)
    digest = signed(record)[1]

    with pytest.raises(ChainError, match="seq"):
        advance(light, record, digest)

    assert advance_light(light, record, digest) == advance(head, record, digest)


def test_the_light_chain_holds_no_readings_and_its_seq_ascends() -> None:
    head = follow(begun(), READING)

    with pytest.raises(ChainError, match="reading"):
        advance_light(head, after(head, READING), H1)
    with pytest.raises(ChainError, match="seq"):
        advance_light(head, after(head, EVENT, seq=head.seq), H1)


def test_a_restore_opens_the_next_epoch_from_any_connected_record() -> None:
    early = follow(begun(), READING)
    follow(follow(early, READING), EVENT)

    head = follow(early, restore())

    assert (head.epoch, head.seq, head.light_n) == (1, early.seq + 1, early.light_n + 1)
    assert follow(head, READING).epoch == 1


@pytest.mark.parametrize("epoch", [0, 2, 7])
def test_a_restore_into_another_epoch_is_refused(epoch: int) -> None:
    head = begun()

    with pytest.raises(ChainError, match="opens epoch 1"):
        advance(head, after(head, restore(), epoch=Epoch(epoch)), H1)


@pytest.mark.parametrize("reason", RestoreReason)
def test_only_a_restore_for_the_clock_lowers_time(reason: RestoreReason) -> None:
    head = begun()
    record = after(head, restore(reason), time=UnixMs(5))

    if reason is RestoreReason.CLOCK:
        assert advance(head, record, H1).time == 5
    else:
        with pytest.raises(ChainError, match="time"):
            advance(head, record, H1)


def test_a_restore_that_names_no_connected_record_is_refused() -> None:
    head = begun()

    with pytest.raises(ChainError, match="prev"):
        advance(head, after(head, restore(), prev=H2), H1)


def test_keys_begin_with_a_manifest() -> None:
    with pytest.raises(ChainError, match="begins with a manifest"):
        KeyState.genesis(after(begun(), EVENT), H1)


class Device:
    """A chain with its keys, as an aggregator follows it: open, then chain, then keys."""

    def __init__(self) -> None:
        record = genesis()
        data, digest = signed(record)
        self.head = genesis_head(open_record(data, KEY.public), digest)
        self.keys = KeyState.genesis(record, digest)

    def take(self, body: Body, key: SigningKey) -> None:
        record = after(self.head, body)
        data, digest = signed(record, key)
        open_record(data, self.keys.key_for(record))
        head = advance(self.head, record, digest)
        self.keys = self.keys.advance(record, digest)
        self.head = head


NEW_MANIFEST = replace(MANIFEST, public_key=OTHER_KEY.public)


def test_the_new_key_rules_once_its_manifest_is_accepted() -> None:
    device = Device()

    device.take(KeyChange(public_key=OTHER_KEY.public), KEY)
    assert (device.keys.current, device.keys.pending) == (KEY.public, OTHER_KEY.public)
    device.take(NEW_MANIFEST, OTHER_KEY)

    assert (device.keys.current, device.keys.pending) == (OTHER_KEY.public, None)
    assert device.keys.manifest == device.head.hash
    assert device.head.device == DEVICE
    device.take(READING, OTHER_KEY)


def test_after_it_a_record_by_the_old_key_is_signature_invalid() -> None:
    device = Device()
    device.take(KeyChange(public_key=OTHER_KEY.public), KEY)
    device.take(NEW_MANIFEST, OTHER_KEY)

    with pytest.raises(SignatureInvalid):
        device.take(READING, KEY)


def test_the_new_key_signs_nothing_before_its_manifest() -> None:
    device = Device()
    with pytest.raises(SignatureInvalid):
        device.take(READING, OTHER_KEY)

    device.take(KeyChange(public_key=OTHER_KEY.public), KEY)
    with pytest.raises(SignatureInvalid):
        device.take(READING, OTHER_KEY)


def test_a_manifest_by_the_old_key_is_no_proof_of_possession() -> None:
    device = Device()
    device.take(KeyChange(public_key=OTHER_KEY.public), KEY)

    with pytest.raises(SignatureInvalid):
        device.take(NEW_MANIFEST, KEY)


@pytest.mark.parametrize("body", [READING, EVENT, KeyChange(public_key=KEY.public)])
def test_nothing_but_its_manifest_follows_a_key_change(body: Body) -> None:
    device = Device()
    device.take(KeyChange(public_key=OTHER_KEY.public), KEY)

    with pytest.raises(ChainError, match="manifest by the new key"):
        device.take(body, KEY)


@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["old", "new"])
def test_a_manifest_names_the_key_that_rules(key: SigningKey) -> None:
    device = Device()
    foreign = replace(MANIFEST, public_key=SigningKey.from_seed(bytes(32)).public)
    if key is OTHER_KEY:
        device.take(KeyChange(public_key=OTHER_KEY.public), KEY)

    with pytest.raises(ChainError, match="key"):
        device.take(foreign, key)


def test_a_changed_manifest_comes_into_force() -> None:
    device = Device()
    first = device.keys.manifest

    device.take(replace(MANIFEST, interval_s=300), KEY)

    assert device.keys.manifest == device.head.hash != first


def test_an_interval_covers_every_record_since_the_last() -> None:
    head = begun()
    manifest, leaves = head.hash, [head.hash]
    for _ in range(3):
        head = follow(head, READING)
        leaves.append(head.hash)
    body = replace(
        INTERVAL,
        first_seq=Seq(0),
        count=4,
        root=merkle.root(leaves),
        manifest_hash=manifest,
    )
    record = after(head, body)

    assert check_interval(record, first_seq=Seq(0), leaves=leaves, manifest=manifest) == body
    assert tree_start(record) == 5
    for bent in (
        {"count": 3},
        {"first_seq": Seq(1)},
        {"first_seq": Seq(1), "count": 3},
        {"root": H1},
        {"manifest_hash": H1},
    ):
        wrong = after(head, replace(body, **bent))
        with pytest.raises(ChainError):
            check_interval(wrong, first_seq=Seq(0), leaves=leaves, manifest=manifest)
    missing_leaf = leaves[:-1]
    with pytest.raises(ChainError, match="root"):
        check_interval(record, leaves=missing_leaf)


def test_without_readings_an_interval_is_held_against_its_own_numbers() -> None:
    head = begun()
    record = after(head, replace(INTERVAL, first_seq=Seq(0), count=1))

    assert check_interval(record) == record.body
    with pytest.raises(ChainError, match="do not end"):
        check_interval(after(head, replace(INTERVAL, count=2)))
    with pytest.raises(ChainError, match="expected an interval"):
        check_interval(after(head, EVENT))


def test_a_tree_begins_at_genesis_behind_an_interval_and_at_a_restore() -> None:
    head = begun()

    assert tree_start(genesis()) == 0
    assert tree_start(after(head, INTERVAL)) == 2
    assert tree_start(after(head, restore())) == 1
    assert tree_start(after(head, MANIFEST)) is None
    assert tree_start(after(head, READING)) is None


def test_an_error_names_record_device_expected_and_got() -> None:
    head = begun()

    with pytest.raises(ChainError) as caught:
        advance(head, after(head, READING, prev=H2), Hash(H1))

    for part in ("reading 0/1", DEVICE.hex(), H2.hex(), head.hash.hex()):
        assert part in str(caught.value)
