"""One clear error for whatever is wrong with a JSON-RPC request, and never another end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterseal_simulator.ledger.rpc import Rpc
from support.simulated import RpcFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from meterseal_simulator.ledger.chain import Chain

SOMEONE = "0x" + "5a" * 20


def hexed(data: bytes) -> str:
    return "0x" + data.hex()


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("eth_getBalance", ["0x5a", "latest"], "address: expected 20 bytes, got 1"),
        ("eth_getBalance", [SOMEONE, "newest"], "block: expected a quantity"),
        ("eth_getBalance", [SOMEONE, "0x01"], "block: expected a quantity"),
        ("eth_getBalance", [SOMEONE, 1], "block: expected a quantity"),
        ("eth_getBalance", [SOMEONE, "0x1"], "block 1: not on this chain"),
        ("eth_getBalance", [SOMEONE, "0x" + "f" * 64], "not on this chain"),
        ("eth_getBalance", [SOMEONE, {"blockHash": hexed(bytes(32))}], "not on this chain"),
        ("eth_getBalance", [], "expected 1 to 2 parameters, got 0"),
        ("eth_getBalance", [SOMEONE, "latest", 3], "expected 1 to 2 parameters, got 3"),
        ("eth_chainId", [1], "expected 0 to 0 parameters, got 1"),
        ("eth_sendRawTransaction", ["0xzz"], "transaction: expected bytes"),
        ("eth_sendRawTransaction", ["0x0"], "transaction: expected bytes"),
        ("eth_getProof", [SOMEONE, "0x0", "latest"], "slots: expected an array"),
        ("eth_getProof", [SOMEONE, ["0x0"] * 101, "latest"], "slots: expected an array"),
        ("eth_call", ["0x", "latest"], "call: expected an object"),
        ("eth_call", [{"to": 5}, "latest"], "address: expected bytes"),
        ("eth_getLogs", [{"topics": ["0x00"]}], "topic: expected 32 bytes"),
        ("eth_getLogs", [{"topics": [None] * 5}], "topics: expected an array of at most 4"),
        ("eth_sign", [], "method eth_sign: not available"),
        ("eth_sendTransaction", [{}], "method eth_sendTransaction: not available"),
        ("admin_stopRPC", [], "not available"),
        ("debug_setHead", ["0x0"], "not available"),
    ],
)
def test_a_wrong_request_gets_an_error_that_says_what_was_expected(
    ask: Callable[..., Any], method: str, params: list[object], reason: str
) -> None:
    with pytest.raises(RpcFailed, match=reason):
        ask(method, *params)


def answer(chain: Chain, body: bytes) -> Any:  # noqa: ANN401 - whatever JSON holds
    return json.loads(Rpc(chain, "test/1").respond(body))


def test_a_batch_is_answered_in_order(chain: Chain) -> None:
    batch = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId"} for number in (3, 1, 2)]

    answers = answer(chain, json.dumps(batch).encode())

    assert [each["id"] for each in answers] == [3, 1, 2]
    assert {each["result"] for each in answers} == {"0x1467ac"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"1", -32600),
        (b"null", -32600),
        (b'{"method": "eth_chainId"}', -32600),
        (b'{"jsonrpc": "2.0", "method": 5}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": {}}', -32602),
        (json.dumps([{}] * 101).encode(), -32600),
    ],
)
def test_what_is_no_request_gets_the_error_of_json_rpc(
    chain: Chain, body: bytes, code: int
) -> None:
    assert answer(chain, body)["error"]["code"] == code


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_answered_with_json(chain: Chain, body: bytes) -> None:
    assert answer(chain, body)["jsonrpc"] == "2.0"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=120), st.binary(max_size=120).map(lambda raw: b"\x02" + raw)))
def test_any_bytes_for_a_transaction_are_refused(chain: Chain, raw: bytes) -> None:
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "eth_sendRawTransaction",
        "params": [hexed(raw)],
    }

    assert answer(chain, json.dumps(request).encode())["error"]["code"] == -32000
