"""What can go wrong when we read what somebody else wrote.

The type says whose fault it is. Everything below `ProtocolError` blames the sender of the bytes;
a defect of our own stays a `TypeError` or an `AssertionError` and is never caught here.
"""

from __future__ import annotations


class MeterSealError(Exception):
    """The root of every error that MeterSeal raises on purpose."""


class ProtocolError(MeterSealError):
    """What a peer sent is wrong."""


class EncodingError(ProtocolError):
    """Bytes or text that are malformed, not canonical, or out of their limits."""


class SignatureInvalid(ProtocolError):  # noqa: N818 - the verdict's own name
    """Well-formed bytes whose signature the expected key did not make."""


class ChainError(ProtocolError):
    """A record that does not continue the chain it claims to continue."""


class ProofError(ProtocolError):
    """A Merkle proof, note or receipt that does not show what it claims."""


class LedgerError(ProtocolError):
    """A ledger proof that fails at a named step.

    Attributes:
        step: Name of the step that failed, as in protocol/ledger.md.
    """

    def __init__(self, message: str, *, step: str) -> None:
        super().__init__(f"{step}: {message}")
        self.step = step
