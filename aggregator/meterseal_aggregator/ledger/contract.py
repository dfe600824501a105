"""The log contract as bytes: its code, its calls, its answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Final

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError

from meterseal.ledger import rlp
from meterseal.ledger.keccak import keccak256
from meterseal.types import Hash
from meterseal_aggregator.errors import ConfigError, LedgerUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

ARTIFACT: Final = "MeterSealLog.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The compiled contract.

    Attributes:
        bytecode: What a deployment sends.
        code_hash: keccak256 of the code that then stands at the address.
    """

    bytecode: bytes
    code_hash: Hash


def load_artifact() -> Artifact:
    """Read the compiled contract that this package carries.

    Raises:
        ConfigError: The installation lacks it.
    """
    file = resources.files("meterseal_aggregator") / "artifacts" / ARTIFACT
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise ConfigError(
            f"package file artifacts/{ARTIFACT} is missing: the installation is incomplete. "
            "Install the package again."
        ) from error
    return Artifact(
        bytecode=bytes.fromhex(content["bytecode"].removeprefix("0x")),
        code_hash=keccak256(bytes.fromhex(content["deployedBytecode"].removeprefix("0x"))),
    )


def deployed_address(sender: bytes, nonce: int) -> bytes:
    """Tell where a contract will stand: keccak256(rlp([sender, nonce]))[12:]."""
    return keccak256(rlp.encode([sender, rlp.uint(nonce)]))[12:]


def register(origin: str) -> bytes:
    """Write the call that opens a log under the sender's address."""
    return _call("register(bytes32)", ["bytes32"], [sha256(origin.encode()).digest()])


def anchor(log_id: Hash, old: int, size: int, root: Hash, path: Sequence[Hash]) -> bytes:
    """Write the call that anchors a checkpoint."""
    return _call(
        "anchor(bytes32,uint64,uint64,bytes32,bytes32[])",
        ["bytes32", "uint64", "uint64", "bytes32", "bytes32[]"],
        [log_id, old, size, root, list(path)],
    )


def latest(log_id: Hash) -> bytes:
    """Write the call that asks for the newest anchor."""
    return _call("latest(bytes32)", ["bytes32"], [log_id])


def anchorer_of(log_id: Hash) -> bytes:
    """Write the call that asks who may anchor."""
    return _call("anchorerOf(bytes32)", ["bytes32"], [log_id])


def read_latest(answer: bytes) -> tuple[int, Hash]:
    """Read (size, root); the zero root says that there is no such log."""
    size, root = _read(["uint64", "bytes32"], answer)
    return int(str(size)), Hash(bytes(root))


def read_anchorer(answer: bytes) -> bytes:
    """Read the address that may anchor; zeros when the log is not registered."""
    _read(["address", "address"], answer)
    return answer[12:32]


def _call(signature: str, types: list[str], values: list[object]) -> bytes:
    return keccak256(signature.encode())[:4] + abi_encode(types, values)


def _read(types: list[str], answer: bytes) -> tuple[object, bytes]:
    try:
        first, second = abi_decode(types, answer)
    except DecodingError as error:
        raise LedgerUnavailable(
            f"ledger: the contract's answer is {len(answer)} bytes that are not {types}"
        ) from error
    return first, second
