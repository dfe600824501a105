"""The aggregator's keys: one file a key, one purpose a key.

A file holds the 32 byte seed as 64 lower-case hex digits and a newline, mode 0400, in a folder of
mode 0700. A key that exists is never written over: a lost log key ends the log, a replaced one
splits it. One that others may read is refused: they may have copied it.

Of the enrolment key the public half lies in a file of its own, and is all that `run` needs: the key
itself may be kept on another machine, and brought back to enrol or to revoke.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_account import Account

from meterseal.keys import SigningKey
from meterseal.types import PublicKey
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
ENROLMENT_PUBLIC = "enrolment.pub"
LEDGER = "ledger.key"
SIGNING = (LOG, HEAD, OPERATOR_WITNESS, ENROLMENT)
NAMES = (*SIGNING, LEDGER)

_SEED = re.compile(rb"(?:0x)?([0-9a-f]{64})\n?\Z")
_FILE_MAX = 128
RESTORE = "Restore it from your backup: a new key is another aggregator."


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The Ed25519 keys of a running aggregator, and whose enrolments it believes."""

    log: SigningKey
    head: SigningKey
    operator_witness: SigningKey
    enrolment: PublicKey

    def public(self) -> dict[str, PublicKey]:
        """Their public halves by the names of their files."""
        return {
            LOG: self.log.public,
            HEAD: self.head.public,
            OPERATOR_WITNESS: self.operator_witness.public,
            ENROLMENT: self.enrolment,
        }


def missing(folder: Path) -> list[str]:
    """Name the key files that are not there, in the order of `NAMES`.

    The enrolment key may be kept elsewhere: its public half stands for it.
    """
    return [
        name
        for name in NAMES
        if not (folder / name).exists()
        and not (name == ENROLMENT and (folder / ENROLMENT_PUBLIC).exists())
    ]


def create_missing(folder: Path) -> list[str]:
    """Create the key files that are not there yet, each durable before the next.

    The public half of the enrolment key lies beside it, so that the key may be taken elsewhere.

    Killed here, a half-written key lies under its temporary name and is no key: the next call
    starts that one anew. `os.link` refuses to replace an existing key, also one made meanwhile.

    Returns:
        The names of the files created, in the order of `NAMES`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    created = [
        name for name in missing(folder) if _create(folder, name, secrets.token_hex(32).encode())
    ]
    if not (folder / ENROLMENT_PUBLIC).exists():
        public = read_key(folder, ENROLMENT).public
        _create(folder, ENROLMENT_PUBLIC, public.hex().encode())
    return created


def _create(folder: Path, name: str, content: bytes) -> bool:
    temporary = folder / f".{name}.{secrets.token_hex(4)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content + b"\n")
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
        KeyFileError: It is missing, unreadable, readable by others, or not 64 hex digits.
    """
    seed, mode = _read(path)
    if mode & 0o077:
        raise KeyFileError(
            f"key file {path}: expected mode 0400, got {mode:04o}, so others may copy the "
            f"aggregator's identity; run `chmod 400 {path}`"
        )
    return seed


def _read(path: Path) -> tuple[bytes, int]:
    """Read 64 hex digits, and the mode of their file."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(_FILE_MAX)
    except FileNotFoundError as error:
        raise KeyFileError(
            f"key file {path}: expected a key, found no file. {_remedy(path)}"
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
    return bytes.fromhex(found[1].decode()), mode


def _remedy(path: Path) -> str:
    if path.name == ENROLMENT and path.with_suffix(".pub").exists():
        return "It is kept elsewhere: put it here to enrol or revoke."
    if any((path.parent / name).exists() for name in SIGNING):
        return RESTORE
    return "Create the keys with `meterseal-aggregator init`."


def read_key(folder: Path, name: str) -> SigningKey:
    """Read one Ed25519 key."""
    return SigningKey.from_seed(read_seed(folder / name))


def read_keys(folder: Path) -> Keys:
    """Read the Ed25519 keys that run, and the public half of the one that enrols.

    Raises:
        KeyFileError: One is missing or no key, or `enrolment.pub` is not that of `enrolment.key`.
    """
    return Keys(
        log=read_key(folder, LOG),
        head=read_key(folder, HEAD),
        operator_witness=read_key(folder, OPERATOR_WITNESS),
        enrolment=_enrolment_public(folder),
    )


def _enrolment_public(folder: Path) -> PublicKey:
    private, public = folder / ENROLMENT, folder / ENROLMENT_PUBLIC
    if not public.exists():
        return read_key(folder, ENROLMENT).public
    stated = PublicKey(_read(public)[0])
    if private.exists() and read_key(folder, ENROLMENT).public != stated:
        raise KeyFileError(
            f"key file {public}: expected the public half of {private}. Restore both from your "
            "backup."
        )
    return stated


def read_account(path: Path) -> LocalAccount:
    """Read the secp256k1 key that pays for anchors."""
    account: LocalAccount = Account.from_key(read_seed(path))
    return account
