"""The hierarchy of errors is closed, and says whose fault it is."""

from __future__ import annotations

from meterseal.errors import (
    ChainError,
    EncodingError,
    LedgerError,
    MeterSealError,
    ProofError,
    ProtocolError,
    SignatureInvalid,
)


def test_what_a_peer_sent_wrong_is_a_protocol_error() -> None:
    for error in (EncodingError, SignatureInvalid, ChainError, ProofError, LedgerError):
        assert issubclass(error, ProtocolError)
    assert issubclass(ProtocolError, MeterSealError)
    assert not issubclass(MeterSealError, ValueError)


def test_a_ledger_error_names_its_step() -> None:
    error = LedgerError("3 of 4 validators expected, got 2", step="seals")

    assert error.step == "seals"
    assert str(error) == "seals: 3 of 4 validators expected, got 2"
