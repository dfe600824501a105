"""The body of a reading as a CBOR value: written and read some 8,000 times a day by every device.

    [[meter, state, offset ms, {quantity: value}, {quantity: raw words}], ...]

Rules, held on the way out and on the way in:

- meters ascend; there are 1 to 64;
- a state other than G has two empty maps: nothing stands in for a value that was not read;
- counters are never negative; raw words belong to a quantity that has a value or a null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meterseal.bodies import MAX_METERS, MAX_QUANTITIES, MeterReading, MeterState, Reading
from meterseal.errors import EncodingError
from meterseal.fields import array, items, uint
from meterseal.quantities import MAX_CODE, UNSIGNED_CODES

if TYPE_CHECKING:
    from collections.abc import Mapping

_OFFSET_MAX_MS: Final = 2**31 - 1
_VALUE_MAX: Final = 2**63 - 1
_WORDS_MAX: Final = 16
_STATES: Final = {state.value: state for state in MeterState}


def plain_reading(body: Reading) -> list[object]:
    """Turn a reading into what cbor2 writes, with the keys of its maps ascending."""
    return [
        [m.meter, m.state.value, m.offset_ms, _ascending(m.values), _ascending(m.raw)]
        for m in body.meters
    ]


def _ascending(column: Mapping[int, int | None] | Mapping[int, bytes | None]) -> dict[int, object]:
    return {code: column[code] for code in sorted(column)}


def read_reading(value: object) -> Reading:
    """Read a reading's body strictly.

    Raises:
        EncodingError: If a rule above is broken.
    """
    meters = tuple([_read_meter(item) for item in items(value, "reading", MAX_METERS)])
    last = -1
    for meter in meters:
        if meter.meter <= last:
            raise EncodingError(f"reading: meter {meter.meter} after {last}, expected ascending")
        last = meter.meter
    if not meters:
        raise EncodingError("reading: expected at least one meter")
    return Reading(meters=meters)


def _read_meter(value: object) -> MeterReading:
    meter, letter, offset, values, raw = array(value, "reading.meter", 5)
    state = _STATES.get(letter) if type(letter) is str else None
    if state is None:
        raise EncodingError(f"reading.state: expected one of {[*_STATES]}, got {letter!r:.80}")
    if type(offset) is not int or not -_OFFSET_MAX_MS <= offset <= _OFFSET_MAX_MS:
        raise EncodingError(f"reading.offset_ms: expected 32 bits with sign, got {offset!r:.80}")
    if type(values) is not dict or type(raw) is not dict:
        raise EncodingError("reading: expected a map of values and a map of raw words")
    if state is not MeterState.GOOD and (values or raw):
        raise EncodingError(f"reading.state {letter}: expected no values, got {len(values)}")
    _check_values(values)
    _check_raw(raw, values)
    return MeterReading(
        meter=uint(meter, "reading.meter", MAX_METERS - 1),
        state=state,
        offset_ms=offset,
        values=values,
        raw=raw,
    )


def _check_values(values: dict[object, object]) -> None:
    last = 0
    for code, value in values.items():
        if type(code) is not int or not last < code <= MAX_CODE:
            raise EncodingError(f"reading.values: expected ascending codes, got {code!r:.80}")
        last = code
        if value is None:
            continue
        if type(value) is not int or not -_VALUE_MAX <= value <= _VALUE_MAX:
            raise EncodingError(f"quantity {code}: expected 64 bits with sign, got {value!r:.80}")
        if value < 0 and code in UNSIGNED_CODES:
            raise EncodingError(f"quantity {code}: expected a counter above zero, got {value}")
    if len(values) > MAX_QUANTITIES:
        raise EncodingError(f"reading.values: expected at most {MAX_QUANTITIES}")


def _check_raw(raw: dict[object, object], values: dict[object, object]) -> None:
    last: object = 0
    for code, words in raw.items():
        if type(code) is not int or not last < code or code not in values:  # type: ignore[operator]
            raise EncodingError(f"reading.raw: expected a code that has a value, got {code!r:.80}")
        last = code
        if words is None:
            continue
        if type(words) is not bytes or len(words) % 2 or not 0 < len(words) <= 2 * _WORDS_MAX:
            raise EncodingError(f"raw words of quantity {code}: expected 1 to 16 words of 2 bytes")
