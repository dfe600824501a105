"""The body of a manifest as a CBOR value: a map, for it is the one body that people will read."""

from __future__ import annotations

from typing import Final

from meterseal import fields
from meterseal.bodies import MAX_METERS, Manifest, MeterIdentity, Publishes, S0Input
from meterseal.errors import EncodingError
from meterseal.types import Hash, PublicKey

_KEYS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9)
_DAY_S: Final = 86_400
_EVIDENCE_KEY_BYTES: Final = 33
_MODBUS_UNIT_MAX: Final = 255
_PULSES_MAX: Final = 1_000_000


def plain_manifest(body: Manifest) -> dict[int, object]:
    """Turn a manifest into what `encoding.encode` writes."""
    meters = [
        [m.make, m.model, m.serial, m.firmware, m.profile, m.profile_hash, m.bus, m.address]
        for m in body.meters
    ]
    return {
        1: body.public_key,
        2: body.witness_key,
        3: body.evidence_key,
        4: body.software,
        5: meters,
        6: [[s0.name, s0.pulses_per_kwh] for s0 in body.s0],
        7: body.interval_s,
        8: body.tolerance_ms,
        9: int(body.publishes),
    }


def read_manifest(value: object) -> Manifest:
    """Read a manifest's body strictly.

    Raises:
        EncodingError: If a field is missing, too many, of another type or out of its limits.
    """
    key, witness, evidence, software, meters, s0, interval_s, tolerance, publishes = fields.keyed(
        value, "manifest", _KEYS
    )
    identities = tuple(map(_read_identity, fields.items(meters, "manifest.meters", MAX_METERS)))
    pulses = fields.items(s0, "manifest.s0", MAX_METERS - len(identities))
    length_s = fields.uint(interval_s, "manifest.interval_s", _DAY_S)
    if length_s == 0 or _DAY_S % length_s:
        raise EncodingError(f"manifest.interval_s: expected a divisor of a day, got {length_s}")
    return Manifest(
        public_key=PublicKey(fields.bstr(key, "manifest.public_key", 32)),
        witness_key=None
        if witness is None
        else PublicKey(fields.bstr(witness, "manifest.witness_key", 32)),
        evidence_key=None
        if evidence is None
        else fields.bstr(evidence, "manifest.evidence_key", _EVIDENCE_KEY_BYTES),
        software=fields.text(software, "manifest.software"),
        meters=identities,
        s0=tuple(map(_read_s0, pulses)),
        interval_s=length_s,
        tolerance_ms=fields.uint(tolerance, "manifest.tolerance_ms", length_s * 1000),
        publishes=fields.one_of(publishes, "manifest.publishes", Publishes),
    )


def _read_identity(value: object) -> MeterIdentity:
    make, model, serial, firmware, profile, profile_hash, bus, address = fields.array(
        value, "manifest.meter", 8
    )
    return MeterIdentity(
        make=fields.text(make, "manifest.meter.make"),
        model=fields.text(model, "manifest.meter.model"),
        serial=fields.text(serial, "manifest.meter.serial"),
        firmware=fields.text(firmware, "manifest.meter.firmware"),
        profile=fields.text(profile, "manifest.meter.profile"),
        profile_hash=Hash(fields.bstr(profile_hash, "manifest.meter.profile_hash", 32)),
        bus=fields.text(bus, "manifest.meter.bus"),
        address=fields.uint(address, "manifest.meter.address", _MODBUS_UNIT_MAX),
    )


def _read_s0(value: object) -> S0Input:
    name, pulses = fields.array(value, "manifest.s0", 2)
    return S0Input(
        name=fields.text(name, "manifest.s0.name"),
        pulses_per_kwh=fields.uint(pulses, "manifest.s0.pulses_per_kwh", _PULSES_MAX),
    )
