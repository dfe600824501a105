"""An embedded ledger: in this process, or as the process that the demonstration starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account

from meterseal_simulator.ledger.chain import Chain
from meterseal_simulator.ledger.keys import load_funded, load_key, load_validators
from meterseal_simulator.ledger.rpc import Rpc
from meterseal_simulator.ledger.store import Store
from support.log_contract import CHAIN_ID, load_artifact
from support.simulated import RpcFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

    Ask = Callable[..., Any]


@pytest.fixture(scope="session")
def artifact(repository: Path) -> dict[str, Any]:
    return load_artifact(repository)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    store = Store(tmp_path, CHAIN_ID)
    chain = Chain(store, load_validators(tmp_path), CHAIN_ID, funded=load_funded(tmp_path))
    yield chain
    chain.close()


@pytest.fixture
def funded(tmp_path: Path, chain: Chain) -> LocalAccount:
    """The account with funds, whose key is in the chain's data folder."""
    assert chain.chain_id == CHAIN_ID
    account: LocalAccount = Account.from_key(load_key(tmp_path / "funded.key").secret)
    return account


@pytest.fixture
def ask(chain: Chain) -> Ask:
    """Call a method over JSON-RPC, without HTTP."""
    rpc = Rpc(chain, "test/1")

    def call(method: str, *params: object) -> object:
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        answer = json.loads(rpc.respond(json.dumps(request).encode()))
        assert answer["id"] == 7
        if "error" in answer:
            raise RpcFailed(answer["error"])
        return answer["result"]

    return call
