"""What the anchor needs of a node, as typed calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from eth_utils.address import to_checksum_address

from meterseal.ledger.proof import LedgerProof
from meterseal.ledger.slot import root_slot
from meterseal.types import Hash
from meterseal_aggregator.errors import LedgerRefused, LedgerUnavailable
from meterseal_aggregator.ledger import contract as calls
from meterseal_aggregator.ledger.header import raw_header
from meterseal_aggregator.ledger.rpc import data, fields, quantity, texts

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from meterseal_aggregator.ledger.rpc import Rpc

_KNOWN_ALREADY: Final = ("already known", "known transaction", "already imported", "nonce too low")


class FeeTooHigh(LedgerUnavailable):
    """The chain asks for more than the operator allows; a later try may be cheaper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a transaction may cost at most.

    Attributes:
        gas: Gas limit of one transaction.
        fee_per_gas_wei: Price of one unit of gas, tip included.
    """

    gas: int
    fee_per_gas_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTransaction:
    """A transaction ready to be sent."""

    hash: Hash
    raw: bytes
    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a mined transaction."""

    succeeded: bool
    block: int
    gas_used: int
    contract: bytes | None


class Node:
    """One EVM node and the account that pays."""

    def __init__(self, rpc: Rpc, account: LocalAccount, limits: Limits) -> None:
        self._rpc = rpc
        self._account = account
        self._limits = limits

    @property
    def sender(self) -> bytes:
        """Address of the account, 20 bytes."""
        return bytes.fromhex(self._account.address[2:])

    async def chain_id(self) -> int:
        """Ask which chain this is."""
        return quantity(await self._rpc.call("eth_chainId"), "chain id")

    async def height(self) -> int:
        """Ask for the newest block's number."""
        return quantity(await self._rpc.call("eth_blockNumber"), "block number")

    async def header(self, block: int) -> bytes:
        """Fetch the RLP of a header."""
        return await raw_header(self._rpc, block)

    async def code(self, contract: bytes) -> bytes:
        """Ask for a contract's code."""
        return data(await self._rpc.call("eth_getCode", _hex(contract), "latest"), "code")

    async def nonce(self) -> int:
        """Ask how many of the account's transactions are mined."""
        answer = await self._rpc.call("eth_getTransactionCount", _hex(self.sender), "latest")
        return quantity(answer, "transaction count")

    async def latest(self, contract: bytes, log_id: Hash, block: int) -> tuple[int, Hash]:
        """Ask the contract for the newest anchor as of a block; size 0 where there is none."""
        answer = await self._ask(contract, calls.latest(log_id), hex(block))
        return calls.read_latest(answer) if answer else (0, Hash(bytes(32)))

    async def anchorer(self, contract: bytes, log_id: Hash) -> bytes:
        """Ask the contract who may anchor the log."""
        return calls.read_anchorer(await self._ask(contract, calls.anchorer_of(log_id), "latest"))

    async def receipt(self, transaction: Hash) -> Receipt | None:
        """Ask what became of a transaction; None while it is not mined."""
        answer = await self._rpc.call("eth_getTransactionReceipt", _hex(transaction))
        if answer is None:
            return None
        receipt = fields(answer, "receipt")
        made = receipt.get("contractAddress")
        return Receipt(
            succeeded=quantity(receipt.get("status"), "receipt status") == 1,
            block=quantity(receipt.get("blockNumber"), "receipt block"),
            gas_used=quantity(receipt.get("gasUsed"), "receipt gas"),
            contract=None if made is None else data(made, "contract address", 20),
        )

    async def proof(
        self, chain_id: int, contract: bytes, log_id: Hash, size: int, block: int
    ) -> LedgerProof:
        """Fetch header, account proof and storage proof of one anchored size."""
        slot = _hex(root_slot(log_id, size))
        answer = fields(
            await self._rpc.call("eth_getProof", _hex(contract), [slot], hex(block)), "proof"
        )
        slots = texts(answer.get("storageProof"), "storage proof")
        if len(slots) != 1:
            raise LedgerUnavailable(f"ledger: storage proof: expected 1 slot, got {len(slots)}")
        nodes = fields(slots[0], "storage proof").get("proof")
        return LedgerProof(
            chain_id=chain_id,
            contract=contract,
            header=await self.header(block),
            account=_nodes(answer.get("accountProof"), "account proof"),
            storage=_nodes(nodes, "storage proof"),
        )

    async def sign(
        self, *, chain_id: int, to: bytes | None, payload: bytes, nonce: int
    ) -> SignedTransaction:
        """Price and sign a transaction; nothing is sent.

        Raises:
            FeeTooHigh: It would cost more than the limits allow.
            LedgerRefused: The node foresees that it fails.
        """
        call: dict[str, object] = {"from": _hex(self.sender), "data": _hex(payload)}
        if to is not None:
            call["to"] = _hex(to)
        estimate = quantity(await self._rpc.call("eth_estimateGas", call), "gas estimate")
        if estimate > self._limits.gas:
            raise FeeTooHigh(
                f"ledger: a transaction needs {estimate} gas, gas_limit_max is {self._limits.gas}"
            )
        transaction: dict[str, Any] = {
            "chainId": chain_id,
            "nonce": nonce,
            "gas": min(estimate + estimate // 4, self._limits.gas),
            "value": 0,
            "data": payload,
            **await self._price(),
        }
        if to is not None:
            transaction["to"] = to_checksum_address(to)
        signed = self._account.sign_transaction(transaction)
        return SignedTransaction(
            hash=Hash(bytes(signed.hash)), raw=bytes(signed.raw_transaction), nonce=nonce
        )

    async def send(self, raw: bytes) -> None:
        """Send a signed transaction; one that the node has already is as good as sent."""
        try:
            await self._rpc.call("eth_sendRawTransaction", _hex(raw))
        except LedgerRefused as refusal:
            if not any(known in refusal.message.lower() for known in _KNOWN_ALREADY):
                raise

    async def _price(self) -> dict[str, object]:
        """Price gas at twice the base fee and the usual tip, within the cap."""
        block = fields(await self._rpc.call("eth_getBlockByNumber", "latest", False), "block")  # noqa: FBT003
        cap = self._limits.fee_per_gas_wei
        if block.get("baseFeePerGas") is None:
            price = quantity(await self._rpc.call("eth_gasPrice"), "gas price", bits=256)
            self._check_fee(price)
            return {"gasPrice": price}
        base = quantity(block["baseFeePerGas"], "base fee", bits=256)
        tip = await self._tip()
        self._check_fee(base + tip)
        return {
            "type": 2,
            "maxFeePerGas": min(2 * base + tip, cap),
            "maxPriorityFeePerGas": tip,
        }

    async def _tip(self) -> int:
        try:
            return quantity(await self._rpc.call("eth_maxPriorityFeePerGas"), "tip", bits=256)
        except LedgerRefused:
            return 0  # a chain without tips does not know the method

    def _check_fee(self, needed: int) -> None:
        if needed > self._limits.fee_per_gas_wei:
            raise FeeTooHigh(
                f"ledger: gas costs {needed} wei, fee_per_gas_max_wei is "
                f"{self._limits.fee_per_gas_wei}: waiting for it to fall"
            )

    async def _ask(self, contract: bytes, payload: bytes, block: str) -> bytes:
        call = {"to": _hex(contract), "data": _hex(payload)}
        return data(await self._rpc.call("eth_call", call, block), "contract answer")


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _nodes(value: object, what: str) -> tuple[bytes, ...]:
    return tuple(data(node, what) for node in texts(value, what))
