"""What a receipt looks like on the wire: a checkpoint, and proofs that hang on it.

    receipt     = {1: checkpoint note, 2: consistency / null, 3: [* inclusion], 4: ledger / null}
    consistency = [old size, path]
    inclusion   = [record hash, log index, path]

A path is one byte string of 32 bytes a hash; the ledger proof is the byte string of
`meterseal.ledger.proof`. Nothing here is checked beyond its form; `meterseal.receipt` does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meterseal.encoding import decode, encode
from meterseal.errors import EncodingError, ProofError
from meterseal.fields import array, blob, bstr, items, keyed, uint
from meterseal.ledger.proof import PROOF_SIZE_MAX, LedgerProof
from meterseal.merkle import HASH_SIZE, PATH_LENGTH_MAX, join_path, split_path
from meterseal.types import Hash

RECEIPT_SIZE_MAX: Final = 60 * 1024
INCLUSIONS_MAX: Final = 256
_NOTE_SIZE_MAX: Final = 16 * 1024
_PATH_SIZE_MAX: Final = HASH_SIZE * PATH_LENGTH_MAX


@dataclass(frozen=True, kw_only=True, slots=True)
class Consistency:
    """A proof that the tree grew by appending.

    Attributes:
        old_size: Size that it starts from.
        path: RFC 9162 consistency path.
    """

    old_size: int
    path: tuple[Hash, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inclusion:
    """A proof that a record is a leaf.

    Attributes:
        record: Record hash: the leaf hash.
        index: Index in the log, from 0.
        path: RFC 9162 inclusion path.
    """

    record: Hash
    index: int
    path: tuple[Hash, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What is sent.

    Attributes:
        checkpoint: Signed note, cosignatures included.
        consistency: From an older size, None for a device that holds no checkpoint yet.
        inclusions: At most 256 records of this device.
        ledger: Proof that the checkpoint's root is anchored, where it is.
    """

    checkpoint: bytes
    consistency: Consistency | None = None
    inclusions: tuple[Inclusion, ...] = ()
    ledger: LedgerProof | None = None

    def encode(self) -> bytes:
        """Write the receipt as deterministic CBOR."""
        consistency = self.consistency
        return encode(
            {
                1: self.checkpoint,
                2: consistency and [consistency.old_size, join_path(consistency.path)],
                3: [[each.record, each.index, join_path(each.path)] for each in self.inclusions],
                4: self.ledger and self.ledger.encode(),
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """Read a receipt: step 1.

        Raises:
            EncodingError: The bytes are not a receipt.
        """
        checkpoint, consistency, inclusions, ledger = keyed(
            decode(data, limit=RECEIPT_SIZE_MAX), "receipt", (1, 2, 3, 4)
        )
        return cls(
            checkpoint=blob(checkpoint, "receipt checkpoint", _NOTE_SIZE_MAX),
            consistency=None if consistency is None else _consistency(consistency),
            inclusions=tuple(
                _inclusion(each) for each in items(inclusions, "receipt inclusions", INCLUSIONS_MAX)
            ),
            ledger=None
            if ledger is None
            else LedgerProof.parse(blob(ledger, "receipt ledger proof", PROOF_SIZE_MAX)),
        )


def _consistency(value: object) -> Consistency:
    old_size, path = array(value, "receipt consistency", 2)
    return Consistency(old_size=uint(old_size, "old size"), path=_path(path))


def _inclusion(value: object) -> Inclusion:
    record, index, path = array(value, "receipt inclusion", 3)
    return Inclusion(
        record=Hash(bstr(record, "record hash", HASH_SIZE)),
        index=uint(index, "log index"),
        path=_path(path),
    )


def _path(value: object) -> tuple[Hash, ...]:
    try:
        return split_path(blob(value, "path", _PATH_SIZE_MAX))
    except ProofError as error:
        raise EncodingError(str(error)) from error
