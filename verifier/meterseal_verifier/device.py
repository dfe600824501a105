"""Steps (2) and (3): whose key it is, by the checker's policy, and whether it signed.

Rules:

- A key is believed because the policy pins it, or because a pinned enrolment key vouches for it;
  never because the file names it.
- From the vouched key to the signing key lead key changes: each is signed by the old key and
  completed by a manifest, the very next record, signed by the new one (protocol 2, kind 6).
- Where the policy pins the device and the file brings an enrolment too, both must agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meterseal import cose
from meterseal.errors import SignatureInvalid
from meterseal.keys import fingerprint
from meterseal_verifier.meters import check_serials
from meterseal_verifier.text import device_name, safe, sentence_case, utc
from meterseal_verifier.verdict import Offence, bad_input, cannot_check, tampered

if TYPE_CHECKING:
    from meterseal.bodies import Body, Interval, Manifest
    from meterseal.policy import TrustPolicy
    from meterseal.types import DeviceId, PublicKey
    from meterseal_verifier.parts import EnrolmentPart, KeyChangePart, ProofParts, Signed

VOUCHED_BY_PIN: Final = "your trust file, which pins this device"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouched:
    """The key that must have signed, and who says that it is this device's.

    Attributes:
        key: The signing key in force at the interval.
        by: Who vouches, in words.
    """

    key: PublicKey
    by: str


def vouched_key(parts: ProofParts, policy: TrustPolicy) -> Vouched:
    """Find the key that signs for the file's device (step 2).

    Raises:
        Finding: CANNOT CHECK where nobody whom the policy names vouches for a key; SIGNATURE
            INVALID or BAD INPUT where a key change does not hold.
    """
    device = parts.interval.record.device
    pinned = policy.devices.get(device)
    enrolled = None if parts.enrolment is None else _enrolled(parts, parts.enrolment, policy)
    first = pinned if enrolled is None else enrolled.key
    if first is None:
        raise cannot_check(
            f"Your trust file pins no key for device {device_name(device)}, and nobody whom it "
            "names vouches for one in this file. Add a [[device]] entry if you know its key.",
            expected="a pinned device, or an enrolment by a pinned enrolment key",
            got=device_name(device),
        )
    keys = _follow(first, parts.key_changes)
    if pinned is not None and pinned not in keys:
        raise cannot_check(
            f"The enrolment in this file names another key for device {device_name(device)} than "
            "your trust file does. Ask both who is right.",
            expected=fingerprint(pinned),
            got=fingerprint(first),
        )
    _check_order(parts)
    by = [] if pinned is None else [VOUCHED_BY_PIN]
    by += [] if enrolled is None else [enrolled.by]
    return Vouched(key=keys[-1], by="; and ".join(by))


def pinned_key(device: DeviceId, policy: TrustPolicy) -> PublicKey:
    """Find the pinned key of a device that is accused (step 2).

    Raises:
        Finding: CANNOT CHECK where the policy does not pin the device.
    """
    if device not in policy.devices:
        raise cannot_check(
            f"Your trust file pins no key for device {device_name(device)}, so nothing shows that "
            "these records are its own. Add a [[device]] entry if you know its key.",
            expected="a pinned device",
            got=device_name(device),
        )
    return policy.devices[device]


def is_signed(part: Signed[Body], key: PublicKey) -> bool:
    """Tell whether a record is signed by `key`."""
    try:
        cose.open1(part.data, cose.RECORD, key)
    except SignatureInvalid:
        return False
    return True


def check_signature(part: Signed[Body], key: PublicKey) -> None:
    """Check that the device's key signed a record (step 3).

    Raises:
        Finding: SIGNATURE INVALID.
    """
    if not is_signed(part, key):
        raise tampered(
            Offence.SIGNATURE_INVALID,
            f"{sentence_case(part.what)}, as this file shows it, was not signed by device "
            f"{device_name(part.record.device)}: it was changed after it was signed, or made by "
            "somebody else.",
            culprit=f"whoever stored or passed on {part.what}; not the device",
            expected=f"a signature by key {fingerprint(key)}",
            got="a signature that this key did not make over these bytes",
        )


def check_signatures(parts: ProofParts, key: PublicKey) -> str:
    """Check every record that the signing key must have signed (step 3)."""
    signed: list[Signed[Body]] = [parts.interval]
    if parts.reading is not None:
        signed.insert(0, parts.reading.reading)
    for part in signed:
        check_signature(part, key)
    if parts.manifest is not None:
        signed.append(parts.manifest)
        _check_manifest(parts.manifest, parts.interval, key)
        check_serials(parts.manifest, parts.enrolment)
    names = ", ".join(part.what for part in signed)
    return f"signed by the device's key: {names}"


def _check_manifest(manifest: Signed[Manifest], interval: Signed[Interval], key: PublicKey) -> None:
    """Hold a manifest to be the one in force: the interval names it by its hash."""
    if manifest.hash != interval.body.manifest_hash:
        raise bad_input(
            "The manifest is not the one that was in force in the interval.",
            expected=interval.body.manifest_hash.hex(),
            got=manifest.hash.hex(),
        )
    check_signature(manifest, key)
    if manifest.body.public_key != key:
        raise bad_input(
            "The manifest names another key than the one that signed it.",
            expected=fingerprint(key),
            got=fingerprint(manifest.body.public_key),
        )


def _enrolled(parts: ProofParts, part: EnrolmentPart, policy: TrustPolicy) -> Vouched:
    """Believe an enrolment by a pinned key, within the time it speaks of (protocol 2a)."""
    statement, device = part.statement, parts.interval.record.device
    if statement.device != device:
        raise bad_input(
            "The enrolment is of another device than the interval.",
            expected=device_name(device),
            got=device_name(statement.device),
        )
    signer = _enrolment_signer(part.data, policy)
    by = f"enrolment key {fingerprint(signer)}, for point “{safe(statement.metering_point)}”"
    record = parts.interval.record
    if record.time < statement.valid_from:
        raise cannot_check(
            f"The enrolment vouches for this device only from {utc(statement.valid_from)}; the "
            "interval is older.",
            expected=f"an interval from {utc(statement.valid_from)}",
            got=utc(record.time),
        )
    if statement.revoked_after is not None:
        last = statement.revoked_after
        # protocol 2a: what was not logged before the leaf of its key's revocation is worth nothing.
        if (record.epoch, record.seq) > tuple(last) or parts.index > part.index:
            raise cannot_check(
                "The key of this device was revoked, and nobody vouches for what it signed "
                "afterwards or brought to the log afterwards.",
                expected=f"a record up to epoch {last[0]}, number {last[1]}, logged before "
                f"leaf {part.index}",
                got=f"epoch {record.epoch}, number {record.seq}, leaf {parts.index}",
            )
    return Vouched(key=statement.public_key, by=by)


def _enrolment_signer(data: bytes, policy: TrustPolicy) -> PublicKey:
    for key in sorted(policy.enrolment_keys):
        try:
            cose.open1(data, cose.ENROL, key)
        except SignatureInvalid:
            continue
        return key
    known = ", ".join(fingerprint(key) for key in sorted(policy.enrolment_keys))
    raise cannot_check(
        "The enrolment in this file is not signed by an enrolment key that your trust file pins. "
        "Add the key to [enrolment] if you trust its holder.",
        expected=f"a signature by {known}" if known else "a pinned enrolment key",
        got="a signature by nobody whom the trust file names",
    )


def _follow(first: PublicKey, changes: tuple[KeyChangePart, ...]) -> list[PublicKey]:
    """Follow the key changes from the vouched key; give every key passed, the newest last."""
    keys = [first]
    last_n = -1
    for part in changes:
        check_signature(part.change, keys[-1])
        _check_completed(part)
        new = part.change.body.public_key
        check_signature(part.manifest, new)
        n = _light_n(part.change)
        if n <= last_n:
            raise bad_input(
                "The key changes are not in the order of the device's chain.",
                expected=f"a light number above {last_n}",
                got=str(n),
            )
        last_n = n + 1
        keys.append(new)
    return keys


def _check_completed(part: KeyChangePart) -> None:
    """Hold the manifest to be the very next record, naming the new key."""
    change, manifest = part.change.record, part.manifest.record
    # protocol 2, kind 6: until both are accepted, the old key rules.
    follows = (
        manifest.prev == part.change.hash
        and (manifest.epoch, manifest.seq) == (change.epoch, change.seq + 1)
        and manifest.light is not None
        and manifest.light.n == _light_n(part.change) + 1
        and manifest.light.hash == part.change.hash
    )
    if not follows or part.manifest.body.public_key != part.change.body.public_key:
        raise bad_input(
            f"{sentence_case(part.manifest.what)} does not complete {part.change.what}.",
            expected="the very next record of the device, naming the same new key",
            got=f"epoch {manifest.epoch}, number {manifest.seq}, "
            f"key {fingerprint(part.manifest.body.public_key)}",
        )


def _check_order(parts: ProofParts) -> None:
    """Hold every record to come after the last key change: before it, another key signed."""
    if not parts.key_changes:
        return
    last = parts.key_changes[-1].manifest
    shown: list[Signed[Body]] = [parts.interval]
    shown += [] if parts.reading is None else [parts.reading.reading]
    for part in shown:
        if (part.record.epoch, part.record.seq) <= (last.record.epoch, last.record.seq):
            raise bad_input(
                f"{sentence_case(part.what)} is older than the last key change in this file.",
                expected=f"after epoch {last.record.epoch}, number {last.record.seq}",
                got=f"epoch {part.record.epoch}, number {part.record.seq}",
            )


def _light_n(part: Signed[Body]) -> int:
    light = part.record.light
    assert light is not None  # noqa: S101 - the reader gives every kind but readings a light link
    return light.n
