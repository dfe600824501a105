"""A battery that keeps the sun for the evening.

Its state follows from the energies that have flowed, so it does not depend on how time was cut
into steps: `stored = at start + charged * efficiency - discharged`, in whole microjoules.
"""

from __future__ import annotations

from dataclasses import dataclass

UJ_PER_KWH = 3_600_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Battery:
    """A battery coupled to the house's AC side.

    Attributes:
        efficiency_permille: How much of what is charged can be discharged again.
    """

    capacity_uj: int
    power_mw: int
    efficiency_permille: int = 920
    start_permille: int = 300

    @classmethod
    def of(cls, capacity_kwh: float) -> Battery:
        """Make a battery that is filled in two hours."""
        capacity_uj = round(capacity_kwh * UJ_PER_KWH)
        return cls(capacity_uj=capacity_uj, power_mw=round(capacity_kwh * 500_000))

    def stored_uj(self, charged_uj: int, discharged_uj: int) -> int:
        """Return what is in it after so much was charged and discharged."""
        start = self.capacity_uj * self.start_permille // 1000
        return start + charged_uj * self.efficiency_permille // 1000 - discharged_uj

    def flow_mw(self, surplus_mw: int, stored_uj: int, span_ms: int) -> int:
        """Decide for a span: positive charges, negative discharges.

        It follows the surplus of the house as far as its power and content allow, so that over
        the span it neither overflows nor runs dry.
        """
        if surplus_mw >= 0:
            room_uj = self.capacity_uj - stored_uj
            most_mw = room_uj * 1000 // self.efficiency_permille // span_ms
            return max(0, min(surplus_mw, self.power_mw, most_mw))
        most_mw = stored_uj // span_ms
        return -max(0, min(-surplus_mw, self.power_mw, most_mw))
