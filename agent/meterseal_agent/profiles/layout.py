"""What is read from one meter, at absolute addresses: the requests, and how their replies decode.

A layout is made once a meter is known (its settings read, its SunSpec models found) and decodes
all replies of one go together: every value, or an error and no value at all.

Rounding: the exact fraction in the quantity's unit is rounded to the nearest integer, half to
even. A counter thereby errs by half a watt-hour at most at any time, and differences of counters
do not add up errors: intervals telescope over the rounded counter.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from meterseal.quantities import BY_CODE, BY_NAME, ENERGY_EXPORT, ENERGY_IMPORT
from meterseal_agent.bus.plan import USUAL_COST, Span, may_join, plan
from meterseal_agent.errors import MeterError
from meterseal_agent.profiles.words import REGISTERS, number, power_of_ten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meterseal_agent.bus.frame import Request
    from meterseal_agent.bus.plan import Cost, Limits
    from meterseal_agent.profiles.model import Field, Point

# A record carries integers up to 64 bits; a counter beyond 2^63 is no counter.
_VALUE_MAX = (1 << 63) - 1
_POWER = BY_NAME["power_w"].code


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixed:
    """Words that must stand at an address in every reading (a SunSpec model's header)."""

    field: Field
    expect: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """A counter as its register shows it, exact, in the quantity's unit.

    Attributes:
        count: The value before it is rounded.
        step: What one count of the register is worth, with the scale factor that was read; 0 for a
            float, which does not say.
        wrap: Width at which the register begins again at 0; None if it is not known to.
    """

    count: Fraction
    step: Fraction
    wrap: Fraction | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """Values and raw words of one go, by quantity code.

    Attributes:
        counters: Each billing counter, and each other that wraps, that has a value.
    """

    values: dict[int, int | None]
    raw: dict[int, bytes | None]
    counters: dict[int, Counter] = field(default_factory=dict)

    @property
    def wraps(self) -> dict[int, Fraction]:
        """Where each counter begins again at 0, of those that are known to."""
        return {code: one.wrap for code, one in self.counters.items() if one.wrap is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The requests of one meter and their meaning.

    Attributes:
        spans: What must come together, from which the requests are planned.
        stamp: Index of the request whose arrival stamps the sample: that of the first billing
            counter.
    """

    unit: int
    limits: Limits
    spans: tuple[Span, ...]
    requests: tuple[Request, ...]
    points: tuple[Point, ...]
    fixed: tuple[Fixed, ...]
    stamp: int

    def planned(self, cost: Cost, limits: Limits | None = None) -> Layout:
        """Plan the same values for what a request really costs, or for narrower limits."""
        limits = limits or self.limits
        spans = (*self.spans, *_of_one_moment(self.points, self.spans, limits))
        requests = plan(self.unit, spans, limits, cost)
        billing = [point for point in self.points if point.billing] or self.points
        stamp = min((_request_of(requests, span_of(point)) for point in billing), default=0)
        return replace(self, limits=limits, requests=requests, stamp=stamp)

    def decode(self, replies: Sequence[bytes]) -> Decoded:
        """Decode the replies to `requests`, in their order.

        Raises:
            MeterError: A fixed word or a value is not what it must be.
        """
        image = _Image(self.requests, replies)
        for fixed in self.fixed:
            _check_fixed(fixed, image)
        values: dict[int, int | None] = {}
        raw: dict[int, bytes | None] = {}
        counters: dict[int, Counter] = {}
        for point in self.points:
            words = image.words(point.field)
            scale = None if point.scale is None else image.at(point.field, point.scale, 1)
            power = Fraction(1) if scale is None else power_of_ten(scale)
            exact = _exact(point, image, power)
            values[point.code] = None if exact is None else _value(point, words, exact)
            if point.counts:
                raw[point.code] = None if exact is None else words + (scale or b"")
            if exact is not None and power is not None and point.counts:
                counters[point.code] = _counter(point, exact, power)
        return Decoded(values=values, raw=raw, counters=counters)


def make_layout(
    unit: int,
    points: Sequence[Point],
    limits: Limits,
    *,
    blocks: Sequence[Span] = (),
    fixed: Sequence[Fixed] = (),
) -> Layout:
    """Plan the requests for some points, for the usual line.

    Args:
        unit: Unit id of the meter.
        points: What is wanted, at absolute addresses.
        limits: What one request may ask.
        blocks: Registers that must come in one request (values with their scale factors); a point
            outside every block is read on its own words.
        fixed: Words to check in every reading; they lie in a block.

    Raises:
        ValueError: A block is longer than a request may be.
    """
    spans = list(blocks)
    for point in points:
        span = span_of(point)
        if not any(_holds(block, span) for block in blocks):
            spans.append(span)
    layout = Layout(
        unit=unit,
        limits=limits,
        spans=tuple(spans),
        requests=(),
        points=tuple(points),
        fixed=tuple(fixed),
        stamp=0,
    )
    return layout.planned(USUAL_COST)


def _of_one_moment(points: Sequence[Point], spans: Sequence[Span], limits: Limits) -> list[Span]:
    """Span the counters that are billed on and the power, where one request may hold them.

    Power that was read a request later does not fit the counters' slope; and an import and an
    export of two moments can both have grown.
    """
    by_code = {point.code: point for point in points}
    for codes in ((ENERGY_IMPORT, ENERGY_EXPORT, _POWER), (ENERGY_IMPORT, ENERGY_EXPORT)):
        wanted = sorted(span_of(by_code[code]) for code in codes if code in by_code)
        if len(wanted) > 1:
            first, end = wanted[0], max(span.end for span in wanted)
            between = [span for span in spans if first <= span and span.end <= end]
            if between and may_join(sorted(between), limits):
                return [
                    Span(function=first.function, address=first.address, count=end - first.address)
                ]
    return []


class _Image:
    """The words of all replies, by function and address."""

    def __init__(self, requests: Sequence[Request], replies: Sequence[bytes]) -> None:
        self._parts = list(zip(requests, replies, strict=True))

    def words(self, field: Field) -> bytes:
        return self.at(field, field.address, REGISTERS[field.word_type])

    def at(self, field: Field, address: int, count: int) -> bytes:
        for request, words in self._parts:
            first = address - request.address
            if request.function == field.function and 0 <= first <= request.count - count:
                return words[2 * first : 2 * (first + count)]
        raise LookupError(f"register {address} was not planned")


def _check_fixed(fixed: Fixed, image: _Image) -> None:
    got = number(image.words(fixed.field), fixed.field.word_type, fixed.field.order)
    if got != fixed.expect:
        raise MeterError(
            f"register {fixed.field.address}: expected {fixed.expect} as found at start, got {got}"
        )


def _exact(point: Point, image: _Image, power: Fraction | None) -> Fraction | None:
    field = point.field
    read = number(image.words(field), field.word_type, field.order, field.absent)
    if point.minus is not None and read is not None:
        words = image.at(field, point.minus, REGISTERS[field.word_type])
        less = number(words, field.word_type, field.order, field.absent)
        read = None if less is None else read - less
    return None if read is None or power is None else Fraction(read) * power * point.factor


def _counter(point: Point, exact: Fraction, power: Fraction) -> Counter:
    width = point.wrap_width
    return Counter(
        count=exact,
        step=abs(point.factor) * power if point.field.word_type[0] != "f" else Fraction(0),
        wrap=None if width is None else width * power,
    )


def _value(point: Point, words: bytes, exact: Fraction) -> int:
    value = round(exact)
    if abs(value) > _VALUE_MAX:
        raise MeterError(f"{point.name}: expected less than 2^63, got {value}")
    if value < 0 and not BY_CODE[point.code].signed:
        raise MeterError(
            f"{point.name}: expected no negative value, got {value} (words {words.hex(' ', 2)}). "
            "Is this the right profile?"
        )
    return value


def span_of(point: Point) -> Span:
    """List the registers that must come together: the value's, and those it is made with."""
    field = point.field
    registers = REGISTERS[field.word_type]
    first, end = field.address, field.address + registers
    if point.minus is not None:
        first, end = min(first, point.minus), max(end, point.minus + registers)
    if point.scale is not None:
        first, end = min(first, point.scale), max(end, point.scale + 1)
    return Span(function=field.function, address=first, count=end - first)


def _holds(block: Span, span: Span) -> bool:
    same = block.function == span.function
    return same and block.address <= span.address and span.end <= block.end


def _request_of(requests: Sequence[Request], span: Span) -> int:
    for index, request in enumerate(requests):
        block = Span(function=request.function, address=request.address, count=request.count)
        if _holds(block, span):
            return index
    raise LookupError(f"register {span.address} was not planned")
