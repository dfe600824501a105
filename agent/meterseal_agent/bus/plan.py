"""Merging the registers that are wanted into few requests.

A greedy walk in address order: a span joins the running request while the gap between them costs
less than a request of its own, and the request stays within what the meter allows. Each span (one
value with its scale factor) stays whole: words of one value never come from two requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import REGISTERS_MAX, Function, Request

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Span:
    """Registers that must come together.

    Attributes:
        address: Zero-based protocol address of the first.
    """

    function: Function
    address: int
    count: int

    @property
    def end(self) -> int:
        """Address behind the last register."""
        return self.address + self.count


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one request to a meter may ask.

    Attributes:
        registers_max: Longest request.
        gap_max: Most registers read and thrown away to save a request. At 9600 baud a register
            costs 2.1 ms and a request about 20 ms and the meter's turnaround.
        even: The meter wants an even first address and an even count.
    """

    registers_max: int = REGISTERS_MAX
    gap_max: int = 10
    even: bool = False


def plan(unit: int, spans: Iterable[Span], limits: Limits) -> tuple[Request, ...]:
    """Merge spans into requests, in order of function and address.

    Raises:
        ValueError: A span is longer than one request may be.
    """
    requests: list[Request] = []
    start = end = 0
    function: Function | None = None
    for span in sorted(set(spans)):
        first, last = _widen(span, limits)
        if last - first > limits.registers_max:
            raise ValueError(
                f"{span}: longer than the {limits.registers_max} registers of a request"
            )
        joins = (
            function == span.function
            and first - end <= limits.gap_max
            and max(end, last) - start <= limits.registers_max
        )
        if joins:
            end = max(end, last)
            continue
        if function is not None:
            requests.append(_request(unit, function, start, end))
        function, start, end = span.function, first, last
    if function is not None:
        requests.append(_request(unit, function, start, end))
    return tuple(requests)


def _widen(span: Span, limits: Limits) -> tuple[int, int]:
    if not limits.even:
        return span.address, span.end
    return span.address & ~1, (span.end + 1) & ~1


def _request(unit: int, function: Function, start: int, end: int) -> Request:
    return Request(unit=unit, function=function, address=start, count=end - start)
