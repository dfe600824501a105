"""COSE_Sign1 (RFC 9052, 4.2), in the one form that this protocol writes and reads.

The envelope is constant but for payload and signature, so it is concatenated and compared, not
built and parsed (protocol 2.1):

    d2 84  <bstr: a2 01 32 10 <typ>>  a0  <bstr: payload>  58 40 <signature>

- The protected header is `{1: -19, 16: typ}`, these bytes and no other: Ed25519 fully specified
  (RFC 9864) and typ (RFC 9596). Every kind of signed statement has its own typ.
- The unprotected header is the empty map, and external data are empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from meterseal import keys
from meterseal.encoding import MAX_PAYLOAD
from meterseal.errors import EncodingError, SignatureInvalid
from meterseal.types import Signature

if TYPE_CHECKING:
    from meterseal.types import PublicKey

RECORD: Final = "meterseal/1"
ENROL: Final = "meterseal-enrol/1"
HEAD: Final = "meterseal-head/1"

ALG_ED25519: Final = -19
_SIGNATURE_HEAD: Final = b"\x58\x40"
_TAIL: Final = len(_SIGNATURE_HEAD) + keys.SIGNATURE_BYTES


def bstr_head(size: int) -> bytes:
    """Encode the head of a byte string of `size` bytes, below 2^16."""
    if size < 24:  # noqa: PLR2004 - RFC 8949, section 3
        return bytes((0x40 | size,))
    if size < 1 << 8:
        return bytes((0x58, size))
    return b"\x59" + size.to_bytes(2, "big")


def protected_header(typ: str) -> bytes:
    """Encode `{1: -19, 16: typ}`; typ has 23 characters or fewer."""
    name = typ.encode("ascii")
    return b"\xa2\x01\x32\x10" + bytes((0x60 | len(name),)) + name


def _frames(typ: str) -> tuple[bytes, bytes]:
    """Give what stands in front of the payload: in the envelope, and in what is signed."""
    header = protected_header(typ)
    wrapped = bstr_head(len(header)) + header
    return b"\xd2\x84" + wrapped + b"\xa0", b"\x84\x6aSignature1" + wrapped + b"\x40"


_FRAMES: Final = {typ: _frames(typ) for typ in (RECORD, ENROL, HEAD)}


class Envelope(NamedTuple):
    """A COSE_Sign1 whose form is right and whose signature nobody has checked yet.

    A tuple, for it is made once for each record that is read.
    """

    payload: bytes
    signature: Signature
    to_be_signed: bytes


def sign1(key: keys.SigningKey, typ: str, payload: bytes) -> bytes:
    """Sign `payload` as a statement of kind `typ`.

    Raises:
        EncodingError: If the payload is longer than a reader would accept.
    """
    if len(payload) > MAX_PAYLOAD:
        raise EncodingError(f"{typ}: payload of {len(payload)} bytes, at most {MAX_PAYLOAD}")
    envelope, signed = _FRAMES[typ]
    body = bstr_head(len(payload)) + payload
    return envelope + body + _SIGNATURE_HEAD + key.sign(signed + body)


def parse1(data: bytes, typ: str) -> Envelope:
    """Take a COSE_Sign1 apart without checking its signature.

    Raises:
        EncodingError: If it is not exactly of the form above, or of another typ.
    """
    envelope, signed = _FRAMES[typ]
    # protocol 2.3 step 1: the constant bytes, compared and not parsed.
    if not data.startswith(envelope):
        raise EncodingError(
            f"{typ}: expected a COSE_Sign1 that begins {envelope.hex()}, "
            f"got {data[: len(envelope)].hex()}"
        )
    body = data[len(envelope) : -_TAIL]
    if data[-_TAIL : 2 - _TAIL] != _SIGNATURE_HEAD or not body:
        raise EncodingError(f"{typ}: expected a signature of 64 bytes at the end")
    return Envelope(_payload(body, typ), Signature(data[2 - _TAIL :]), signed + body)


def open1(data: bytes, typ: str, public: PublicKey) -> bytes:
    """Return the payload of a COSE_Sign1 that `public` signed.

    Raises:
        EncodingError: As `parse1`.
        SignatureInvalid: If the signature is not by `public`.
    """
    envelope = parse1(data, typ)
    if not keys.verify(public, envelope.to_be_signed, envelope.signature):
        raise SignatureInvalid(f"{typ}: the signature is not by key {keys.fingerprint(public)}")
    return envelope.payload


def _payload(body: bytes, typ: str) -> bytes:
    """Strip the head of the payload's byte string, which must be the shortest one."""
    first = body[0]
    start = 1 if first < 0x58 else 2 if first == 0x58 else 3  # noqa: PLR2004 - RFC 8949, section 3
    payload = body[start:]
    if body[:start] != bstr_head(len(payload) & 0xFFFF) or len(payload) > MAX_PAYLOAD:
        raise EncodingError(
            f"{typ}: expected a payload of at most {MAX_PAYLOAD} bytes in a byte string of its "
            f"length, got a head {body[:start].hex()} before {len(payload)} bytes"
        )
    return payload
