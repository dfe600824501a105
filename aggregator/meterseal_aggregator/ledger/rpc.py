"""A JSON-RPC client for an Ethereum node: bounded, strict about what comes back, never retrying.

Who calls knows whether a call may be made twice; here nothing is sent again.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import TYPE_CHECKING, Final

import httpx

from meterseal_aggregator.errors import LedgerRefused, LedgerUnavailable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

TIMEOUT_S: Final = 10.0
ANSWER_SIZE_MAX: Final = 8 * 1024 * 1024

_QUANTITY = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]{0,63})\Z")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*\Z")


class Rpc:
    """One node at one URL."""

    def __init__(self, url: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        # No proxy and no .netrc of the surroundings: the operator named one URL.
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, transport=transport, trust_env=False)
        self._ids = itertools.count(1)

    async def call(self, method: str, *params: object) -> object:
        """Call a method.

        Raises:
            LedgerUnavailable: No node answered, or what answered is no JSON-RPC node.
            LedgerRefused: The node answered with an error.
        """
        number = next(self._ids)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
        try:
            answer = json.loads(await self._post(request))
        except httpx.HTTPError as error:
            what = str(error) or type(error).__name__
            raise LedgerUnavailable(f"ledger {self._url}: {method}: {what}") from error
        except (ValueError, RecursionError) as error:
            raise LedgerUnavailable(f"ledger {self._url}: {method}: not JSON: {error}") from error
        if not isinstance(answer, dict) or answer.get("id") != number:
            raise LedgerUnavailable(f"ledger {self._url}: {method}: not an answer to call {number}")
        refusal = answer.get("error")
        if refusal is not None:
            raise _refused(method, refusal)
        return answer.get("result")

    async def _post(self, request: dict[str, object]) -> bytes:
        async with self._client.stream("POST", self._url, json=request) as response:
            response.raise_for_status()
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > ANSWER_SIZE_MAX:
                    raise httpx.DecodingError(f"an answer above {ANSWER_SIZE_MAX} bytes")
            return bytes(body)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        """Use the client in an `async with` block."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()


def _refused(method: str, refusal: object) -> LedgerRefused:
    """Read an error object; its message goes to logs and journal, so only printable ASCII stays."""
    error = refusal if isinstance(refusal, dict) else {"message": refusal}
    code, message = error.get("code"), ascii(str(error.get("message"))[:400])[1:-1]
    return LedgerRefused(method, code if isinstance(code, int) else 0, message)


def quantity(value: object, what: str, *, bits: int = 63) -> int:
    """Read a hexadecimal number as the JSON-RPC API writes it.

    Raises:
        LedgerUnavailable: It is none, or does not fit `bits` bits: 63 are what the store holds.
    """
    if not isinstance(value, str) or not _QUANTITY.match(value):
        raise LedgerUnavailable(f"ledger: {what}: expected a hex number, got {value!r:.80}")
    number = int(value, 16)
    if number.bit_length() > bits:
        raise LedgerUnavailable(f"ledger: {what}: expected at most {bits} bits, got {value}")
    return number


def data(value: object, what: str, size: int | None = None) -> bytes:
    """Read hexadecimal bytes.

    Raises:
        LedgerUnavailable: They are none, or of another length.
    """
    if not isinstance(value, str) or not _DATA.match(value):
        raise LedgerUnavailable(f"ledger: {what}: expected hex bytes, got {value!r:.80}")
    result = bytes.fromhex(value[2:])
    if size is not None and len(result) != size:
        raise LedgerUnavailable(f"ledger: {what}: expected {size} bytes, got {len(result)}")
    return result


def fields(value: object, what: str) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        LedgerUnavailable: It is none.
    """
    if not isinstance(value, dict):
        raise LedgerUnavailable(f"ledger: {what}: expected an object, got {value!r:.80}")
    return value


def texts(value: object, what: str) -> list[object]:
    """Read a JSON array.

    Raises:
        LedgerUnavailable: It is none.
    """
    if not isinstance(value, list):
        raise LedgerUnavailable(f"ledger: {what}: expected an array, got {value!r:.80}")
    return value
