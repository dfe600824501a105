"""One story by plain JSON-RPC on two nodes: the embedded ledger, and anvil where npm is at hand.

What holds on both holds for the aggregator's client too: it speaks to a node, not to this one.
"""

from __future__ import annotations

import re
import subprocess
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from meterseal import merkle
from meterseal.ledger import rlp
from meterseal.ledger.header import ExtraData, Header, block_hash
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.slot import head_size, head_slot, log_id, root_slot
from meterseal.ledger.trie import prove
from meterseal.types import Hash
from support import npm
from support.log_contract import CHAIN_ID, Abi, signed
from support.simulated import JsonRpc, Simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORIGIN = "demo.example/log"
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(11)]
SENDER = Account.from_key(b"\x17" * 32)
HASHES = False  # how eth_getBlockByNumber shows transactions
INTEGERS = ("difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas")
FIELDS = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot"),
    *("logsBloom", "difficulty", "number", "gasLimit", "gasUsed", "timestamp"),
    *("extraData", "mixHash", "nonce", "baseFeePerGas"),
)
"""A London header, in the order in which it is hashed."""


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[JsonRpc]:
    with (
        Simulated("ledger", "--data", tmp_path) as ledger,
        JsonRpc(ledger.ready["url"]) as rpc,
    ):
        funded = Account.from_key((tmp_path / "funded.key").read_text().strip())
        sender = bytes.fromhex(SENDER.address[2:])
        raw = signed(funded, 0, sender, b"", value=10**18)
        rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        yield rpc


@pytest.fixture
def anvil(repository: Path, tmp_path: Path) -> Iterator[JsonRpc]:
    program = npm.tool(npm.node_modules(repository), "anvil")
    options = {"host": "127.0.0.1", "port": 0, "hardfork": "london", "chain-id": CHAIN_ID}
    command = [str(program), *(f"--{name}={value}" for name, value in options.items())]
    process = subprocess.Popen(  # noqa: S603 - a pinned program and our own arguments
        command, env={"HOME": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    )
    with process as node:
        assert node.stdout is not None
        listening = next(filter(None, map(re.compile(r"Listening on (\S+)").search, node.stdout)))
        with JsonRpc(f"http://{listening[1]}") as rpc:
            rpc.call("anvil_setBalance", SENDER.address, hex(10**18))
            yield rpc
        node.terminate()
        node.communicate()


@pytest.fixture(
    params=["embedded", pytest.param("anvil", marks=[pytest.mark.system, pytest.mark.timeout(300)])]
)
def rpc(request: pytest.FixtureRequest) -> JsonRpc:
    node: JsonRpc = request.getfixturevalue(request.param)
    return node


def send(rpc: JsonRpc, to: bytes | None, data: bytes) -> dict[str, Any]:
    nonce = int(rpc.call("eth_getTransactionCount", SENDER.address, "latest"), 16)
    call = {"from": SENDER.address, "data": "0x" + data.hex()}
    if to is not None:
        call["to"] = "0x" + to.hex()
    gas = int(rpc.call("eth_estimateGas", call), 16)
    price = 2 * int(rpc.call("eth_gasPrice"), 16)
    raw = signed(SENDER, nonce, to, data, gas=gas, maxFeePerGas=price)
    sent = rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
    receipt = await_receipt(rpc, sent)
    assert receipt["status"] == "0x1"
    return receipt


def await_receipt(rpc: JsonRpc, tx_hash: str) -> dict[str, Any]:
    """Ask until the transaction is in a block; the embedded ledger needs no second question."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        receipt: dict[str, Any] | None = rpc.call("eth_getTransactionReceipt", tx_hash)
        if receipt is not None:
            return receipt
    pytest.fail(f"transaction {tx_hash} is in no block after 10 s")


def test_the_contract_is_deployed_anchored_and_read_by_a_storage_proof(
    rpc: JsonRpc, artifact: dict[str, Any]
) -> None:
    abi, registrant = Abi(artifact["abi"]), bytes.fromhex(SENDER.address[2:])
    path = list(merkle.consistency_path(4, LEAVES))

    receipt = send(rpc, None, bytes.fromhex(artifact["bytecode"][2:]))
    contract = bytes.fromhex(receipt["contractAddress"][2:])
    identity = log_id(chain_id=CHAIN_ID, contract=contract, registrant=registrant, origin=ORIGIN)
    send(rpc, contract, abi.encode("register", (sha256(ORIGIN.encode()).digest(),)))
    send(rpc, contract, abi.encode("anchor", (identity, 0, 4, merkle.root(LEAVES[:4]), [])))
    send(rpc, contract, abi.encode("anchor", (identity, 4, 11, merkle.root(LEAVES), path)))

    assert rpc.call("eth_getCode", "0x" + contract.hex(), "latest") == artifact["deployedBytecode"]
    slots = [root_slot(identity, 11), root_slot(identity, 4), head_slot(identity)]
    read = storage_reader(rpc, contract, keccak256(bytes.fromhex(artifact["deployedBytecode"][2:])))
    assert [read(slot) for slot in slots[:2]] == [merkle.root(LEAVES), merkle.root(LEAVES[:4])]
    assert head_size(read(slots[2]) or b"") == 11
    assert read(root_slot(identity, 5)) is None


def storage_reader(
    rpc: JsonRpc, contract: bytes, code_hash: bytes
) -> Callable[[Hash], bytes | None]:
    """Read slots by proofs against the newest header, trusting nothing else of the node."""
    header = rebuilt_header(rpc.call("eth_getBlockByNumber", "latest", HASHES))

    def read(slot: Hash) -> bytes | None:
        got = rpc.call("eth_getProof", "0x" + contract.hex(), ["0x" + slot.hex()], "latest")
        account = prove(header.state_root, keccak256(contract), unhexed(got["accountProof"]))
        storage_root, found_code = (
            rlp.as_bytes(item, "hash", 32) for item in rlp.decode_list(account or b"")[2:]
        )
        assert found_code == code_hash
        nodes = unhexed(got["storageProof"][0]["proof"])
        value = prove(Hash(storage_root), keccak256(slot), nodes)
        return None if value is None else rlp.as_bytes(rlp.decode(value), "word").rjust(32, b"\x00")

    return read


def rebuilt_header(block: dict[str, Any]) -> Header:
    """Build the header from its JSON, which anvil has alone, and hold it against the block hash."""
    fields = []
    for name in FIELDS:
        digits = block[name][2:]
        integer = name in INTEGERS
        fields.append(rlp.uint(int(digits, 16)) if integer else bytes.fromhex(digits))
    header = Header(tuple(fields))
    if header.is_bft:
        computed = block_hash(header, ExtraData.parse(header.extra_data))
    else:
        computed = header.plain_hash()
    assert computed.hex() == block["hash"][2:]
    return header


def unhexed(nodes: list[str]) -> list[bytes]:
    return [bytes.fromhex(node[2:]) for node in nodes]
