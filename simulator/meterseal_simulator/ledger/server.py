"""The embedded ledger as a process: JSON-RPC over HTTP on loopback until SIGTERM.

Requests are POSTs of at most `BODY_MAX` bytes. Those with an Origin header come from a web page
and are refused: nothing in a browser has business with a ledger that holds funds for everyone.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from meterseal_simulator.errors import SimulatorError
from meterseal_simulator.ledger.chain import Chain
from meterseal_simulator.ledger.keys import FUNDED_KEY_FILE, load_funded, load_validators
from meterseal_simulator.ledger.rpc import Rpc
from meterseal_simulator.ledger.store import Store

if TYPE_CHECKING:
    import argparse

HOST: Final = "127.0.0.1"
DEFAULT_CHAIN_ID: Final = 1_337_260
BODY_MAX: Final = 1 << 20
IDLE_S: Final = 60.0

_CLIENT: Final = "MeterSeal-development-ledger/1"
_PORT_MAX: Final = 65_535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `meterseal-simulator ledger`."""
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="data folder")
    parser.add_argument("--port", type=int, default=0, help="TCP port on loopback; 0 = any")
    parser.add_argument("--chain-id", type=int, default=DEFAULT_CHAIN_ID, help="chain id")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status.

    Raises:
        SimulatorError: The folder or the port cannot be had.
    """
    folder: Path = args.data
    # Blocked before any thread starts, so that only the sigwait below ever takes them.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    store = Store(folder, args.chain_id)
    try:
        funded = load_funded(folder)
        chain = Chain(store, load_validators(folder), args.chain_id, funded=funded)
        with _bind(args.port, Rpc(chain, _CLIENT)) as server:
            serving = threading.Thread(target=server.serve_forever, name="ledger-http")
            serving.start()
            print(json.dumps(_ready(chain, server.server_port, folder)), flush=True)  # noqa: T201 - a command speaks by printing
            signal.sigwait(stops)
            server.shutdown()
            serving.join()
            chain.close()
    finally:
        store.close()
    return 0


def _ready(chain: Chain, port: int, folder: Path) -> dict[str, object]:
    return {
        "ready": True,
        "url": f"http://{HOST}:{port}",
        "chain_id": chain.chain_id,
        "validators": ["0x" + validator.address.hex() for validator in chain.validators],
        "funded_key_file": str(folder / FUNDED_KEY_FILE),
    }


class Server(ThreadingHTTPServer):
    """An HTTP server that answers JSON-RPC; one thread a connection."""

    daemon_threads = True

    def __init__(self, port: int, rpc: Rpc) -> None:
        """Bind to loopback and listen."""
        self.rpc = rpc
        super().__init__((HOST, port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about a peer that hung up; anything else is our defect and is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _bind(port: int, rpc: Rpc) -> Server:
    if not 0 <= port <= _PORT_MAX:
        raise SimulatorError(f"port {port}: expected 0 to {_PORT_MAX}")
    try:
        return Server(port, rpc)
    except OSError as error:
        raise SimulatorError(
            f"port {port} of {HOST}: {error.strerror}; choose another one with --port, or 0 for any"
        ) from error


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    # Header and body leave in one segment and at once: otherwise each answer waits 40 ms for an
    # acknowledgement that the peer delays.
    disable_nagle_algorithm: ClassVar[bool] = True
    wbufsize = 1 << 16
    timeout = IDLE_S

    def do_POST(self) -> None:  # the name http.server asks for
        """Answer a JSON-RPC request."""
        if self.headers.get("Origin") is not None:
            return self._refuse(HTTPStatus.FORBIDDEN)
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self._refuse(HTTPStatus.LENGTH_REQUIRED)
        if int(length) > BODY_MAX:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        answer = self.server.rpc.respond(self.rfile.read(int(length)))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        return None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Keep quiet: the process that asked knows what it asked."""

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self.send_error(status)
