"""The ledger as a process: ready line, HTTP, bad input, kill -9."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from eth_account import Account

from meterseal_simulator.ledger.server import BODY_MAX
from support.log_contract import CHAIN_ID, signed
from support.simulated import JsonRpc, RpcFailed, Simulated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eth_account.signers.local import LocalAccount

SOMEONE = b"\x5a" * 20
HASHES = False  # how eth_getBlockBy… shows transactions


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Simulated]:
    with Simulated("ledger", "--data", tmp_path / "ledger") as process:
        yield process


def account(ledger: Simulated) -> LocalAccount:
    key = Path(ledger.ready["funded_key_file"]).read_text().strip()
    made: LocalAccount = Account.from_key(key)
    return made


def test_the_ready_line_says_all_that_a_client_needs(ledger: Simulated) -> None:
    with JsonRpc(ledger.ready["url"]) as rpc:
        assert int(rpc.call("eth_chainId"), 16) == ledger.ready["chain_id"] == CHAIN_ID
        assert int(rpc.call("eth_getBalance", account(ledger).address, "latest"), 16) > 10**20

    assert len(set(ledger.ready["validators"])) == 4
    assert ledger.stop() == 0


def test_a_killed_ledger_keeps_every_transaction_whose_hash_it_returned(tmp_path: Path) -> None:
    """Goal: kill -9 at any point loses nothing that was answered and leaves a chain that goes on.

    Method: a client sends as fast as it can; the process is killed in the middle, three times; each
    time the chain is walked from its head and continued.
    """
    answered: list[str] = []
    nonce = 0
    for _ in range(3):
        with Simulated("ledger", "--data", tmp_path) as ledger, JsonRpc(ledger.ready["url"]) as rpc:
            sender = account(ledger)
            _send_until_killed(ledger, rpc, answered, nonce)
        with Simulated("ledger", "--data", tmp_path) as ledger, JsonRpc(ledger.ready["url"]) as rpc:
            for tx_hash in answered:
                assert rpc.call("eth_getTransactionReceipt", tx_hash)["status"] == "0x1"
            nonce = int(rpc.call("eth_getTransactionCount", sender.address, "latest"), 16)
            assert int(rpc.call("eth_getBalance", "0x" + SOMEONE.hex(), "latest"), 16) == nonce
            assert _height(rpc) == nonce
            # The last of each round may be durable though its answer never came.
            assert len(answered) <= nonce <= len(answered) + 3
            assert ledger.stop() == 0


def _send_until_killed(ledger: Simulated, rpc: JsonRpc, answered: list[str], nonce: int) -> None:
    sender, wanted = account(ledger), len(answered) + 12

    def kill_in_the_middle() -> None:
        while len(answered) < wanted and ledger.process.poll() is None:
            threading.Event().wait(0.001)
        ledger.process.kill()

    killer = threading.Thread(target=kill_in_the_middle)
    killer.start()
    with suppress(OSError, HTTPException):
        for number in count(nonce):
            raw = signed(sender, number, SOMEONE, b"", value=1)
            answered.append(rpc.call("eth_sendRawTransaction", "0x" + raw.hex()))
    killer.join()


def _height(rpc: JsonRpc) -> int:
    """Follow the parents from the head to the first block; return the head's height."""
    block = rpc.call("eth_getBlockByNumber", "latest", HASHES)
    height = int(block["number"], 16)
    for number in range(height, 0, -1):
        assert int(block["number"], 16) == number
        block = rpc.call("eth_getBlockByHash", block["parentHash"], HASHES)
    return height


def test_a_contract_that_calls_itself_without_end_runs_out_of_gas_and_harms_nobody(
    ledger: Simulated,
) -> None:
    # Everything to the stack: CALL(gas, ADDRESS, 0, 0, 0, 0, 0)
    endless = bytes.fromhex("60006000600060006000305af100")
    deploy = bytes([0x60, len(endless), 0x80, 0x60, 11, 0x60, 0, 0x39, 0x60, 0, 0xF3]) + endless
    sender = account(ledger)
    with JsonRpc(ledger.ready["url"]) as rpc:
        sent = rpc.call("eth_sendRawTransaction", "0x" + signed(sender, 0, None, deploy).hex())
        contract = rpc.call("eth_getTransactionReceipt", sent)["contractAddress"]
        assert rpc.call("eth_getCode", contract, "latest") == "0x" + endless.hex()

        assert rpc.call("eth_call", {"to": contract}, "latest") == "0x"

        raw = signed(sender, 1, bytes.fromhex(contract[2:]), b"", gas=29_000_000)
        rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        assert rpc.call("eth_blockNumber") == "0x2"


def test_clients_at_once_are_put_in_a_row(ledger: Simulated) -> None:
    """Two clients race with one account's nonces: each nonce is taken once, refused once."""
    sender = account(ledger)
    outcomes: list[str] = []

    def race(value: int) -> None:
        with JsonRpc(ledger.ready["url"]) as rpc:
            for nonce in range(10):
                raw = signed(sender, nonce, SOMEONE, b"", value=value)
                try:
                    outcomes.append(rpc.call("eth_sendRawTransaction", "0x" + raw.hex()))
                except RpcFailed as error:
                    outcomes.append(str(error))

    threads = [threading.Thread(target=race, args=(value,)) for value in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    taken = [outcome for outcome in outcomes if outcome.startswith("0x")]
    with JsonRpc(ledger.ready["url"]) as rpc:
        assert len(set(taken)) == len(taken) == int(rpc.call("eth_blockNumber"), 16)
        assert len(taken) >= 1
    assert all("nonce too" in outcome for outcome in outcomes if outcome not in taken)


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 501),
        ("POST", {"Content-Length": str(BODY_MAX + 1)}, 413),
        ("POST", {"Content-Length": "1_0"}, 411),
        ("POST", {"Content-Length": "-1"}, 411),
        ("POST", {"Transfer-Encoding": "chunked"}, 411),
        ("POST", {"Content-Length": "2", "Origin": "https://example.org"}, 403),
    ],
)
def test_what_is_no_bounded_post_of_a_program_is_refused(
    ledger: Simulated, method: str, headers: dict[str, str], status: int
) -> None:
    connection = HTTPConnection(urlsplit(ledger.ready["url"]).netloc, timeout=10)
    connection.putrequest(method, "/", skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()

    assert connection.getresponse().status == status
    connection.close()


def test_a_client_that_hangs_up_in_the_middle_disturbs_nobody(ledger: Simulated) -> None:
    netloc = urlsplit(ledger.ready["url"])
    with socket.create_connection((netloc.hostname or "", netloc.port or 0)) as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")

    with JsonRpc(ledger.ready["url"]) as rpc:
        assert rpc.call("eth_blockNumber") == "0x0"
    assert ledger.end() == (0, "")


def test_a_taken_port_is_named_with_the_remedy(tmp_path: Path, ledger: Simulated) -> None:
    port = urlsplit(ledger.ready["url"]).port or 0

    with Simulated("ledger", "--data", tmp_path / "other", "--port", port) as second:
        status, said = second.end()

    assert status == 1
    assert said == (
        f"meterseal-simulator: port {port} of 127.0.0.1: Address already in use; "
        "choose another one with --port, or 0 for any\n"
    )


def test_a_second_ledger_on_one_folder_is_refused(tmp_path: Path, ledger: Simulated) -> None:
    assert ledger.ready

    with Simulated("ledger", "--data", tmp_path / "ledger") as second:
        status, said = second.end()

    assert status == 1
    assert said.startswith(f"meterseal-simulator: data folder {tmp_path / 'ledger'}: in use")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with Simulated("ledger", "--data", tmp_path / "file" / "below") as ledger:
        status, said = ledger.end()

    assert status == 1
    assert said.startswith(
        f"meterseal-simulator: data folder {tmp_path}/file/below: cannot be made"
    )
