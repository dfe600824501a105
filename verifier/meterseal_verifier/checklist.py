"""The seven numbered steps while they are being gone through."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from meterseal_verifier.verdict import Finding, Judgement, Report, Step, StepState, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TITLES: Final = {
    1: "the file",
    2: "the device's key",
    3: "signatures",
    4: "in the interval",
    5: "in the log",
    6: "checkpoint",
    7: "ledger",
}
"""What each step is about; `protocol/evidence.md` has the same numbers."""

_ACCUSATIONS: Final = {
    ("fork", 4): "contradiction",
    ("split view", 5): "contradiction",
    ("rollback", 5): "contradiction",
}
"""Where a file that accuses asks something else."""


class Checklist:
    """Keeps each step's line, and what a step found but must not yet decide.

    Attributes:
        claim: What the file claims, once step (1) has read it.
        vouched_by: Who says that the key is the device's, once step (2) has found them.
    """

    def __init__(self) -> None:
        self.claim: str | None = None
        self.vouched_by: str | None = None
        self._steps: dict[int, Step] = {}
        self._held_back: list[Judgement] = []

    @contextmanager
    def step(
        self, number: int, *, hold_back: Verdict | None = None
    ) -> Iterator[Callable[[str], None]]:
        """Go through one step; the block says its line, or raises a `Finding`.

        Args:
            number: The step's number.
            hold_back: A verdict that is noted here and does not end the check yet.
        """
        lines: list[str] = []
        try:
            yield lines.append
        except Finding as finding:
            judgement = finding.judgement
            waits = judgement.verdict is Verdict.PENDING
            self._note(number, StepState.PENDING if waits else StepState.FAILED, judgement.sentence)
            if judgement.verdict is not hold_back:
                raise
            self._held_back.append(judgement)
        else:
            self._note(number, StepState.PASSED, " ".join(lines))

    def not_asked(self, number: int, why: str) -> None:
        """Note that neither claim nor policy asks for a step."""
        self._note(number, StepState.NOT_ASKED, why)

    def held_back(self, verdict: Verdict) -> Judgement | None:
        """Give the first finding of this verdict that was held back."""
        return next((each for each in self._held_back if each.verdict is verdict), None)

    def report(self, judgement: Judgement) -> Report:
        """Close the list; steps without a line were not reached."""
        steps = tuple(
            self._steps.get(number)
            or Step(
                number=number,
                title=self._title(number),
                state=StepState.NOT_CHECKED,
                line="not reached",
            )
            for number in TITLES
        )
        return Report(
            claim=self.claim,
            steps=steps,
            verdict=judgement.verdict,
            sentence=judgement.sentence,
            offence=judgement.offence,
            culprit=judgement.culprit,
            expected=judgement.expected,
            got=judgement.got,
            vouched_by=self.vouched_by,
        )

    def _note(self, number: int, state: StepState, line: str) -> None:
        title = self._title(number)
        self._steps[number] = Step(number=number, title=title, state=state, line=line)

    def _title(self, number: int) -> str:
        return _ACCUSATIONS.get((self.claim or "", number), TITLES[number])
