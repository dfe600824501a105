"""Ethereum's JSON-RPC over the chain: the methods that a light client and an anchorer need.

`respond` takes the bytes of a request and returns those of the answer. Whatever is wrong with a
request becomes a JSON-RPC error in it; only a defect of this program raises.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from meterseal_simulator.ledger import params, views
from meterseal_simulator.ledger.chain import header_of
from meterseal_simulator.ledger.errors import InvalidParams, Refused, RpcError
from meterseal_simulator.ledger.views import block_view, data, quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_simulator.ledger.chain import Chain
    from meterseal_simulator.ledger.store import Log

BATCH_MAX: Final = 100
BRACKETS_MAX: Final = 2048
"""Arrays and objects in a request: a full batch of calls has a quarter of that."""
LOGS_MAX: Final = 10_000
SLOTS_MAX: Final = 100
FEE_HISTORY_MAX: Final = 1024
TIP_WEI: Final = 1_000_000

_PARSE_ERROR: Final = -32700
_INVALID_REQUEST: Final = -32600
_NO_SUCH_METHOD: Final = -32601


class Rpc:
    """Answers JSON-RPC requests about one chain."""

    def __init__(self, chain: Chain, version: str) -> None:
        """Answer for `chain`, under the client name `version`."""
        self._chain = chain
        self._version = version
        self._methods: dict[str, Callable[..., object]] = {
            "web3_clientVersion": lambda: self._version,
            "net_version": lambda: str(chain.chain_id),
            "eth_chainId": lambda: quantity(chain.chain_id),
            "eth_syncing": lambda: False,
            "eth_blockNumber": lambda: quantity(chain.head().number),
            "eth_gasPrice": lambda: quantity(chain.next_base_fee() + TIP_WEI),
            "eth_maxPriorityFeePerGas": lambda: quantity(TIP_WEI),
            "eth_feeHistory": self._fee_history,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBalance": self._balance,
            "eth_getTransactionCount": self._transaction_count,
            "eth_getCode": self._code,
            "eth_getStorageAt": self._storage_at,
            "eth_getProof": self._proof,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate,
            "eth_sendRawTransaction": self._send,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getLogs": self._logs,
            "debug_getRawHeader": self._raw_header,
        }

    def respond(self, body: bytes) -> bytes:
        """Answer one request or a batch; notifications, which have no id, get an answer too."""
        # py-evm raises Python's recursion limit beyond what json can nest on the C stack.
        if body.count(b"[") + body.count(b"{") > BRACKETS_MAX:
            fault = f"more than {BRACKETS_MAX} arrays and objects"
            return _encode(_failure(None, RpcError(_PARSE_ERROR, fault)))
        try:
            request = json.loads(body)
        except ValueError as error:
            return _encode(_failure(None, RpcError(_PARSE_ERROR, f"not JSON: {error}")))
        if not isinstance(request, list):
            return _encode(self._answer(request))
        if not 0 < len(request) <= BATCH_MAX:
            fault = f"batch: expected 1 to {BATCH_MAX} requests, got {len(request)}"
            return _encode(_failure(None, RpcError(_INVALID_REQUEST, fault)))
        return _encode([self._answer(item) for item in request])

    def _answer(self, request: object) -> dict[str, object]:
        match request:
            case {"jsonrpc": "2.0", "method": str(name), **rest}:
                identity = rest.get("id")
            case _:
                fault = 'expected an object with "jsonrpc": "2.0" and "method"'
                return _failure(None, RpcError(_INVALID_REQUEST, fault))
        try:
            result = self._dispatch(name, rest.get("params", []))
        except RpcError as error:
            return _failure(identity, error)
        return {"jsonrpc": "2.0", "id": identity, "result": result}

    def _dispatch(self, name: str, arguments: object) -> object:
        method = self._methods.get(name)
        if method is None:
            raise RpcError(_NO_SUCH_METHOD, f"method {name[:64]}: not available")
        if not isinstance(arguments, list):
            raise InvalidParams("params: expected an array")
        least, most = _arity(method)
        if not least <= len(arguments) <= most:
            raise InvalidParams(
                f"{name}: expected {least} to {most} parameters, got {len(arguments)}"
            )
        return method(*arguments)

    def _block_by_number(self, at: object, full: object = False) -> object:  # noqa: FBT002 - positional in JSON-RPC
        try:
            block = params.block(at, self._chain)
        except params.NoSuchBlock:
            return None
        return block_view(block, full=full is True)

    def _block_by_hash(self, block_hash: object, full: object = False) -> object:  # noqa: FBT002
        block = self._chain.block_by_hash(params.data(block_hash, "hash", params.HASH_SIZE))
        return None if block is None else block_view(block, full=full is True)

    def _balance(self, address: object, at: object = "latest") -> object:
        state = self._chain.state(params.block(at, self._chain))
        return quantity(state.account(params.address(address)).balance)

    def _transaction_count(self, address: object, at: object = "latest") -> object:
        state = self._chain.state(params.block(at, self._chain))
        return quantity(state.account(params.address(address)).nonce)

    def _code(self, address: object, at: object = "latest") -> object:
        return data(self._chain.state(params.block(at, self._chain)).code(params.address(address)))

    def _storage_at(self, address: object, slot: object, at: object = "latest") -> object:
        state = self._chain.state(params.block(at, self._chain))
        word = state.slot(params.address(address), params.slot(slot))
        return data(word.to_bytes(32, "big"))

    def _proof(self, address: object, slots: object, at: object = "latest") -> object:
        if not isinstance(slots, list) or len(slots) > SLOTS_MAX:
            raise InvalidParams(f"slots: expected an array of at most {SLOTS_MAX}")
        state = self._chain.state(params.block(at, self._chain))
        owner = params.address(address)
        account = state.account(owner)
        shown = []
        for asked in slots:
            slot = params.slot(asked)
            proof = state.prove_slot(owner, slot)
            shown.append(
                {
                    "key": asked,
                    "value": quantity(state.slot(owner, slot)),
                    "proof": [data(node) for node in proof.nodes],
                }
            )
        return {
            "address": data(owner),
            "accountProof": [data(node) for node in state.prove_account(owner).nodes],
            "balance": quantity(account.balance),
            "codeHash": data(account.code_hash),
            "nonce": quantity(account.nonce),
            "storageHash": data(account.storage_root),
            "storageProof": shown,
        }

    def _call(self, call: object, at: object = "latest") -> object:
        return data(self._chain.call(params.call(call), params.block(at, self._chain)))

    def _estimate(self, call: object, at: object = "latest") -> object:
        return quantity(self._chain.estimate(params.call(call), params.block(at, self._chain)))

    def _send(self, raw: object) -> object:
        return data(self._chain.submit(params.data(raw, "transaction")))

    def _transaction(self, tx_hash: object) -> object:
        block = self._chain.block_of(params.data(tx_hash, "hash", params.HASH_SIZE))
        return None if block is None else views.transaction_view(block)

    def _receipt(self, tx_hash: object) -> object:
        block = self._chain.block_of(params.data(tx_hash, "hash", params.HASH_SIZE))
        if block is None:
            return None
        return views.receipt_view(block, self._chain.logs(block.number, block.number, LOGS_MAX))

    def _logs(self, asked: object) -> object:
        wanted = params.log_filter(asked, self._chain)
        found = self._chain.logs(wanted.first, wanted.last, LOGS_MAX + 1)
        if len(found) > LOGS_MAX:
            raise Refused(f"more than {LOGS_MAX} logs from block {wanted.first}; ask for fewer")
        return [self._log_view(log) for log in found if wanted.matches(log)]

    def _log_view(self, log: Log) -> object:
        block = self._chain.block(log.block)
        return None if block is None else views.log_view(log, block)

    def _fee_history(self, count: object, newest: object, percentiles: object = None) -> object:
        last = params.block(newest, self._chain).number
        asked = count if isinstance(count, int) else params.quantity(count, "blockCount")
        first = max(0, last + 1 - min(asked, FEE_HISTORY_MAX))
        blocks = [self._chain.block(number) for number in range(first, last + 1)]
        headers = [header_of(block) for block in blocks if block is not None]
        fees = [header.base_fee_per_gas or 0 for header in headers] + [self._chain.next_base_fee()]
        history: dict[str, object] = {
            "oldestBlock": quantity(first),
            "baseFeePerGas": [quantity(fee) for fee in fees],
            "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        }
        if isinstance(percentiles, list):
            history["reward"] = [[quantity(TIP_WEI) for _ in percentiles] for _ in headers]
        return history

    def _raw_header(self, at: object) -> object:
        return data(params.block(at, self._chain).header)


def _arity(method: Callable[..., object]) -> tuple[int, int]:
    """Return the least and the greatest number of parameters of a method."""
    function = getattr(method, "__func__", method)
    bound = 1 if hasattr(method, "__self__") else 0
    most = function.__code__.co_argcount - bound
    return most - len(function.__defaults__ or ()), most


def _failure(identity: object, error: RpcError) -> dict[str, object]:
    fault: dict[str, object] = {"code": error.code, "message": str(error)}
    if error.data is not None:
        fault["data"] = data(error.data)
    return {"jsonrpc": "2.0", "id": identity, "error": fault}


def _encode(answer: object) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()
