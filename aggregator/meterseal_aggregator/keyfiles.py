"""The aggregator's keys: one file a key, one purpose a key.

A file holds the 32 byte seed as 64 lower-case hex digits and a newline, mode 0400, in a folder of
mode 0700. A key that exists is never written over: a lost log key ends the log, a replaced one
splits it.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_account import Account

from meterseal.keys import SigningKey
from meterseal_aggregator.errors import KeyFileError

if TYPE_CHECKING:
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

# Importing eth_account raises the recursion limit of the process beyond what the C stack bears: a
# node that answers with deeply nested JSON could then crash the aggregator.
sys.setrecursionlimit(1000)

LOG = "log.key"
HEAD = "head.key"
OPERATOR_WITNESS = "operator-witness.key"
ENROLMENT = "enrolment.key"
LEDGER = "ledger.key"
NAMES = (LOG, HEAD, OPERATOR_WITNESS, ENROLMENT, LEDGER)

_SEED = re.compile(rb"(?:0x)?([0-9a-f]{64})\n?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The four Ed25519 keys of a running aggregator."""

    log: SigningKey
    head: SigningKey
    operator_witness: SigningKey
    enrolment: SigningKey


def create_missing(folder: Path) -> list[str]:
    """Create the key files that are not there yet, each durable before the next.

    Killed here, a half-written key lies under its temporary name and is no key: the next call
    starts that one anew. `os.link` refuses to replace an existing key, also one made meanwhile.

    Returns:
        The names of the files created, in the order of `NAMES`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return [name for name in NAMES if not (folder / name).exists() and _create(folder, name)]


def _create(folder: Path, name: str) -> bool:
    temporary = folder / f".{name}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(32).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, folder / name)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return True


def read_seed(path: Path) -> bytes:
    """Read one key file.

    Raises:
        KeyFileError: It is missing, unreadable, or not 64 hex digits.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise KeyFileError(
            f"key file {path}: expected a key, found no file. "
            "Create the keys with `meterseal-aggregator init`."
        ) from error
    except OSError as error:
        raise KeyFileError(
            f"key file {path}: cannot be read ({error.strerror}). "
            "Run as the user who owns it; its mode is to be 0400."
        ) from error
    found = _SEED.match(data)
    if found is None:
        raise KeyFileError(
            f"key file {path}: expected 64 lower-case hex digits, got {len(data)} other bytes. "
            "Restore it from your backup; a new key would be another aggregator."
        )
    return bytes.fromhex(found[1].decode())


def read_key(folder: Path, name: str) -> SigningKey:
    """Read one Ed25519 key."""
    return SigningKey.from_seed(read_seed(folder / name))


def read_keys(folder: Path) -> Keys:
    """Read the four Ed25519 keys."""
    return Keys(
        log=read_key(folder, LOG),
        head=read_key(folder, HEAD),
        operator_witness=read_key(folder, OPERATOR_WITNESS),
        enrolment=read_key(folder, ENROLMENT),
    )


def read_account(path: Path) -> LocalAccount:
    """Read the secp256k1 key that pays for anchors."""
    account: LocalAccount = Account.from_key(read_seed(path))
    return account
