"""One process at a time writes the store: a lock on a file beside it, dropped by the kernel."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

from meterseal_agent.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class StoreLock:
    """Holds `<data_dir>/store.lock` from construction to `close`."""

    def __init__(self, path: Path) -> None:
        """Take the lock.

        Raises:
            StoreError: If another process holds it (the message names it), or the file cannot be
                made.
        """
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            message = f"{path}: cannot be opened ({error.strerror}); check data_dir's owner"
            raise StoreError(message) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "?"
            os.close(self._descriptor)
            message = (
                f"store in {path.parent}: in use by process {holder}; "
                "stop that agent first, two writers would fork the chain"
            )
            raise StoreError(message) from error
        # The number only serves the message above; the lock is the flock.
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Release the lock; the file stays, so that no one locks a deleted one."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        """Hold the lock for a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release it."""
        self.close()
