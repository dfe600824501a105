"""The compiled log contract, spoken to through its ABI on a chain in this process."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode, encode
from eth_account import Account
from eth_utils.address import to_checksum_address

from meterseal.ledger import rlp
from meterseal.ledger.keccak import keccak256
from meterseal_simulator.ledger.chain import Chain, header_of
from meterseal_simulator.ledger.errors import Reverted
from meterseal_simulator.ledger.evm import Call
from meterseal_simulator.ledger.keys import load_funded, load_key, load_validators
from meterseal_simulator.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

CHAIN_ID = 1337260


class Rejected(Exception):  # noqa: N818 - it says what became of the call
    """The contract refused, with one of its own errors."""

    def __init__(self, name: str, values: tuple[Any, ...]) -> None:
        super().__init__(f"{name}{values}")
        self.name = name
        self.values = values


def signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(part['type'] for part in entry['inputs'])})"


class Abi:
    """Names and types of a contract, as its artifact lists them."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._functions = {e["name"]: e for e in entries if e["type"] == "function"}
        self._errors = {
            keccak256(signature(e).encode())[:4]: e for e in entries if e["type"] == "error"
        }

    def encode(self, name: str, values: tuple[object, ...]) -> bytes:
        entry = self._functions[name]
        types = [part["type"] for part in entry["inputs"]]
        return keccak256(signature(entry).encode())[:4] + encode(types, values)

    def decode(self, name: str, output: bytes) -> tuple[Any, ...]:
        types = [part["type"] for part in self._functions[name]["outputs"]]
        return tuple(decode(types, output))

    def rejection(self, output: bytes) -> Rejected:
        entry = self._errors.get(output[:4])
        if entry is None:
            return Rejected(f"0x{output.hex()}", ())
        types = [part["type"] for part in entry["inputs"]]
        return Rejected(entry["name"], tuple(decode(types, output[4:])))


@dataclass(frozen=True, kw_only=True)
class LogContract:
    """A deployed contract; `call` throws its effects away, `send` makes a block."""

    chain: Chain
    abi: Abi
    owner: LocalAccount
    address: bytes

    def call(self, name: str, *values: object, sender: bytes | None = None) -> tuple[Any, ...]:
        data = self.abi.encode(name, values)
        caller = bytes.fromhex(self.owner.address[2:]) if sender is None else sender
        try:
            output = self.chain.call(
                Call(sender=caller, to=self.address, data=data), self.chain.head()
            )
        except Reverted as error:
            raise self.abi.rejection(error.data or b"") from error
        return self.abi.decode(name, output)

    def send(self, name: str, *values: object) -> int:
        """Send a transaction of the owner and return the gas it used."""
        self.call(name, *values)
        return send(self.chain, self.owner, self.address, self.abi.encode(name, values))


def signed(
    account: LocalAccount, nonce: int, to: bytes | None, data: bytes, **fields: object
) -> bytes:
    """Sign a type 2 transaction, or a legacy one where `gasPrice` is given."""
    transaction: dict[str, Any] = {
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "gas": 3_000_000,
        "value": 0,
        "data": data,
        **fields,
    }
    if "gasPrice" not in fields:
        defaults = {"type": 2, "maxFeePerGas": 2 * 10**9, "maxPriorityFeePerGas": 1}
        transaction = {**defaults, **transaction}
    if to is not None:
        transaction["to"] = to_checksum_address(to)
    return bytes(account.sign_transaction(transaction).raw_transaction)


def created(deployer: bytes, nonce: int) -> bytes:
    """The address of the contract that a transaction creates."""
    return keccak256(rlp.encode([deployer, rlp.uint(nonce)]))[12:]


def send(chain: Chain, account: LocalAccount, to: bytes | None, data: bytes) -> int:
    sender = bytes.fromhex(account.address[2:])
    nonce = chain.state(chain.head()).account(sender).nonce
    chain.submit(signed(account, nonce, to, data))
    return int(header_of(chain.head()).gas_used)


def load_artifact(repository: Path) -> dict[str, Any]:
    path = repository / "aggregator/meterseal_aggregator/artifacts/MeterSealLog.json"
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


@contextmanager
def deployed(folder: Path, artifact: dict[str, Any]) -> Iterator[LogContract]:
    """Deploy the contract on a new chain in a folder."""
    store = Store(folder, CHAIN_ID)
    chain = Chain(store, load_validators(folder), CHAIN_ID, funded=load_funded(folder))
    owner: LocalAccount = Account.from_key(load_key(folder / "funded.key").secret)
    send(chain, owner, None, bytes.fromhex(artifact["bytecode"][2:]))
    address = created(bytes.fromhex(owner.address[2:]), 0)
    yield LogContract(chain=chain, abi=Abi(artifact["abi"]), owner=owner, address=address)
    store.close()


def open_log(contract: LogContract, number: int) -> bytes:
    origin_hash = keccak256(b"origin %d" % number)
    contract.send("register", origin_hash)
    (identity,) = contract.call("logIdOf", contract.owner.address, origin_hash)
    return bytes(identity)
