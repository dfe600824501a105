"""What the disk can do to us, sorted by what must follow."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from meterseal_agent.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


class StoreFull(StoreError):  # noqa: N818 -- a state of the disk, not a fault
    """Nothing was written because there is no room; signing pauses and goes on by itself."""


class StoreBusy(StoreError):  # noqa: N818 -- a state of the disk, not a fault
    """Nothing was written because another process reads or writes; try again."""


class StoreBroken(StoreError):  # noqa: N818 -- it says what is true of the store
    """A write failed and nobody knows how much of it is on disk: this process must end.

    The marker has not been touched, so the next start finds out what is true.
    """


class OtherLog(StoreError):  # noqa: N818 -- a state of the configuration, not a fault of the disk
    """What the store holds is another log's: nothing is published, and signing goes on."""


_PRIMARY = 0xFF  # the low byte of an extended result code is the primary one


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn an SQLite error into ours.

    Raises:
        StoreFull: SQLITE_FULL.
        StoreBusy: SQLITE_BUSY or SQLITE_LOCKED.
        StoreBroken: Everything else.
    """
    try:
        yield
    except sqlite3.Error as error:
        message = f"store: {what} failed: {error}"
        match getattr(error, "sqlite_errorcode", 0) & _PRIMARY:
            case sqlite3.SQLITE_FULL:
                raise StoreFull(f"{message}; make room in data_dir") from error
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                raise StoreBusy(message) from error
            case _:
                raise StoreBroken(f"{message}; run `meterseal-agent fsck`") from error
