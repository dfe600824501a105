"""C2SP checkpoints and their cosignatures: what a log says of itself, and who watched it.

Rules (c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature):

* Three lines: origin, size in decimal without leading zeros, root in base64. Lines after them are
  read, since the format allows them, but a policy refuses them: this log never writes any.
* A checkpoint is believed when the pinned log key signed it under the pinned origin and enough
  witnesses cosigned it. A quorum counts owners and not keys: two witnesses of one owner are one.
* Cosignatures of keys that the policy does not name are gossip and never satisfy a quorum.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meterseal.errors import EncodingError, ProofError, ProtocolError
from meterseal.fields import decimal, unbase64
from meterseal.merkle import EMPTY_ROOT, HASH_SIZE
from meterseal.note import (
    NoteSignature,
    OpenNote,
    SignatureType,
    Signed,
    UnknownSigner,
    Verifier,
    open_note,
    parse_note,
    write_note,
)
from meterseal.types import Hash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meterseal.note import Cosigner, Signer


class QuorumMissing(ProofError):  # noqa: N818 -- a state of the checkpoint, PENDING for a checker
    """Fewer owners' witnesses cosigned than the policy asks for.

    Attributes:
        owners: Owners whose witness did cosign.
        quorum: How many the policy asks for.
    """

    def __init__(self, message: str, *, owners: frozenset[str], quorum: int) -> None:
        super().__init__(message)
        self.owners = owners
        self.quorum = quorum


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The state of a log at one size.

    Attributes:
        origin: Name of the log, one line.
        size: Number of leaves.
        root: Root of the tree at that size.
        extensions: Further lines; none on a checkpoint of ours.
    """

    origin: str
    size: int
    root: Hash
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note text: what is signed."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text.

        Raises:
            EncodingError: It is not the text of a checkpoint.
        """
        origin, size, root, *extensions = _lines(text)
        tree_root = unbase64(root)
        if len(tree_root) != HASH_SIZE:
            raise EncodingError(f"checkpoint: the root has {len(tree_root)} bytes, expected 32")
        # No comparison with `text`: each of the readers of a line reads one form only.
        return cls(
            origin=origin,
            size=decimal(size),
            root=Hash(tree_root),
            extensions=tuple(extensions),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Witness:
    """A witness that a policy names.

    Attributes:
        verifier: Its cosignature key.
        owner: Who runs it; a quorum counts owners.
    """

    verifier: Verifier
    owner: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LogPolicy:
    """Which log is believed, and watched by whom.

    Attributes:
        origin: Origin line of the log.
        log: The log's key.
        witnesses: Witnesses that count.
        quorum: Number of owners whose witness must have cosigned.
        operator: Cosignature key of the log's operator, whose times convict a rollback.
    """

    origin: str
    log: Verifier
    witnesses: tuple[Witness, ...] = ()
    quorum: int = 0
    operator: Verifier | None = None

    def __post_init__(self) -> None:
        """Refuse a policy that nothing or everything would satisfy."""
        owners = {each.owner for each in self.witnesses}
        if not 0 <= self.quorum <= len(owners):
            raise ProtocolError(
                f"log policy of {self.origin}: quorum {self.quorum} is not within 0 and the "
                f"{len(owners)} owners of its witnesses"
            )
        if self.log.kind is not SignatureType.ED25519:
            raise ProtocolError(f"log policy of {self.origin}: the log key is a cosignature key")
        for verifier in self.cosigners:
            if verifier.kind is not SignatureType.COSIGNATURE:
                raise ProtocolError(f"log policy: {verifier.name} is not a cosignature key")

    @property
    def cosigners(self) -> tuple[Verifier, ...]:
        """Every cosignature key that the policy names, each once."""
        operator = () if self.operator is None else (self.operator,)
        return tuple(dict.fromkeys((*(each.verifier for each in self.witnesses), *operator)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosignature:
    """A checked cosignature.

    Attributes:
        by: The cosigner's key.
        time_s: When it had seen nothing larger, in seconds since 1970.
        line: The signature line, to be passed on.
    """

    by: Verifier
    time_s: int
    line: NoteSignature


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedCheckpoint:
    """A checkpoint that the log signed, with the cosignatures of known keys.

    Attributes:
        checkpoint: What is stated.
        cosignatures: Checked, by keys that the reader named.
        unknown: Lines by keys that the reader does not know.
        note: The bytes as they came: evidence.
    """

    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]
    unknown: tuple[NoteSignature, ...]
    note: bytes

    def time_of(self, cosigner: Verifier) -> int | None:
        """Give the latest time at which a cosigner cosigned this, None if it did not."""
        return max(self._times(cosigner), default=None)

    def earliest_time_of(self, cosigner: Verifier) -> int | None:
        """Give the earliest time at which a cosigner cosigned this, None if it did not."""
        return min(self._times(cosigner), default=None)

    def _times(self, cosigner: Verifier) -> list[int]:
        return [each.time_s for each in self.cosignatures if each.by == cosigner]


def sign_checkpoint(checkpoint: Checkpoint, log: Signer, *cosigners: tuple[Cosigner, int]) -> bytes:
    """Sign a checkpoint, and cosign it with (cosigner, time in seconds) pairs.

    The caller has made (size, root) durable first (protocol 6).
    """
    text = checkpoint.text
    lines = [log.sign(text), *(each.cosign(text, time_s) for each, time_s in cosigners)]
    return write_note(text, lines)


def cosign(note: bytes, cosigner: Cosigner, time_s: int) -> NoteSignature:
    """Cosign a note whose consistency the caller has established and made durable.

    Raises:
        EncodingError: The bytes are not a checkpoint.
    """
    text, _ = parse_note(note)
    Checkpoint.parse(text)
    return cosigner.cosign(text, time_s)


def add_signatures(note: bytes, lines: Iterable[NoteSignature]) -> bytes:
    """Add lines to a note, each once; those of a key replace the older ones of that key.

    Raises:
        EncodingError: The bytes are not a note.
    """
    text, present = parse_note(note)
    merged = {(line.name, line.key_id): line for line in present}
    merged.update({(line.name, line.key_id): line for line in lines})
    return write_note(text, merged.values())


def open_checkpoint(
    note: bytes, log: Verifier, cosigners: Iterable[Verifier] = ()
) -> SignedCheckpoint:
    """Read a checkpoint signed by the log's key.

    Raises:
        EncodingError: The bytes are not a checkpoint.
        SignatureInvalid: A known key's signature does not verify.
        UnknownSigner: The log's key did not sign.
    """
    opened = open_note(note, (log, *cosigners))
    if not opened.by(log):
        raise UnknownSigner(f"checkpoint: not signed by the log key {log.vkey}")
    return SignedCheckpoint(
        checkpoint=Checkpoint.parse(opened.text),
        cosignatures=_cosignatures(opened),
        unknown=opened.unknown,
        note=note,
    )


def open_by_policy(note: bytes, policy: LogPolicy) -> SignedCheckpoint:
    """Read a checkpoint and hold it against a policy: origin, log key, witness quorum.

    Raises:
        EncodingError: The bytes are not a checkpoint of ours.
        SignatureInvalid: A known key's signature does not verify.
        UnknownSigner: The pinned log key did not sign.
        ProofError: The origin is another.
        QuorumMissing: Too few owners' witnesses cosigned.
    """
    opened = open_checkpoint(note, policy.log, policy.cosigners)
    if opened.checkpoint.origin != policy.origin:
        raise ProofError(
            f"checkpoint: the origin is {opened.checkpoint.origin!r}, expected {policy.origin!r}"
        )
    if opened.checkpoint.size == 0 and opened.checkpoint.root != EMPTY_ROOT:
        raise EncodingError("checkpoint: size 0 with another root than that of the empty tree")
    if opened.checkpoint.extensions:
        raise EncodingError("checkpoint: extension lines are no part of this log's statements")
    signers = {each.by for each in opened.cosignatures}
    owners = frozenset(each.owner for each in policy.witnesses if each.verifier in signers)
    if len(owners) < policy.quorum:
        raise QuorumMissing(
            f"checkpoint of size {opened.checkpoint.size}: cosigned for {len(owners)} of the "
            f"{policy.quorum} owners that the policy asks for ({', '.join(sorted(owners)) or '-'})",
            owners=owners,
            quorum=policy.quorum,
        )
    return opened


def _cosignatures(opened: OpenNote) -> tuple[Cosignature, ...]:
    return tuple(_cosignature(each) for each in opened.signed if each.time_s is not None)


def _cosignature(signed: Signed) -> Cosignature:
    return Cosignature(by=signed.by, time_s=signed.time_s or 0, line=signed.line)


def _lines(text: str) -> list[str]:
    if not text.endswith("\n"):
        raise EncodingError("checkpoint: the text does not end in a newline")
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):  # noqa: PLR2004 -- origin, size, root
        raise EncodingError("checkpoint: expected origin, size and root, and no empty line")
    return lines
