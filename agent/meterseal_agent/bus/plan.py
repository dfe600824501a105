"""Merging the registers that are wanted into the requests that cost the line the least time.

Dynamic programming over the spans in address order: the cheapest way to read the first n of them
ends in one request that holds the last few, behind the cheapest way to read those before it. What
a request may hold is the meter's word: its longest read, holes that it lets itself be read across,
barriers that no request may span, even addresses. Each span (one value with its scale factor)
stays whole: words of one value never come from two requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal_agent.bus.frame import REGISTERS_MAX, Function, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meterseal_agent.bus.settings import Line, Pace

# Bytes of an RTU request, and of a reply without its register words (Serial Line 1.02, 2.5.1).
REQUEST_BYTES = 8
REPLY_BYTES = 5
_BYTES_A_REGISTER = 2
_NS = 1_000_000_000


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
        gap_max: Most registers in a row that nobody wants and the meter still lets be read.
            Whether reading across them is worth it is the planner's business.
        even: The meter wants an even first address and an even count.
        barriers: Addresses that no request may reach from below.
    """

    registers_max: int = REGISTERS_MAX
    gap_max: int = 10
    even: bool = False
    barriers: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """How long the line is taken.

    Attributes:
        request_s: By a request and a reply without registers, silences and turnaround included.
        register_s: By each register in the reply.
    """

    request_s: float
    register_s: float

    @classmethod
    def of(cls, line: Line, pace: Pace, turnaround_s: float = 0.0) -> Cost:
        """Compute the cost of a line with a meter.

        A read of n registers takes T(n) = 8c + g + turnaround + (5 + 2n)c + s: c one character,
        g the silence that ends the request for the meter, s the silence that we keep behind the
        reply, for the line or for the meter's sake.
        """
        silence_s = max(line.silence_s, pace.silence_s)
        frames_s = (REQUEST_BYTES + REPLY_BYTES) * line.char_s
        return cls(
            request_s=frames_s + line.silence_s + turnaround_s + silence_s,
            register_s=_BYTES_A_REGISTER * line.char_s,
        )

    def total_s(self, requests: Iterable[Request]) -> float:
        """Sum up what some requests take, in seconds."""
        return sum(self.request_s + self.register_s * request.count for request in requests)


# A line of 9600 baud 8N1 with a meter that answers at once: where nothing better is known.
USUAL_COST = Cost(request_s=0.0208, register_s=0.00208)


def plan(
    unit: int, spans: Iterable[Span], limits: Limits, cost: Cost = USUAL_COST
) -> tuple[Request, ...]:
    """Merge spans into requests, in order of function and address.

    Raises:
        ValueError: No request may hold one of the spans.
    """
    ordered = [_widened(span, limits) for span in sorted(set(spans))]
    for span in ordered:
        _check_alone(span, limits)
    cuts = _cheapest_cuts(ordered, limits, cost)
    return tuple(
        Request(
            unit=unit,
            function=part[0].function,
            address=part[0].address,
            count=_end(part) - part[0].address,
        )
        for part in (ordered[first:last] for first, last in cuts)
    )


def may_join(spans: Sequence[Span], limits: Limits) -> bool:
    """Tell whether one request may hold all these spans, given in address order."""
    first, end = spans[0], spans[0].end
    for span in spans[1:]:
        if span.function != first.function or span.address - end > limits.gap_max:
            return False
        end = max(end, span.end)
    return end - first.address <= limits.registers_max and not any(
        first.address < barrier < end for barrier in limits.barriers
    )


def _cheapest_cuts(spans: Sequence[Span], limits: Limits, cost: Cost) -> list[tuple[int, int]]:
    """Find where to cut; times are compared in whole nanoseconds, then fewer requests win."""
    request_ns, register_ns = round(cost.request_s * _NS), round(cost.register_s * _NS)
    best = [(0, 0)]  # time and requests of the cheapest way to read the first n spans
    before = [0]
    for last in range(1, len(spans) + 1):
        ways = []
        for first in range(last - 1, -1, -1):
            part = spans[first:last]
            if not may_join(part, limits):
                break
            taken_ns = request_ns + register_ns * (_end(part) - part[0].address)
            ways.append((best[first][0] + taken_ns, best[first][1] + 1, first))
        time_ns, requests, first = min(ways)
        best.append((time_ns, requests))
        before.append(first)
    cuts = []
    last = len(spans)
    while last:
        cuts.append((before[last], last))
        last = before[last]
    return cuts[::-1]


def _end(spans: Sequence[Span]) -> int:
    return max(span.end for span in spans)


def _check_alone(span: Span, limits: Limits) -> None:
    if span.count > limits.registers_max:
        raise ValueError(f"{span}: longer than the {limits.registers_max} registers of a request")
    if not may_join([span], limits):
        raise ValueError(f"{span}: reaches across one of the barriers {limits.barriers}")


def _widened(span: Span, limits: Limits) -> Span:
    if not limits.even:
        return span
    address, end = span.address & ~1, (span.end + 1) & ~1
    return Span(function=span.function, address=address, count=end - address)
