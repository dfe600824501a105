"""A device's identity and files: where they lie, how they are made, how commands open them."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.keys import SigningKey, device_id, fingerprint
from meterseal_agent.errors import StoreError
from meterseal_agent.keyfile import KEY_NAME, create_key, load_key
from meterseal_agent.store import schema
from meterseal_agent.store.errors import translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from meterseal.types import DeviceId


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """Who this device is.

    Attributes:
        folder: Its data directory.
        made: Its key was made just now.
    """

    folder: Path
    key: SigningKey
    made: bool

    @property
    def id(self) -> DeviceId:
        """The device id."""
        return device_id(self.key.public)

    @property
    def name(self) -> str:
        """The name for people and for the local network."""
        return f"ms-{self.id.hex()[:8]}"

    @property
    def fingerprint(self) -> str:
        """The public key's fingerprint, to be compared by eye."""
        return fingerprint(self.key.public)


def prepare(folder: Path) -> Device:
    """Make what is not there: folder, key, store. What is there is only read.

    A store that is made later than its key replaces a lost one: it may begin the chain anew only
    when the aggregator says that it holds nothing of this device.

    Raises:
        AgentError: If something cannot be made, or what is there is not ours.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"data_dir {folder}: cannot be made ({error.strerror}); check its owner"
        raise StoreError(message) from error
    path, store = folder / KEY_NAME, folder / schema.STORE_NAME
    made = not path.exists()
    if made and store.exists():
        message = (
            f"key file {path}: there is none, but a store lies beside it; "
            "put the store's key back, or use another data_dir for a new device"
        )
        raise StoreError(message)
    key = create_key(path) if made else load_key(path)
    if not store.exists():
        # Killed between key and store, the store counts as lost: asking is safe, guessing is not.
        schema.create(store, device_id(key.public), born_with_key=made)
    schema.check_header(store)
    return Device(folder=folder, key=key, made=made)


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the store to read, beside a running agent too.

    Raises:
        StoreError: If there is none, it is foreign, or it cannot be read.
    """
    path = (folder / schema.STORE_NAME).absolute()
    if not path.exists():
        message = f"store {path}: there is none; run `meterseal-agent init` once"
        raise StoreError(message)
    schema.check_header(path)
    with translated("reading"), closing(schema.connect_to_read(path)) as connection:
        yield connection
