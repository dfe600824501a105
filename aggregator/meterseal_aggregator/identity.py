"""Which log a store is: its origin, and the keys it was made with.

1. `init` makes the store while there is no key, then the keys, and at last the store remembers
   their public halves. Killed in between, the store remembers none, and the next `init` goes on.
2. A store that remembers its keys gets no other: a lost one comes back from a backup, or the log
   ends. A new key under the old name is another aggregator, which no device believes.
3. Keys without a store have signed what it held. No new store is begun beside them: it would give
   a second root to sizes that have one, and anchor it at a contract of its own.

The ledger key is not among those remembered: a contract may hand a log over to another account, and
says itself which one it takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meterseal.checkpoint import open_checkpoint
from meterseal.errors import ProtocolError
from meterseal_aggregator import keyfiles
from meterseal_aggregator.errors import ConfigError, KeyFileError, StoreError
from meterseal_aggregator.sequencer import log_signer
from meterseal_aggregator.standing import SIGNED_BEFORE
from meterseal_aggregator.store import Store

if TYPE_CHECKING:
    from meterseal_aggregator.config import Config
    from meterseal_aggregator.keyfiles import Keys

ORIGIN: Final = "origin"
BORN: Final = "born before its keys"
"""Fact of a store that was there before any key that signs for it: no other store can be lost."""
_PUBLIC: Final = "public half of "
_OF_THE_LOG: Final = (keyfiles.LOG, keyfiles.HEAD, keyfiles.OPERATOR_WITNESS)


def begin(config: Config) -> list[str]:
    """Make store and keys; what exists is left alone.

    Returns:
        The names of the key files that were made.

    Raises:
        ConfigError: The folder cannot be written.
        StoreError: A store was lost, or it is another log's.
        KeyFileError: A key was lost.
    """
    try:
        config.keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_not_lost(config)
        with Store(config.store_path, create=True) as store:
            check_origin(store, config.origin)
            created = _create_keys(store, config)
            check_identity(store, config.origin, keyfiles.read_keys(config.keys_dir))
    except OSError as error:
        raise ConfigError(
            f"data_dir {config.data_dir}: {error.strerror}. Name a folder that can be written."
        ) from error
    return created


def _create_keys(store: Store, config: Config) -> list[str]:
    missing = keyfiles.missing(config.keys_dir)
    if set(missing) >= set(_OF_THE_LOG) and _is_new(store):
        with store.write():
            store.pin(BORN, b"")
    if missing and not (_is_new(store) and store.fact(BORN) is not None):
        raise _lost_key(config, missing)
    return keyfiles.create_missing(config.keys_dir)


def open_store(config: Config) -> Store:
    """Open the store of a log that has begun.

    Raises:
        StoreError: It is lost, was never made, or is not an aggregator's.
    """
    _check_not_lost(config)
    return Store(config.store_path)


def read_keys(config: Config) -> Keys:
    """Read the keys that sign.

    Raises:
        StoreError: The keys are here and the store is lost.
        KeyFileError: A key is lost, was never made, or cannot be used.
    """
    _check_not_lost(config)
    missing = keyfiles.missing(config.keys_dir)
    if set(missing) & set(keyfiles.SIGNING) and config.store_path.exists():
        with Store(config.store_path) as store:
            if not _is_new(store):
                raise _lost_key(config, missing)
    return keyfiles.read_keys(config.keys_dir)


def check_origin(store: Store, origin: str) -> None:
    """Hold the configured origin against the store's, which it gets once.

    Raises:
        StoreError: The store is another log's.
    """
    with store.write():
        stands = store.pin(ORIGIN, origin.encode())
    if stands != origin.encode():
        raise StoreError(_other_origin(stands, origin))


def check_identity(store: Store, origin: str, keys: Keys) -> None:
    """Hold origin and keys against what the store was made with; it remembers them from then on.

    Raises:
        StoreError: The store is another log's.
        KeyFileError: A key is another than the store's.
    """
    check_origin(store, origin)
    if not store.facts(_PUBLIC):
        _remember(store, origin, keys)
    faults = strange_keys(store, keys)
    if faults:
        raise KeyFileError(faults[0])


def strangers(store: Store, origin: str, keys: Keys) -> list[str]:
    """Name everything that is not what the store was made with; write nothing."""
    stands = store.fact(ORIGIN)
    other = stands is not None and stands != origin.encode()
    return [*([_other_origin(stands or b"", origin)] if other else []), *strange_keys(store, keys)]


def strange_keys(store: Store, keys: Keys) -> list[str]:
    """Name the keys that are not those the store was made with."""
    remembered = dict(store.facts(_PUBLIC))
    return [
        f"key file {name}: expected the key that the store was made with, public half "
        f"{remembered[_PUBLIC + name].hex()}, got {public.hex()}. {keyfiles.RESTORE}"
        for name, public in keys.public().items()
        if remembered.get(_PUBLIC + name, public) != public
    ]


def _remember(store: Store, origin: str, keys: Keys) -> None:
    """Let the store remember its keys; one that signed already shows that the log key is its own.

    Raises:
        KeyFileError: Another log key signed the store's newest checkpoint.
    """
    newest = store.tree.checkpoint()
    if newest is not None:
        try:
            open_checkpoint(newest.note, log_signer(origin, keys).verifier)
        except ProtocolError as error:
            raise KeyFileError(
                f"key file {keyfiles.LOG}: it did not sign checkpoint {newest.size} of this store: "
                f"{error}. {keyfiles.RESTORE}"
            ) from error
    with store.write():
        for name, public in keys.public().items():
            store.pin(_PUBLIC + name, public)


def _is_new(store: Store) -> bool:
    """Tell whether the store remembers no keys and holds nothing that they could have signed."""
    return not (
        store.facts(_PUBLIC)
        or store.tree.checkpoint() is not None
        or store.tree.size()
        or store.devices.all()
    )


def _check_not_lost(config: Config) -> None:
    """Refuse keys without their store (rule 3)."""
    if config.store_path.exists():
        return
    made = [name for name in _OF_THE_LOG if (config.keys_dir / name).exists()]
    signed = config.data_dir / SIGNED_BEFORE
    if not made and not signed.exists():
        return
    what = config.keys_dir / made[0] if made else signed
    raise StoreError(
        f"store {config.store_path}: it is gone, and {what} is older than any store that would be "
        "made now: the log's history was lost. Restore the store from your backup. A log that "
        "lost its store for good has ended: name a new origin and another data_dir, and `init` "
        "makes new keys there."
    )


def _lost_key(config: Config, missing: list[str]) -> KeyFileError:
    return KeyFileError(
        f"key file {config.keys_dir / missing[0]}: it is gone, and the store "
        f"{config.store_path} was made with it. {keyfiles.RESTORE}"
    )


def _other_origin(stands: bytes, origin: str) -> str:
    return (
        f"store: it is the log {stands.decode()!r}, the configuration says {origin!r}. "
        "An origin never changes; correct [aggregator] origin or data_dir."
    )
