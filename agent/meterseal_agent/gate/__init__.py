"""The plausibility gate, between a snapshot and its signature: pure, no clock, no disk.

- What a meter's counters may do is bounded: they do not fall, they do not outrun the meter's
  rating, and they do not stand still under load together with everything else.
- What breaks a bound is read again at once; if it stays, it is held: state O, no values, and an
  event with what came. Nothing is corrected and nothing is left out silently.
- What is held becomes the new base when it proves to count: three rounds in a row that follow each
  other, and it moved. The event that says so flags the interval's row. A 0 that comes for the
  night never moves, so the true counter in the morning continues what was before the night.
- A register that begins again at 0 is followed: what is signed is the total, beside raw words.
"""

from meterseal_agent.gate.bases import Base, Believed, base_keys
from meterseal_agent.gate.gate import Gate, Judged
from meterseal_agent.gate.known import Known
from meterseal_agent.gate.rating import Rating, ratings

__all__ = ["Base", "Believed", "Gate", "Judged", "Known", "Rating", "base_keys", "ratings"]
