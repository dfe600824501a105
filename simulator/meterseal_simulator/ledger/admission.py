"""What may enter a block: a transaction well formed, signed for this chain, and payable.

py-evm checks the rest while it executes; what it leaves out, or words in Python, is checked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eth.exceptions import UnrecognizedTransactionType
from eth.vm.forks.london.transactions import LondonTransactionBuilder
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException  # type: ignore[import-untyped]  # ships no types

from meterseal_simulator.ledger.errors import Refused

if TYPE_CHECKING:
    from eth.abc import SignedTransactionAPI, StateAPI

GAS_LIMIT: Final = 30_000_000


def decode(raw: bytes, chain_id: int) -> SignedTransactionAPI:
    """Decode a signed transaction, legacy with chain id or typed, and check its signature.

    Raises:
        Refused: It is malformed, of an unknown type, or signed for another chain.
    """
    try:
        transaction = LondonTransactionBuilder().decode(raw)
        transaction.validate()
        transaction.check_signature_validity()
        transaction.sender  # noqa: B018 - recovers it, and keeps it
    except (
        RLPException,
        UnrecognizedTransactionType,
        ValidationError,
        TypeError,
        ValueError,
    ) as error:
        raise Refused(f"transaction: malformed: {error}") from error
    if transaction.chain_id != chain_id:
        raise Refused(f"transaction: expected chain id {chain_id}, got {transaction.chain_id}")
    return transaction


def refuse_unpayable(transaction: SignedTransactionAPI, state: StateAPI) -> None:
    """Refuse what would not pay for itself, or out of turn.

    Raises:
        Refused: Says what was expected and what came.
    """
    sender_nonce = state.get_nonce(transaction.sender)
    if transaction.nonce < sender_nonce:
        raise Refused(f"nonce too low: expected {sender_nonce}, got {transaction.nonce}")
    if transaction.nonce > sender_nonce:
        raise Refused(
            f"nonce too high: expected {sender_nonce}, got {transaction.nonce}; "
            "this ledger keeps no queue"
        )
    if transaction.gas > GAS_LIMIT:
        raise Refused(f"exceeds block gas limit: {GAS_LIMIT}, got {transaction.gas}")
    if transaction.gas < transaction.intrinsic_gas:
        raise Refused(
            f"intrinsic gas too low: needs {transaction.intrinsic_gas}, got {transaction.gas}"
        )
    if transaction.max_priority_fee_per_gas > transaction.max_fee_per_gas:
        raise Refused("max priority fee per gas higher than max fee per gas")
    cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
    balance = state.get_balance(transaction.sender)
    if balance < cost:
        raise Refused(f"insufficient funds for gas * price + value: needs {cost}, has {balance}")
