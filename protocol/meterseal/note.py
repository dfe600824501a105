"""C2SP signed notes: text that carries the signatures of the keys that stand for it.

Rules (c2sp.org/signed-note):

* A note is UTF-8 text that ends in a newline, a blank line, and signature lines
  `— <name> base64(key id ‖ signature)`; it splits at the last blank line. No control character
  but the newline. Lines end at U+000A only: `str.splitlines` would also split at U+2028.
* A name holds no space and no plus. The key id is SHA-256(name ‖ 0x0A ‖ type ‖ key)[:4].
* Unknown keys are ignored; a known key whose signature does not verify rejects the note; so does
  a note without a signature by any known key.

Two types of signature are read: Ed25519 (0x01) over the text, and the timed cosignature/v1 (0x04,
c2sp.org/tlog-cosignature) over two header lines and the text.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from meterseal.errors import EncodingError, ProtocolError, SignatureInvalid
from meterseal.fields import unbase64
from meterseal.keys import verify
from meterseal.types import PublicKey, Signature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meterseal.keys import SigningKey

NOTE_SIZE_MAX: Final = 128 * 1024
SIGNATURES_MAX: Final = 64
"""The format asks for 16 at least; a fleet's gossip does not ride on a checkpoint."""
TIME_MAX: Final = 2**63 - 1

_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)\Z")
_LINE = re.compile(r"\u2014 ([^ ]+) ([A-Za-z0-9+/=]+)\Z")
_ED25519_SIZE: Final = 64
_TIME_SIZE: Final = 8


class UnknownSigner(ProtocolError):  # noqa: N818 -- named as what it says, like SignatureInvalid
    """No signature on the note is by a key that the reader knows."""


class SignatureType(IntEnum):
    """The signature type byte of a key."""

    ED25519 = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True, kw_only=True, slots=True)
class Verifier:
    """A public key by its name: what a vkey says.

    Attributes:
        name: Key name, without spaces and plus.
        kind: Which statements the key makes.
        public: Ed25519 public key.
    """

    name: str
    kind: SignatureType
    public: PublicKey

    def __post_init__(self) -> None:
        """Check the name."""
        _check_name(self.name)

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """Read `name+key id+base64(type ‖ key)`.

        Raises:
            EncodingError: The text is not a vkey of a type read here.
        """
        match = _VKEY.match(vkey)
        if match is None:
            raise EncodingError(f"vkey {vkey!r}: expected name+8 hex digits+base64")
        name, key_id, encoded = match.groups()
        data = unbase64(encoded)
        if len(data) != 33 or data[0] not in tuple(SignatureType):  # noqa: PLR2004 -- type, key
            raise EncodingError(
                f"vkey {name}: expected type 1 or 4 and a key of 32 bytes, "
                f"got type {data[0] if data else None} and {max(len(data) - 1, 0)} bytes"
            )
        result = cls(name=name, kind=SignatureType(data[0]), public=PublicKey(data[1:]))
        if result.key_id.hex() != key_id:
            raise EncodingError(
                f"vkey {name}: key id {key_id} is not that of the key, {result.key_id.hex()}"
            )
        return result

    @property
    def key_id(self) -> bytes:
        """The four bytes that, with the name, mark this key's signatures."""
        material = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return sha256(material).digest()[:4]

    @property
    def vkey(self) -> str:
        """The key as text, as `parse` reads it."""
        key = b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    def check(self, text: str, line: NoteSignature) -> int | None:
        """Verify one signature line of this key over a note's text.

        Returns:
            The time of a cosignature in seconds since 1970, None for a plain signature.

        Raises:
            SignatureInvalid: The line is not this key's signature over the text.
        """
        if self.kind is SignatureType.ED25519:
            time, message, signature = None, text.encode(), line.signature
        else:
            time = int.from_bytes(line.signature[:_TIME_SIZE], "big")
            message, signature = cosigned(text, time), line.signature[_TIME_SIZE:]
        if (
            len(signature) != _ED25519_SIZE
            or (time or 0) > TIME_MAX
            or not verify(self.public, message, Signature(signature))
        ):
            raise SignatureInvalid(f"note: the signature of {self.name} does not verify")
        return time


@dataclass(frozen=True, kw_only=True, slots=True)
class NoteSignature:
    """One signature line, not yet checked.

    Attributes:
        name: Key name.
        key_id: First four bytes of the payload.
        signature: The rest: 64 bytes, or 72 for a cosignature.
    """

    name: str
    key_id: bytes
    signature: bytes

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """Read a line without its newline.

        Raises:
            EncodingError: It is not a signature line.
        """
        match = _LINE.match(line)
        if match is None:
            raise EncodingError("note: a signature line is not `— name base64`")
        name, encoded = match.groups()
        _check_name(name)
        data = unbase64(encoded)
        if len(data) < 5:  # noqa: PLR2004 -- four bytes of key id and at least one more
            raise EncodingError(f"note: the signature of {name} has {len(data)} bytes")
        return cls(name=name, key_id=data[:4], signature=data[4:])

    @property
    def line(self) -> str:
        """The line with its newline."""
        return f"\u2014 {self.name} {b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A signature that was checked.

    Attributes:
        by: The key.
        time_s: Seconds since 1970 for a cosignature, None for a plain signature.
        line: The line as it stood on the note.
    """

    by: Verifier
    time_s: int | None
    line: NoteSignature


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenNote:
    """A note at least one of whose signatures is by a known key.

    Attributes:
        text: The signed text, with its final newline.
        signed: Checked signatures, in the order of the note.
        unknown: Lines of keys that the reader does not know. They mean nothing.
    """

    text: str
    signed: tuple[Signed, ...]
    unknown: tuple[NoteSignature, ...]

    def by(self, verifier: Verifier) -> tuple[Signed, ...]:
        """Give the checked signatures of one key."""
        return tuple(each for each in self.signed if each.by == verifier)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """A named key that signs notes: a log's.

    Attributes:
        name: Key name.
        key: The key; it signs for this purpose only.
    """

    name: str
    key: SigningKey

    @property
    def verifier(self) -> Verifier:
        """The public side."""
        return Verifier(name=self.name, kind=SignatureType.ED25519, public=self.key.public)

    def sign(self, text: str) -> NoteSignature:
        """Sign a note's text."""
        _check_text(text)
        return NoteSignature(
            name=self.name, key_id=self.verifier.key_id, signature=self.key.sign(text.encode())
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Cosigner:
    """A named key that cosigns checkpoints: a witness's.

    Attributes:
        name: Key name.
        key: The key. The signed message does not hold the name: one key, one name.
    """

    name: str
    key: SigningKey

    @property
    def verifier(self) -> Verifier:
        """The public side."""
        return Verifier(name=self.name, kind=SignatureType.COSIGNATURE, public=self.key.public)

    def cosign(self, text: str, time_s: int) -> NoteSignature:
        """Say that this is the largest consistent checkpoint seen at `time_s`."""
        _check_text(text)
        signature = self.key.sign(cosigned(text, time_s))
        return NoteSignature(
            name=self.name,
            key_id=self.verifier.key_id,
            signature=time_s.to_bytes(_TIME_SIZE, "big") + signature,
        )


def cosigned(text: str, time_s: int) -> bytes:
    """Build the message that a cosignature/v1 signs."""
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def write_note(text: str, signatures: Iterable[NoteSignature]) -> bytes:
    """Join a text and its signature lines."""
    _check_text(text)
    return (text + "\n" + "".join(each.line for each in signatures)).encode()


def sign_note(text: str, *signers: Signer) -> bytes:
    """Sign a text with plain note keys."""
    return write_note(text, [each.sign(text) for each in signers])


def parse_note(data: bytes) -> tuple[str, tuple[NoteSignature, ...]]:
    """Split a note into its text and its signature lines; nothing is verified.

    Raises:
        EncodingError: The bytes are not a signed note.
    """
    if len(data) > NOTE_SIZE_MAX:
        raise EncodingError(f"note: {len(data)} bytes, at most {NOTE_SIZE_MAX} are read")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise EncodingError(f"note: not UTF-8 at byte {error.start}") from error
    at = whole.rfind("\n\n")
    if at < 0:
        raise EncodingError("note: no blank line between text and signatures")
    text, tail = whole[: at + 1], whole[at + 2 :]
    _check_text(text)
    if not tail.endswith("\n"):
        raise EncodingError("note: the last signature line does not end in a newline")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise EncodingError(f"note: {len(lines)} signatures, at most {SIGNATURES_MAX} are read")
    return text, tuple(NoteSignature.parse(line) for line in lines)


def open_note(data: bytes, verifiers: Iterable[Verifier]) -> OpenNote:
    """Read a note and check it against the keys that the reader knows.

    Raises:
        EncodingError: The bytes are not a signed note.
        SignatureInvalid: A known key's signature does not verify.
        UnknownSigner: No signature is by a known key.
        ProtocolError: Two of the reader's own keys share name and key id.
    """
    known: dict[tuple[str, bytes], Verifier] = {}
    for verifier in verifiers:
        if known.setdefault((verifier.name, verifier.key_id), verifier) != verifier:
            raise ProtocolError(f"note: two known keys answer to {verifier.name} and one key id")
    text, lines = parse_note(data)
    signed, unknown = [], []
    for line in lines:
        by = known.get((line.name, line.key_id))
        if by is None:
            unknown.append(line)
        else:
            signed.append(Signed(by=by, time_s=by.check(text, line), line=line))
    if not signed:
        got = ", ".join(f"{line.name}+{line.key_id.hex()}" for line in lines)
        expected = ", ".join(f"{name}+{key_id.hex()}" for name, key_id in known)
        raise UnknownSigner(f"note: signed by {got}; expected one of {expected or 'no key at all'}")
    return OpenNote(text=text, signed=tuple(signed), unknown=tuple(unknown))


def _check_name(name: str) -> None:
    if not name or "+" in name or any(c.isspace() or c < " " for c in name):
        raise EncodingError(f"key name {name!r}: expected some text without spaces and plus")


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise EncodingError("note: the text does not end in a newline")
    if any(c < " " and c != "\n" for c in text):
        raise EncodingError("note: the text holds a control character")
