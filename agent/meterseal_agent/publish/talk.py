"""When to say what: hellos, pauses and grants, decided from times and answers; no I/O here.

- Until a hello of this run is answered, hello is said again and again, in pauses that double:
  an answer can be lost, and a device whose store is new signs nothing before it has one.
- What was sent and is not shown to be stored in time is asked about by another hello; its answer
  says from where to send again, because a broker may acknowledge and forget.
- A refusal that sending on cannot heal makes a pause, and pauses double until something is taken.
- A demand for records is unsigned. One is granted, then none for a while, and the while doubles
  until the aggregator shows, signed, that it has taken something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterseal.messages import RejectCode

PROBE_EVERY_S: Final = 5.0
SILENCE_S: Final = 60.0
HELLO_PAUSE_S: Final = (5.0, 60.0)
REFUSAL_PAUSE_S: Final = (2.0, 300.0)
GRANT_PAUSE_S: Final = (5.0, 300.0)

_REFUSALS: Final = {
    RejectCode.NOT_ENROLLED: (
        "this device is not enrolled; give `meterseal-agent init --json` to your aggregator"
    ),
    RejectCode.TOO_FAR_AHEAD: "the aggregator lacks earlier records; they are sent again",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """What is to be said now.

    Attributes:
        hello: Say where we stand, and ask where the aggregator does.
        ask: Ask for receipts, if some are missing.
    """

    hello: bool
    ask: bool


@dataclass(kw_only=True, slots=True)
class Talk:
    """What was said and answered in this run; owned by the publish task. Times are the loop's.

    Attributes:
        answered: A hello of this run was answered.
        trouble: Why sending pauses, in one sentence; empty while it does not.
        paused: Nothing is to be sent until `resume`.
    """

    answered: bool = False
    trouble: str = ""
    paused: bool = False
    _probed: bool = False
    _progress_s: float = 0.0
    _hello_s: float = 0.0
    _hello_pause_s: float = HELLO_PAUSE_S[0]
    _refusal_pause_s: float = REFUSAL_PAUSE_S[0]
    _grant_s: float = 0.0
    _grant_pause_s: float = GRANT_PAUSE_S[0]

    def begin(self, now_s: float) -> None:
        """A connection is up, and hello is said on it."""
        self._progress_s, self._probed = now_s, False
        self._hello_pause_s = HELLO_PAUSE_S[0]
        self._hello_s = now_s + self._hello_pause_s

    def due(self, now_s: float, *, behind: bool) -> Due:
        """What is to be said now.

        Args:
            now_s: The loop's time.
            behind: Something was sent that is not shown to be stored.
        """
        hello = not self.answered and now_s >= self._hello_s
        if hello:
            self._hello_pause_s = min(2 * self._hello_pause_s, HELLO_PAUSE_S[1])
            self._hello_s = now_s + self._hello_pause_s
        silent = now_s - self._progress_s > SILENCE_S
        if silent:
            self._progress_s, self._probed = now_s, behind
        return Due(hello=hello or (silent and behind), ask=silent)

    def answer(self, *, behind_stored: bool) -> bool:
        """A head answered our hello; tell whether to send again from where it stands.

        Args:
            behind_stored: It stands behind what was shown to be stored: something was lost there.
        """
        again = self._probed or behind_stored
        self.answered, self._probed = True, False
        return again

    def progress(self, now_s: float) -> None:
        """The aggregator was heard: something of ours was taken or returned."""
        self._progress_s = now_s
        if not self.paused:
            self._refusal_pause_s, self.trouble = REFUSAL_PAUSE_S[0], ""

    def taken(self) -> None:
        """A signed head shows more to be stored than before."""
        self._grant_pause_s = GRANT_PAUSE_S[0]

    def refuse(self, code: RejectCode) -> float | None:
        """A record was refused; give how long to pause, None for not at all (or already)."""
        if code not in _REFUSALS or self.paused:
            return None
        self.paused, self.trouble = True, _REFUSALS[code]
        pause_s = self._refusal_pause_s
        self._refusal_pause_s = min(2 * pause_s, REFUSAL_PAUSE_S[1])
        return pause_s

    def resume(self) -> None:
        """The pause is over."""
        self.paused = False

    def grant(self, now_s: float) -> bool:
        """Tell whether a demand for records is granted now; else it is asked again later."""
        if now_s < self._grant_s:
            return False
        self._grant_s = now_s + self._grant_pause_s
        self._grant_pause_s = min(2 * self._grant_pause_s, GRANT_PAUSE_S[1])
        return True
