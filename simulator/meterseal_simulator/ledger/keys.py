"""The keys of the embedded ledger: four validators and one funded account, made at first start.

Each file holds one secp256k1 key as 64 hex digits and is readable by its owner only. A key file is
written aside, forced to disk and renamed: a power cut leaves a whole key or none.
"""

from __future__ import annotations

import os
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

from coincurve import PrivateKey

from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.ledger.seal import Validator, address_of

if TYPE_CHECKING:
    from pathlib import Path

VALIDATOR_COUNT: Final = 4
FUNDED_KEY_FILE: Final = "funded.key"

_HEX_DIGITS: Final = 64


def load_validators(folder: Path) -> tuple[Validator, ...]:
    """Read the validators' keys, making those that are not there, in order of address."""
    names = (f"validator-{number}.key" for number in range(1, VALIDATOR_COUNT + 1))
    validators = [Validator(key=load_key(folder / name)) for name in names]
    return tuple(sorted(validators, key=lambda validator: validator.address))


def load_funded(folder: Path) -> bytes:
    """Return the address of the funded account, making its key if there is none."""
    return address_of(load_key(folder / FUNDED_KEY_FILE))


def load_key(path: Path) -> PrivateKey:
    """Read a key file, or make one.

    Raises:
        SimulatorError: The file is there and is no key.
    """
    try:
        text = path.read_text("ascii").strip()
    except FileNotFoundError:
        return _make_key(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SimulatorError(f"key file {path}: cannot be read: {error}") from error
    if len(text) != _HEX_DIGITS or not set(text) <= set("0123456789abcdef"):
        raise SimulatorError(
            f"key file {path}: expected {_HEX_DIGITS} lower-case hex digits, got {len(text)} "
            "characters; restore it, or start with an empty data folder"
        )
    return PrivateKey(bytes.fromhex(text))


def _make_key(path: Path) -> PrivateKey:
    key = PrivateKey(token_bytes(32))
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)  # a start that was killed here left it, and nobody knows the key
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return key
