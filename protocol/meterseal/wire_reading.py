"""The body of a reading as a CBOR value: written and read some 8,000 times a day by every device.

    [[meter, state, offset ms, {quantity: value}, {quantity: raw words}], ...]

Rules, held on the way out and on the way in:

- meters ascend; there are 1 to 64;
- a state other than G has two empty maps: nothing stands in for a value that was not read;
- counters are never negative; raw words belong to a quantity that has a value or a null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from meterseal.bodies import MAX_METERS, MAX_QUANTITIES, MeterReading, MeterState, Reading
from meterseal.errors import EncodingError
from meterseal.fields import array, items, shown
from meterseal.quantities import MAX_CODE, UNSIGNED_CODES

if TYPE_CHECKING:
    from collections.abc import Mapping

_OFFSET_MAX_MS: Final = 2**31 - 1
_VALUE_MIN: Final = -(2**63)
_VALUE_MAX: Final = 2**63 - 1
_WORDS_MAX: Final = 16
_STATES: Final = {state.value: state for state in MeterState}
_GOOD: Final = MeterState.GOOD.value

_Meter: TypeAlias = "tuple[int, str, int, dict[int, int | None], dict[int, bytes | None]]"


def plain_reading(body: Reading) -> list[object]:
    """Turn a reading into what cbor2 writes, with the keys of its maps ascending."""
    return [
        [m.meter, m.state.value, m.offset_ms, _ascending(m.values), _ascending(m.raw)]
        for m in body.meters
    ]


def _ascending(column: Mapping[int, object]) -> Mapping[int, object]:
    codes = sorted(column)
    if type(column) is dict and [*column] == codes:
        return column
    return {code: column[code] for code in codes}


def read_reading(value: object) -> Reading:
    """Read a reading's body strictly.

    Raises:
        EncodingError: If a rule above is broken.
    """
    return Reading(
        meters=tuple(
            [
                MeterReading(
                    meter=meter, state=_STATES[letter], offset_ms=offset, values=values, raw=raw
                )
                for meter, letter, offset, values, raw in check_reading(value)
            ]
        )
    )


def check_reading(value: object) -> list[_Meter]:
    """Hold a reading's body against the rules above, and return it with its type.

    Raises:
        EncodingError: If a rule above is broken.
    """
    last = -1
    for item in items(value, "reading", MAX_METERS):
        meter, letter, offset, values, raw = array(item, "reading.meter", 5)
        if type(meter) is not int or not last < meter < MAX_METERS:
            raise _expected("reading.meter", f"an index from {last + 1} to 63", meter)
        last = meter
        if type(letter) is not str or letter not in _STATES:
            raise _expected("reading.state", f"one of {[*_STATES]}", letter)
        if type(offset) is not int or not -_OFFSET_MAX_MS <= offset <= _OFFSET_MAX_MS:
            raise _expected("reading.offset_ms", "an integer of 32 bits", offset)
        if type(values) is not dict or type(raw) is not dict:
            raise _expected("reading", "a map of values and a map of raw words", [values, raw])
        if letter != _GOOD and (values or raw):
            raise _expected("reading", f"no values in state {letter}", values)
        _check_values(values)
        _check_raw(raw, values)
    if last < 0:
        raise _expected("reading", "at least one meter", value)
    return value  # type: ignore[return-value] # the loop above has looked at all of it


def _check_values(values: dict[object, object]) -> None:
    last = 0
    for code, value in values.items():
        if type(code) is not int or not last < code <= MAX_CODE:
            raise _expected("reading.values", f"a code from {last + 1} to {MAX_CODE}", code)
        last = code
        if value is None:
            continue
        if type(value) is not int or not _VALUE_MIN <= value <= _VALUE_MAX:
            raise _expected(f"quantity {code}", "an integer of 64 bits or null", value)
        if value < 0 and code in UNSIGNED_CODES:
            raise _expected(f"quantity {code}", "a counter of zero or more", value)
    if len(values) > MAX_QUANTITIES:
        raise _expected("reading.values", f"at most {MAX_QUANTITIES}", values)


def _check_raw(raw: dict[object, object], values: dict[object, object]) -> None:
    last = 0
    for code, words in raw.items():
        if type(code) is not int or code <= last or code not in values:
            raise _expected("reading.raw", "ascending codes that have a value", code)
        last = code
        if words is None:
            continue
        if type(words) is not bytes or len(words) % 2 or not 0 < len(words) <= 2 * _WORDS_MAX:
            raise _expected(f"raw words of quantity {code}", "1 to 16 words of 2 bytes", words)


def _expected(name: str, expected: str, got: object) -> EncodingError:
    return EncodingError(f"{name}: expected {expected}, got {shown(got)}")
