"""What the log contract costs: gas of each function, as receipts of the embedded ledger say it.

Gas depends on the bytes alone, so keys and leaves are fixed and every run gives the same figures.
An anchor's proof has about log2(n) nodes; the sizes are around 2^20 leaves, 1 to 4096 of them new.
All leaves are equal: the proofs are as long and as full as any, and no tree has to be kept.
"""

from __future__ import annotations

import json
import random
import statistics
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from coincurve import PrivateKey
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.address import to_checksum_address

from harness import Row
from meterseal import merkle
from meterseal.ledger.keccak import keccak256
from meterseal.ledger.slot import log_id
from meterseal_simulator.ledger.chain import Chain, header_of
from meterseal_simulator.ledger.evm import Call
from meterseal_simulator.ledger.seal import Validator, address_of
from meterseal_simulator.ledger.store import Store

if TYPE_CHECKING:
    from meterseal.types import Hash

CHAIN_ID = 1337260
ORIGIN = "demo.example/log"
ANCHORS = 33
LEAVES = 1 << 20
NEW_MAX = 4096
ANCHOR_GOAL_GAS = 80_000
RECORD = bytes(range(1, 241))
"""As long as a one-meter reading."""


def run() -> list[Row]:
    """Measure every function of the contract that costs its user something."""
    with TemporaryDirectory() as folder:
        return _Ledger.open(Path(folder)).rows()


@dataclass(kw_only=True)
class _Ledger:
    """A chain with fixed keys, and the contract on it."""

    chain: Chain
    owner: PrivateKey
    abi: dict[str, list[str]]
    bytecode: bytes
    nonce: int = 0
    levels: list[Hash] = field(default_factory=lambda: [merkle.leaf_hash(RECORD)])

    @classmethod
    def open(cls, folder: Path) -> _Ledger:
        artifact = json.loads(
            (files("meterseal_aggregator") / "artifacts" / "MeterSealLog.json").read_text()
        )
        functions = [entry for entry in artifact["abi"] if entry["type"] == "function"]
        validators = [Validator(key=PrivateKey(bytes([0x21 + n]) * 32)) for n in range(4)]
        owner = PrivateKey(b"\x17" * 32)
        return cls(
            chain=Chain(Store(folder, CHAIN_ID), validators, CHAIN_ID, funded=address_of(owner)),
            owner=owner,
            abi={entry["name"]: [part["type"] for part in entry["inputs"]] for entry in functions},
            bytecode=bytes.fromhex(artifact["bytecode"][2:]),
        )

    def rows(self) -> list[Row]:
        registrant = address_of(self.owner)
        contract = keccak256(b"\xd6\x94" + registrant + b"\x80")[12:]  # made by nonce 0
        identity = log_id(
            chain_id=CHAIN_ID, contract=contract, registrant=registrant, origin=ORIGIN
        )
        deploy = self.send(None, self.bytecode)
        origin_hash = sha256(ORIGIN.encode()).digest()
        register = self.send(contract, self.encode("register", origin_hash))
        size = LEAVES - ANCHORS * NEW_MAX // 4
        first = self.send(contract, self.encode("anchor", identity, 0, size, self.root(size), []))
        choose = random.Random(9162)  # noqa: S311 - only to vary the sizes, the same each time
        anchors = []
        for _ in range(ANCHORS):
            old, size = size, size + choose.randint(1, NEW_MAX)
            path = list(merkle.consistency_path_from(old, size, self.node))
            data = self.encode("anchor", identity, old, size, self.root(size), path)
            anchors.append((self.send(contract, data), len(path)))
        gas, nodes = (statistics.median(each) for each in zip(*anchors, strict=True))
        inclusion = list(merkle.inclusion_path_from(LEAVES // 3, size, self.node))
        prove = self.encode("proveRecord", identity, size, LEAVES // 3, RECORD, inclusion)
        heir = to_checksum_address(registrant)
        return [
            _row("deploy", deploy, deploy),
            _row("register", register, deploy),
            _row("anchor, the first, no proof", first, first),
            _row(f"anchor at 2^20, median, {nodes:.0f} nodes", gas, first, limit=ANCHOR_GOAL_GAS),
            _row("anchor at 2^20, cheapest", min(anchors)[0], first),
            _row("anchor at 2^20, dearest", max(anchors)[0], first),
            _row("offerAnchorer", self.send(contract, self.encode("offerAnchorer", identity, heir)),
                 first),
            _row("acceptAnchorer", self.send(contract, self.encode("acceptAnchorer", identity)),
                 first),
            _row(f"proveRecord, 240 bytes, {len(inclusion)} nodes", self.send(contract, prove),
                 first),
        ]  # fmt: skip

    def node(self, level: int, _index: int) -> Hash:
        while len(self.levels) <= level:
            self.levels.append(merkle.node_hash(self.levels[-1], self.levels[-1]))
        return self.levels[level]

    def root(self, size: int) -> Hash:
        return merkle.root_from(size, self.node)

    def encode(self, name: str, *values: object) -> bytes:
        types = self.abi[name]
        return keccak256(f"{name}({','.join(types)})".encode())[:4] + encode(types, values)

    def send(self, to: bytes | None, data: bytes) -> int:
        """Send a transaction and return the gas it used."""
        transaction: dict[str, Any] = {
            "type": 2, "chainId": CHAIN_ID, "nonce": self.nonce, "gas": 3_000_000, "value": 0,
            "maxFeePerGas": 2 * 10**9, "maxPriorityFeePerGas": 1, "data": data,
        }  # fmt: skip
        if to is not None:
            transaction["to"] = to_checksum_address(to)
            # A call first: it raises where a receipt would only say that it failed.
            call = Call(sender=address_of(self.owner), to=to, data=data)
            self.chain.call(call, self.chain.head())
        signed = Account.sign_transaction(transaction, self.owner.secret)
        self.chain.submit(bytes(signed.raw_transaction))
        self.nonce += 1
        return int(header_of(self.chain.head()).gas_used)


def _row(figure: str, gas: float, reference: float, limit: float | None = None) -> Row:
    return Row(
        figure=figure,
        value=gas,
        unit="gas",
        reference="deploy" if figure in ("deploy", "register") else "anchor without proof",
        reference_value=reference,
        goal_of=None if limit is None else "value",
        goal_op=None if limit is None else "<=",
        goal_limit=limit,
    )
