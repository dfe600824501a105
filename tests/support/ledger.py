"""A ledger at the JSON-RPC edge, with faults: the log contract's rules in Python, without an EVM.

    ledger = SimulatedLedger()
    ledger.fail_before("eth_sendRawTransaction")   # the call never arrives
    ledger.fail_after("eth_sendRawTransaction")    # it does, and its answer is lost
    ledger.refuse("eth_call", -32005)              # the node answers with an error
    ledger.late_receipts = 3                       # mined, counted, and not yet told, so often
    ledger.garble("eth_call", b"[" * 100_000)      # the node answers with other bytes

It makes no seals and no proofs: use it with finality = "blocks".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import httpx
from eth_abi.abi import decode, encode

from meterseal import merkle
from meterseal.ledger import rlp
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.slot import log_id
from meterseal.types import Hash

CHAIN_ID = 31337


def _code() -> tuple[bytes, bytes]:
    file = resources.files("meterseal_aggregator") / "artifacts" / "MeterSealLog.json"
    artifact = json.loads(file.read_text())
    creation, deployed = artifact["bytecode"], artifact["deployedBytecode"]
    return (
        bytes.fromhex(creation.removeprefix("0x")),
        bytes.fromhex(deployed.removeprefix("0x")),
    )


CREATION, DEPLOYED = _code()


def selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


class Reverted(Exception):  # noqa: N818 -- the ledger's own word
    """A call that the contract refuses."""


@dataclass
class SimulatedLedger(httpx.AsyncBaseTransport):
    """Mines a block for every transaction, unless `mining` is off."""

    sender: bytes
    chain_id: int = CHAIN_ID
    code: bytes = DEPLOYED
    mining: bool = True
    base_fee: int = 7
    height: int = 1
    nonce: int = 0
    contract: bytes | None = None
    anchorers: dict[bytes, bytes] = field(default_factory=dict)
    roots: dict[bytes, dict[int, bytes]] = field(default_factory=dict)
    anchored_at: dict[tuple[bytes, int], int] = field(default_factory=dict)
    pool: list[bytes] = field(default_factory=list)
    receipts: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    down: bool = False
    late_receipts: int = 0
    _before: dict[str, int] = field(default_factory=dict)
    _after: dict[str, int] = field(default_factory=dict)
    _refused: dict[str, int] = field(default_factory=dict)
    _refusal: dict[str, dict[str, object]] = field(default_factory=dict)
    _garbled: dict[str, int] = field(default_factory=dict)
    _garbage: dict[str, bytes] = field(default_factory=dict)

    def fail_before(self, method: str, times: int = 1) -> None:
        self._before[method] = times

    def fail_after(self, method: str, times: int = 1) -> None:
        self._after[method] = times

    def refuse(
        self, method: str, code: int, message: str = "limit exceeded", times: int = 1
    ) -> None:
        """Let the node answer a method with a JSON-RPC error; the call is not carried out."""
        self._refused[method] = times
        self._refusal[method] = {"code": code, "message": message}

    def garble(self, method: str, answer: bytes, times: int = 1) -> None:
        """Let the node carry a call out and answer it with these bytes; ID stands for its id."""
        self._garbled[method] = times
        self._garbage[method] = answer

    def executed(self) -> int:
        """Transactions that succeeded."""
        return sum(receipt["status"] == "0x1" for receipt in self.receipts.values())

    def head(self, log: bytes, block: int | None = None) -> tuple[int, bytes]:
        """(size, root) of the newest anchor, as of a block."""
        last = self.height if block is None else block
        sizes = self.roots.get(log, {}).items()
        seen = [one for one in sizes if self.anchored_at.get((log, one[0]), 0) <= last]
        return max(seen, default=(0, bytes(32)))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        method = asked["method"]
        self.calls.append(method)
        if self.down or self._due(self._before, method):
            raise httpx.ConnectError("the node is away")
        if self._due(self._refused, method):
            error = {"error": self._refusal[method]}
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": asked["id"], **error})
        try:
            result = {"result": self._answer(method, asked["params"])}
        except Reverted as error:
            result = {"error": {"code": 3, "message": f"execution reverted: {error}"}}
        if self._due(self._after, method):
            raise httpx.ReadTimeout("the answer was lost")
        if self._due(self._garbled, method):
            number = str(asked["id"]).encode()
            return httpx.Response(200, content=self._garbage[method].replace(b"ID", number))
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": asked["id"], **result})

    def mine(self) -> None:
        """Put every transaction of the pool whose turn it is into a block."""
        for raw in sorted(self.pool, key=lambda raw: _fields(raw)[0]):
            nonce, to, data = _fields(raw)
            if nonce != self.nonce:
                continue
            self.nonce += 1
            self.height += 1
            try:
                self._execute(to, data, nonce)
                status = "0x1"
            except Reverted:
                status = "0x0"
            self.receipts[keccak256(raw)] = {
                "status": status,
                "blockNumber": hex(self.height),
                "gasUsed": "0x5208",
                "contractAddress": None,
            }
        self.pool.clear()

    def _answer(self, method: str, params: list[Any]) -> object:  # noqa: C901, PLR0911, PLR0912
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.height)
            case "eth_getCode":
                return "0x" + (self.code.hex() if _bytes(params[0]) == self.contract else "")
            case "eth_getTransactionCount":
                return hex(self.nonce)
            case "eth_getBlockByNumber":
                return {"baseFeePerGas": hex(self.base_fee)}
            case "eth_maxPriorityFeePerGas":
                return "0x1"
            case "eth_estimateGas":
                anchorers, anchored_at = dict(self.anchorers), dict(self.anchored_at)
                roots = {log: dict(sizes) for log, sizes in self.roots.items()}
                contract = self.contract
                to = _bytes(params[0]["to"]) if "to" in params[0] else b""
                self._execute(to, _bytes(params[0]["data"]), self.nonce)
                self.anchorers, self.roots, self.contract = anchorers, roots, contract
                self.anchored_at = anchored_at
                return hex(90_000)
            case "eth_call":
                block = self.height if params[1] == "latest" else int(params[1], 16)
                return "0x" + self._view(_bytes(params[0]["data"]), block).hex()
            case "eth_sendRawTransaction":
                raw = _bytes(params[0])
                if keccak256(raw) not in self.receipts and raw not in self.pool:
                    self.pool.append(raw)
                if self.mining:
                    self.mine()
                return "0x" + keccak256(raw).hex()
            case "eth_getProof" | "eth_gasPrice":
                raise Reverted("it knows no proofs and no flat price")
            case "eth_getTransactionReceipt" if self.late_receipts and self.receipts:
                self.late_receipts -= 1
                return None
            case "eth_getTransactionReceipt":
                return self.receipts.get(_bytes(params[0]))
            case _:
                raise AssertionError(method)

    def _execute(self, to: bytes, data: bytes, nonce: int) -> None:
        if not to:
            if data != CREATION:
                raise Reverted("not the log contract")
            self.contract = keccak256(rlp.encode([self.sender, rlp.uint(nonce)]))[12:]
            return
        if data[:4] == selector("register(bytes32)"):
            log = self._log_id(data[4:])
            if log in self.anchorers:
                raise Reverted("AlreadyRegistered")
            self.anchorers[log] = self.sender
            self.roots[log] = {0: merkle.EMPTY_ROOT}
            return
        log, old, size, root, path = decode(
            ["bytes32", "uint64", "uint64", "bytes32", "bytes32[]"], data[4:]
        )
        stored, old_root = self.head(log)
        if self.anchorers.get(log) != self.sender or old != stored or size <= stored:
            raise Reverted("OldSizeMismatch")
        if stored:
            hashes = [Hash(each) for each in path]
            merkle.verify_consistency(old, size, Hash(old_root), Hash(root), hashes)
        self.roots[log][size] = root
        self.anchored_at[log, size] = self.height

    def _view(self, data: bytes, block: int) -> bytes:
        if self.contract is None:
            return b""
        if data[:4] == selector("anchorerOf(bytes32)"):
            owner = self.anchorers.get(data[4:36], bytes(20))
            return encode(["address", "address"], ["0x" + owner.hex(), "0x" + bytes(20).hex()])
        size, root = self.head(data[4:36], block)
        return encode(["uint64", "bytes32"], [size, root])

    def _log_id(self, origin_hash: bytes) -> bytes:
        assert self.contract is not None
        parts = (self.chain_id.to_bytes(32, "big"), self.contract.rjust(32, b"\0"))
        return keccak256(b"".join(parts) + self.sender.rjust(32, b"\0") + origin_hash[:32])

    @staticmethod
    def _due(faults: dict[str, int], method: str) -> bool:
        left = faults.get(method, 0)
        if left:
            faults[method] = left - 1
        return bool(left)


def our_log(ledger: SimulatedLedger, origin: str) -> bytes:
    assert ledger.contract is not None
    return log_id(
        chain_id=ledger.chain_id,
        contract=ledger.contract,
        registrant=ledger.sender,
        origin=origin,
    )


def _fields(raw: bytes) -> tuple[int, bytes, bytes]:
    """(nonce, to, data) of a type 2 transaction."""
    assert raw[0] == 2
    items = rlp.decode_list(raw[1:])
    nonce, to, data = items[1], items[5], items[7]
    assert isinstance(nonce, bytes)
    assert isinstance(to, bytes)
    assert isinstance(data, bytes)
    return int.from_bytes(nonce, "big"), to, data


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
