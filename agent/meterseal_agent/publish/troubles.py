"""What a person should know, each with the time since which it is so."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Troubles:
    """One sentence for each thing that can be wrong; logged when it changes, not when it lasts."""

    now_ms: Callable[[], int]
    _known: dict[str, tuple[int, str]] = field(default_factory=dict)

    def note(self, what: str, text: str) -> None:
        """Say how `what` stands; an empty text says that it is well."""
        known = self._known.get(what)
        if not text:
            self._known.pop(what, None)
        elif known is None or known[1] != text:
            _log.warning("%s", text)
            self._known[what] = (self.now_ms() if known is None else known[0], text)

    @property
    def all(self) -> tuple[tuple[int, str], ...]:
        """Since when, in UTC milliseconds, and what."""
        return tuple(self._known.values())

    def __str__(self) -> str:
        """All sentences in one line."""
        return "; ".join(text for _, text in self._known.values())
