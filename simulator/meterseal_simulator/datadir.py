"""The data folder of one process: made when it is not there, and held by one process at a time."""

from __future__ import annotations

import fcntl
import time
from typing import IO, TYPE_CHECKING, Final

from meterseal_simulator.errors import SimulatorError

if TYPE_CHECKING:
    from pathlib import Path

_RETRY_S: Final = 0.02


def claim(folder: Path, *, wait_s: float = 0.0) -> IO[bytes]:
    """Make a data folder and take it.

    Args:
        folder: The data folder.
        wait_s: How long to wait for a process that is about to end.

    Returns:
        The lock: the folder is held until every copy of this file is closed, which the kernel does
        for a process that is killed.

    Raises:
        SimulatorError: It cannot be made, or another process holds it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("wb")
    except OSError as error:
        raise SimulatorError(
            f"data folder {folder}: cannot be made or written: {error.strerror}; "
            "choose another one with --data"
        ) from error
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() < deadline:
                time.sleep(_RETRY_S)
                continue
            lock.close()
            raise SimulatorError(
                f"data folder {folder}: in use by another process; stop that one, or choose "
                "another folder with --data"
            ) from error
        return lock
