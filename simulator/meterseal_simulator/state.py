"""What a house keeps while the simulator is off: its counters must not run backwards.

The file is replaced, never rewritten: whoever kills the simulator finds the old state or the new
one. It is written before a meter answers, so no counter that was ever read is higher than the one
kept. Nothing is synchronised to the disk: what a simulator knows need not survive a power cut.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.house import MS_PER_DAY, Energies

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_simulator.house import HouseState

# The house lives on while the simulator is off, but nobody waits for years to be caught up.
_CAUGHT_UP_MS_MAX = MS_PER_DAY


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """Where a house stopped."""

    at_ms: int
    energies: Energies

    def resume_ms(self, now_ms: int) -> int:
        """Return from which moment the house goes on: where it stopped, at most a day ago."""
        return max(self.at_ms, now_ms - _CAUGHT_UP_MS_MAX)


class StateFile:
    """The file that keeps a house between two runs."""

    def __init__(self, path: Path, *, seed: int) -> None:
        self._path = path
        self._seed = seed

    def load(self) -> Kept | None:
        """Return where the house stopped, or None where it never ran.

        Raises:
            SimulatorError: The file is not a state, or that of another house.
        """
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            energies = Energies(**content["energies"])
            kept = Kept(at_ms=int(content["at_ms"]), energies=energies)
            seed = content["seed"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            msg = f"{self._path}: expected the state of a house, found something else; remove it"
            raise SimulatorError(msg) from error
        if seed != self._seed:
            msg = (
                f"{self._path}: expected the state of the house with --seed {self._seed}, found "
                f"--seed {seed}; choose that seed or another --state"
            )
            raise SimulatorError(msg)
        return kept

    def save(self, state: HouseState) -> None:
        """Keep the house as it stands.

        Raises:
            SimulatorError: The file cannot be written.
        """
        content = {"seed": self._seed, "at_ms": state.at_ms, "energies": asdict(state.energies)}
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(content), encoding="utf-8")
            fresh.replace(self._path)
        except OSError as error:
            msg = f"{self._path}: cannot be written ({error.strerror}); choose another --state"
            raise SimulatorError(msg) from error
