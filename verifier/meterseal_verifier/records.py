"""The words for a record: quantities with units, UTC times, clock quality, meter states."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from meterseal.bodies import (
    Body,
    Event,
    Gap,
    Interval,
    KeyChange,
    Manifest,
    MeterReading,
    Reading,
    Restore,
)
from meterseal.keys import fingerprint
from meterseal.quantities import BY_CODE
from meterseal.rows import Row, RowFlag
from meterseal_verifier.content import (
    Entry,
    Fact,
    Group,
    Section,
    bytes_fact,
    name_fact,
    number_fact,
    section,
    text_fact,
    time_fact,
)
from meterseal_verifier.text import safe, scaled

if TYPE_CHECKING:
    from meterseal.records import Record

_EVERYDAY: Final = MappingProxyType(
    {
        "Wh": (3, "kWh"),
        "varh": (3, "kvarh"),
        "mV": (3, "V"),
        "mA": (3, "A"),
        "mHz": (3, "Hz"),
        "m°C": (3, "°C"),
        "permille": (1, "%"),
    }
)
"""Unit of a record: how many decimals the everyday unit takes, and its name."""


def record_section(record: Record) -> list[Entry]:
    """Describe a record."""
    light_n = None if record.light is None else record.light.n
    return [
        name_fact("kind", int(record.kind), record.kind.name),
        bytes_fact("device", record.device),
        number_fact("epoch", record.epoch),
        number_fact("seq", record.seq),
        time_fact("time", record.time),
        name_fact("clock", int(record.clock), record.clock.name),
        number_fact("light_n", light_n),
        bytes_fact("prev", record.prev),
        *_body(record.body),
    ]


def quantity_fact(code: int, value: int | None) -> Fact:
    """State a quantity in its everyday unit; a code that the table lacks stays a number."""
    quantity = BY_CODE.get(code)
    if quantity is None:
        return number_fact(f"quantity_{code}", value)
    if value is None:
        return Fact(key=quantity.name, value=None, words="no value")
    decimals, unit = _EVERYDAY.get(quantity.unit, (0, quantity.unit))
    return Fact(key=quantity.name, value=value, words=f"{scaled(value, decimals)} {unit}")


def _body(body: Body) -> list[Entry]:
    match body:
        case Reading():
            return [Group(key="meters", sections=tuple(_meter(each) for each in body.meters))]
        case Interval():
            return _interval(body)
        case Manifest():
            return _manifest(body)
        case Gap() | Event() | Restore() | KeyChange():
            return _occurrence(body)


def _occurrence(body: Gap | Event | Restore | KeyChange) -> list[Entry]:
    match body:
        case Gap():
            return [
                time_fact("start", body.start),
                time_fact("end", body.end),
                name_fact("reason", int(body.reason), body.reason.name),
                number_fact("meter", body.meter),
            ]
        case Event():
            detail = ", ".join(_detail(each) for each in body.detail)
            return [
                name_fact("event", int(body.code), body.code.name),
                Fact(key="detail", value=detail, words=detail or "none"),
            ]
        case Restore():
            missing = body.missing and f"{body.missing[0]} to {body.missing[1]}"
            return [
                name_fact("reason", int(body.reason), body.reason.name),
                bytes_fact("nonce", body.nonce),
                text_fact("missing", missing),
            ]
        case KeyChange():
            return [text_fact("new_key_fingerprint", fingerprint(body.public_key))]


def _meter(reading: MeterReading) -> Section:
    raw = [bytes_fact(f"raw_{_name(code)}", words) for code, words in sorted(reading.raw.items())]
    return section(
        "meter",
        f"Meter {reading.meter}",
        number_fact("meter", reading.meter),
        name_fact("state", reading.state.value, reading.state.name),
        number_fact("offset_ms", reading.offset_ms, "ms"),
        [quantity_fact(code, value) for code, value in sorted(reading.values.items())],
        raw,
    )


def _interval(body: Interval) -> list[Entry]:
    checkpoint_size = None if body.checkpoint is None else body.checkpoint.size
    partial = bool(body.flags & Interval.PARTIAL)
    return [
        time_fact("start", body.start),
        time_fact("end", body.end),
        number_fact("first_seq", body.first_seq),
        number_fact("count", body.count, "records"),
        Fact(key="partial", value=partial, words="yes" if partial else "no"),
        bytes_fact("root", body.root),
        bytes_fact("manifest_hash", body.manifest_hash),
        number_fact("checkpoint_size", checkpoint_size),
        Group(key="rows", sections=tuple(_row(each) for each in body.rows)),
    ]


def _row(row: Row) -> Section:
    flags = [flag.name or "" for flag in RowFlag if row.flags & flag]
    return section(
        "row",
        f"Meter {row.meter}",
        number_fact("meter", row.meter),
        name_fact("state", row.state.value, row.state.name),
        name_fact("clock", int(row.clock), row.clock.name),
        text_fact("flags", ", ".join(flags).lower().replace("_", " ") or None),
        _energy("opening_import_wh", row.opening_import_wh),
        _energy("opening_export_wh", row.opening_export_wh),
        _energy("closing_import_wh", row.closing_import_wh),
        _energy("closing_export_wh", row.closing_export_wh),
        number_fact("opening_offset_ms", row.opening_offset_ms, "ms"),
        number_fact("closing_offset_ms", row.closing_offset_ms, "ms"),
        bytes_fact("meter_id", row.meter_id),
    )


def _energy(key: str, value_wh: int | None) -> Fact:
    words = "no value" if value_wh is None else f"{scaled(value_wh, 3)} kWh"
    return Fact(key=key, value=value_wh, words=words)


def _manifest(body: Manifest) -> list[Entry]:
    meters = tuple(
        section(
            "meter",
            f"Meter {index}",
            text_fact("make", meter.make),
            text_fact("model", meter.model),
            text_fact("serial", meter.serial),
            text_fact("firmware", meter.firmware),
            text_fact("profile", meter.profile),
            bytes_fact("profile_hash", meter.profile_hash),
            text_fact("bus", meter.bus),
            number_fact("address", meter.address),
        )
        for index, meter in enumerate(body.meters)
    )
    inputs = tuple(
        section(
            "input",
            "Pulse input",
            text_fact("name", each.name),
            number_fact("pulses_per_kwh", each.pulses_per_kwh),
        )
        for each in body.s0
    )
    return [
        text_fact("key_fingerprint", fingerprint(body.public_key)),
        text_fact("software", body.software),
        number_fact("interval_s", body.interval_s, "s"),
        number_fact("tolerance_ms", body.tolerance_ms, "ms"),
        name_fact("publishes", int(body.publishes), body.publishes.name),
        Group(key="meters", sections=meters),
        Group(key="s0", sections=inputs),
    ]


def _name(code: int) -> str:
    quantity = BY_CODE.get(code)
    return f"quantity_{code}" if quantity is None else quantity.name


def _detail(value: int | bytes | str | None) -> str:
    return value.hex() if isinstance(value, bytes) else safe(str(value))
