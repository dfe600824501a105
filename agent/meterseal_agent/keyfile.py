"""The device's record key on disk: one line of 64 hex digits, readable by its owner alone.

- The key is made once, from the kernel's randomness, and never overwritten: whoever holds another
  key is another device.
- Written to a temporary name, synced, linked into place, and the folder synced: after a power cut
  there is a whole key or none.
- A key that others may read is refused, because a copied key is a second device nobody can tell.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from typing import TYPE_CHECKING

from meterseal.keys import SigningKey
from meterseal_agent.errors import AgentError

if TYPE_CHECKING:
    from pathlib import Path

KEY_NAME = "device.key"
_SEED_BYTES = 32
_LINE = re.compile(rb"[0-9a-f]{64}\n?\Z")
_MODE = 0o400


class KeyFileError(AgentError):
    """The key file is absent, unreadable, open to others or not a key."""


def create_key(path: Path) -> SigningKey:
    """Make the device's key and put it at `path`.

    Killed before the link, a temporary file is left and no key; after it, the key is whole.

    Raises:
        KeyFileError: If a key is already there, or the folder cannot be written.
    """
    seed = os.urandom(_SEED_BYTES)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_synced(temporary, seed.hex().encode() + b"\n")
        # link() and not rename(): it fails where a key exists, whoever made it in between.
        os.link(temporary, path)
        sync_folder(path.parent)
    except FileExistsError as error:
        message = (
            f"key file {path}: a key is already there and is never overwritten, because it is the "
            "device's identity; use another data_dir for another device"
        )
        raise KeyFileError(message) from error
    except OSError as error:
        message = f"key file {path}: cannot be written ({error.strerror}); check data_dir's owner"
        raise KeyFileError(message) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return SigningKey.from_seed(seed)


def load_key(path: Path) -> SigningKey:
    """Read the device's key.

    Raises:
        KeyFileError: If it is absent, not readable, readable by others, or not 64 hex digits.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(_SEED_BYTES * 2 + 2)
    except FileNotFoundError as error:
        message = f"key file {path}: there is none; run `meterseal-agent init` once"
        raise KeyFileError(message) from error
    except OSError as error:
        message = (
            f"key file {path}: cannot be read ({error.strerror}); "
            "run the agent as the file's owner, mode 0400"
        )
        raise KeyFileError(message) from error
    if mode & 0o077:
        message = (
            f"key file {path}: expected mode 0400, got {mode:04o}, so others may copy the device's "
            f"identity; run `chmod 400 {path}`"
        )
        raise KeyFileError(message)
    if not _LINE.match(data):
        message = (
            f"key file {path}: expected 64 lower-case hex digits, got {len(data)} bytes that are "
            "something else; restore the file, or enrol a new device in another data_dir"
        )
        raise KeyFileError(message)
    return SigningKey.from_seed(bytes.fromhex(data.strip().decode()))


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable (a rename or link is not, until its folder is synced)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _MODE)
    try:
        os.fchmod(descriptor, _MODE)
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
