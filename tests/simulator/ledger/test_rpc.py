"""JSON-RPC: every method's answer, and one clear error for whatever is wrong with a request."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode

from meterseal import merkle
from meterseal.ledger.header import Header
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.proof import LedgerPolicy, LedgerProof, anchored_root
from meterseal.ledger.slot import log_id, root_slot
from support.log_contract import CHAIN_ID, Abi, created, signed
from support.simulated import RpcFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from eth_account.signers.local import LocalAccount

    from meterseal_simulator.ledger.chain import Chain

ORIGIN = "demo.example/log"
SOMEONE = "0x" + "5a" * 20
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(9)]


WHOLE, HASHES = True, False  # how eth_getBlockBy… shows transactions


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


@pytest.fixture
def anchored(
    ask: Callable[..., Any], chain: Chain, funded: LocalAccount, artifact: dict[str, Any]
) -> dict[str, Any]:
    """The log contract with a log anchored at 4 and 9 leaves, made by JSON-RPC alone."""
    abi, owner = Abi(artifact["abi"]), bytes.fromhex(funded.address[2:])
    contract = created(owner, 0)
    identity = log_id(chain_id=CHAIN_ID, contract=contract, registrant=owner, origin=ORIGIN)
    path = list(merkle.consistency_path(4, LEAVES))
    calls = [
        (None, bytes.fromhex(artifact["bytecode"][2:])),
        (contract, abi.encode("register", (sha256(ORIGIN.encode()).digest(),))),
        (contract, abi.encode("anchor", (identity, 0, 4, merkle.root(LEAVES[:4]), []))),
        (contract, abi.encode("anchor", (identity, 4, 9, merkle.root(LEAVES), path))),
    ]
    hashes = [
        ask("eth_sendRawTransaction", hexed(signed(funded, nonce, to, data)))
        for nonce, (to, data) in enumerate(calls)
    ]
    return {
        "validators": chain.validators,
        "contract": contract,
        "log_id": identity,
        "owner": owner,
        "hashes": hashes,
        "abi": abi,
    }


def test_the_chain_names_itself(ask: Callable[..., Any]) -> None:
    assert ask("web3_clientVersion") == "test/1"
    assert ask("net_version") == "1337260"
    assert ask("eth_chainId") == "0x1467ac"
    assert ask("eth_blockNumber") == "0x0"
    assert ask("eth_syncing") is False


def test_fees_are_enough_for_the_next_block(ask: Callable[..., Any], chain: Chain) -> None:
    history = ask("eth_feeHistory", "0x5", "latest", [50])

    assert int(ask("eth_gasPrice"), 16) > chain.next_base_fee()
    assert int(ask("eth_maxPriorityFeePerGas"), 16) > 0
    assert int(history["baseFeePerGas"][-1], 16) == chain.next_base_fee()
    assert len(history["baseFeePerGas"]) == len(history["gasUsedRatio"]) + 1 == 2


def test_a_receipt_tells_what_became_of_a_transaction(
    ask: Callable[..., Any], anchored: dict[str, Any]
) -> None:
    deployed = ask("eth_getTransactionReceipt", anchored["hashes"][0])
    receipt = ask("eth_getTransactionReceipt", anchored["hashes"][3])
    sent = ask("eth_getTransactionByHash", anchored["hashes"][3])
    block = ask("eth_getBlockByHash", receipt["blockHash"], WHOLE)

    assert deployed["contractAddress"] == hexed(anchored["contract"])
    assert (receipt["status"], receipt["type"], receipt["blockNumber"]) == ("0x1", "0x2", "0x4")
    assert receipt["to"] == hexed(anchored["contract"])
    assert receipt["contractAddress"] is None
    assert receipt["gasUsed"] == block["gasUsed"]
    assert sent == block["transactions"][0]
    assert sent["from"] == hexed(anchored["owner"])
    (log,) = receipt["logs"]
    assert log["topics"][0] == hexed(keccak256(b"Anchored(bytes32,uint64,bytes32)"))
    assert log["topics"][1:] == [hexed(anchored["log_id"]), hexed((9).to_bytes(32, "big"))]
    assert log["data"] == hexed(merkle.root(LEAVES))


def test_a_failed_transaction_has_a_receipt_with_status_zero(
    ask: Callable[..., Any], funded: LocalAccount
) -> None:
    raw = signed(funded, 0, None, bytes.fromhex("60006000fd"), gasPrice=2 * 10**9)

    receipt = ask("eth_getTransactionReceipt", ask("eth_sendRawTransaction", hexed(raw)))

    assert (receipt["status"], receipt["type"], receipt["logs"]) == ("0x0", "0x0", [])


def test_what_is_not_there_is_null(ask: Callable[..., Any]) -> None:
    assert ask("eth_getTransactionReceipt", hexed(bytes(32))) is None
    assert ask("eth_getTransactionByHash", hexed(bytes(32))) is None
    assert ask("eth_getBlockByHash", hexed(bytes(32)), HASHES) is None
    assert ask("eth_getBlockByNumber", "0x5", HASHES) is None
    assert ask("eth_getCode", SOMEONE, "latest") == "0x"
    assert ask("eth_getBalance", SOMEONE, "latest") == "0x0"
    assert ask("eth_getStorageAt", SOMEONE, "0x0", "latest") == hexed(bytes(32))


@pytest.mark.parametrize("tag", ["latest", "pending", "safe", "finalized"])
def test_a_sealed_block_is_final_at_once(
    ask: Callable[..., Any], anchored: dict[str, Any], tag: str
) -> None:
    assert len(anchored["hashes"]) == 4

    assert ask("eth_getBlockByNumber", tag, HASHES)["number"] == "0x4"
    assert ask("eth_getBlockByNumber", "earliest", HASHES)["number"] == "0x0"


def test_the_raw_header_is_that_of_the_block(
    ask: Callable[..., Any], anchored: dict[str, Any]
) -> None:
    assert len(anchored["hashes"]) == 4
    block = ask("eth_getBlockByNumber", "0x3", HASHES)

    header = Header.parse(bytes.fromhex(ask("debug_getRawHeader", "0x3")[2:]))

    assert header.number == 3
    assert hexed(header.state_root) == block["stateRoot"]
    assert hexed(header.extra_data) == block["extraData"]
    assert hexed(header.parent_hash) == ask("eth_getBlockByNumber", "0x2", HASHES)["hash"]


@pytest.mark.parametrize(
    ("block", "size", "root"),
    [
        (3, 4, merkle.root(LEAVES[:4])),
        (3, 9, None),
        (4, 4, merkle.root(LEAVES[:4])),
        (4, 9, merkle.root(LEAVES)),
        (4, 5, None),
    ],
)
def test_a_light_client_reads_every_anchor_from_every_block(
    ask: Callable[..., Any],
    anchored: dict[str, Any],
    block: int,
    size: int,
    root: bytes | None,
) -> None:
    """What the device does, with the protocol's own code: raw header, seals, proofs, slot."""
    slot = root_slot(anchored["log_id"], size)
    got = ask("eth_getProof", hexed(anchored["contract"]), [hexed(slot)], hex(block))
    proof = LedgerProof(
        chain_id=CHAIN_ID,
        contract=anchored["contract"],
        header=bytes.fromhex(ask("debug_getRawHeader", hex(block))[2:]),
        account=tuple(bytes.fromhex(node[2:]) for node in got["accountProof"]),
        storage=tuple(bytes.fromhex(node[2:]) for node in got["storageProof"][0]["proof"]),
    )
    policy = LedgerPolicy(
        chain_id=CHAIN_ID,
        contract=anchored["contract"],
        code_hash=keccak256(
            bytes.fromhex(ask("eth_getCode", hexed(anchored["contract"]), "latest")[2:])
        ),
        registrant=anchored["owner"],
        validators=frozenset(validator.address for validator in anchored["validators"]),
    )

    fact = anchored_root(LedgerProof.parse(proof.encode()), policy, ORIGIN, size)

    assert fact.root == root
    assert fact.block_number == block
    value = int(got["storageProof"][0]["value"], 16)
    assert value == int.from_bytes(root or b"", "big")


def test_logs_are_found_by_contract_topic_and_range(
    ask: Callable[..., Any], anchored: dict[str, Any]
) -> None:
    contract = hexed(anchored["contract"])
    event = hexed(keccak256(b"Anchored(bytes32,uint64,bytes32)"))
    size = hexed((9).to_bytes(32, "big"))

    def found(**wanted: object) -> list[int]:
        everything = {"fromBlock": "earliest", "toBlock": "latest"}
        logs = ask("eth_getLogs", everything | wanted)
        return [int(log["blockNumber"], 16) for log in logs]

    assert found() == [2, 3, 4]
    assert found(address=contract, topics=[event]) == [3, 4]
    assert found(address=[contract, SOMEONE], topics=[[event, size]]) == [3, 4]
    assert found(topics=[None, None, size]) == [4]
    assert found(fromBlock="0x3", toBlock="0x3") == [3]
    assert found(toBlock="0x99") == [2, 3, 4]
    assert found(address=SOMEONE) == []
    assert found(topics=[event, None, None, None]) == []


def test_a_reverted_call_carries_the_contracts_own_error(
    ask: Callable[..., Any], anchored: dict[str, Any]
) -> None:
    call = {
        "from": hexed(anchored["owner"]),
        "to": hexed(anchored["contract"]),
        "data": hexed(
            anchored["abi"].encode("anchor", (anchored["log_id"], 3, 10, b"\x01" * 32, []))
        ),
    }

    for method in ("eth_call", "eth_estimateGas"):
        with pytest.raises(RpcFailed, match="3: execution reverted") as caught:
            ask(method, call, "latest")

        wanted = keccak256(b"OldSizeMismatch(uint64,uint64)")[:4] + encode(
            ["uint64", "uint64"], [9, 3]
        )
        assert caught.value.data == hexed(wanted)


def test_a_call_that_ends_in_an_error_is_no_revert(ask: Callable[..., Any]) -> None:
    with pytest.raises(RpcFailed, match="-32000: call failed: InvalidInstruction"):
        ask("eth_call", {"data": "0xfe"}, "latest")
    with pytest.raises(RpcFailed, match="-32000: call: needs 53"):
        ask("eth_call", {"data": "0xfe", "gas": "0x5208"}, "latest")


def test_a_call_changes_nothing(ask: Callable[..., Any], anchored: dict[str, Any]) -> None:
    head = ask("eth_getBlockByNumber", "latest", HASHES)
    data = anchored["abi"].encode("offerAnchorer", (anchored["log_id"], SOMEONE))

    ask(
        "eth_call",
        {"from": hexed(anchored["owner"]), "to": hexed(anchored["contract"]), "input": hexed(data)},
        "latest",
    )

    assert ask("eth_getBlockByNumber", "latest", HASHES) == head


def test_an_estimate_is_enough_and_little_too_much(
    ask: Callable[..., Any], funded: LocalAccount, anchored: dict[str, Any]
) -> None:
    data = anchored["abi"].encode("offerAnchorer", (anchored["log_id"], SOMEONE))
    call = {
        "from": hexed(anchored["owner"]),
        "to": hexed(anchored["contract"]),
        "data": hexed(data),
    }

    gas = int(ask("eth_estimateGas", call), 16)

    sent = ask(
        "eth_sendRawTransaction", hexed(signed(funded, 4, anchored["contract"], data, gas=gas))
    )
    receipt = ask("eth_getTransactionReceipt", sent)
    assert receipt["status"] == "0x1"
    assert int(receipt["gasUsed"], 16) <= gas <= int(receipt["gasUsed"], 16) * 66 // 64 + 2_400
