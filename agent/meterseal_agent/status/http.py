"""Requests and responses on bytes and headers, without a socket: what is allowed, what is answered.

The page only shows: GET and HEAD, no bodies, no cookies, no state, and no route that signs. A
foreign web page must not read it through the visitor's browser: the Host header has to be an
address or a name of this device (a rebound DNS name is neither), and no response allows another
origin.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Headers = Sequence[tuple[bytes, bytes]]

_ALWAYS: Final = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Cache-Control", b"no-store"),
)
_NO_CONTENT_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One whole response.

    Attributes:
        policy: Its Content-Security-Policy.
    """

    status: HTTPStatus
    content_type: bytes
    body: bytes
    policy: bytes = _NO_CONTENT_POLICY

    def headers(self) -> list[tuple[bytes, bytes]]:
        """List its headers; lower-level ones are the server's."""
        return [
            (b"Content-Type", self.content_type),
            (b"Content-Length", str(len(self.body)).encode()),
            (b"Content-Security-Policy", self.policy),
            *_ALWAYS,
        ]


def stream_headers() -> list[tuple[bytes, bytes]]:
    """List the headers of the event stream."""
    return [
        (b"Content-Type", b"text/event-stream"),
        (b"Content-Security-Policy", _NO_CONTENT_POLICY),
        *_ALWAYS,
    ]


def plain(status: HTTPStatus, sentence: str) -> Response:
    """Answer with one sentence."""
    return Response(
        status=status,
        content_type=b"text/plain; charset=utf-8",
        body=f"{status.value} {status.phrase}: {sentence}\n".encode(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """The names under which this device may be asked for."""

    known: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """Take the configured names; addresses and localhost are always right."""
        return cls(known=frozenset(name.lower().rstrip(".") for name in names) | {"localhost"})

    def allow(self, host: str) -> bool:
        """Tell whether a Host header names this device: a known name or a literal address."""
        name = _without_port(host).lower().rstrip(".")
        if name in self.known:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def refusal(method: bytes, headers: Headers, names: Names) -> Response | None:
    """Say why a request is not answered, or None when it may be."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1:
        return plain(HTTPStatus.BAD_REQUEST, "expected one Host header")
    if not names.allow(hosts[0].decode("latin-1")):
        return plain(
            HTTPStatus.MISDIRECTED_REQUEST,
            "expected a name or address of this device. Add the name to [status] names.",
        )
    if method not in (b"GET", b"HEAD"):
        return plain(HTTPStatus.METHOD_NOT_ALLOWED, "expected GET: this page only shows")
    lengths = [value for name, value in headers if name == b"content-length"]
    if any(value != b"0" for value in lengths) or any(
        name == b"transfer-encoding" for name, _ in headers
    ):
        return plain(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "expected no body")
    return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].split("]", 1)[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host
