"""The page and its data as bytes: one self-contained HTML file, and JSON."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING

from meterseal_agent.status.http import Response

if TYPE_CHECKING:
    from meterseal_agent.status.view import StatusView

_INLINE = re.compile(r"<(style|script)>(.*?)</\1>", re.DOTALL)


def status_json(view: StatusView) -> bytes:
    """Write the view as JSON; field names are those of the dataclasses."""
    return json.dumps(_plain(view), ensure_ascii=False, separators=(",", ":")).encode()


def json_response(view: StatusView) -> Response:
    """Answer with the view as JSON."""
    return Response(status=HTTPStatus.OK, content_type=b"application/json", body=status_json(view))


def page_response() -> Response:
    """Answer with the page; only its own style and script may run, by their hashes."""
    page = (resources.files("meterseal_agent.status") / "page.html").read_text(encoding="utf-8")
    hashes = {kind: _hash(text) for kind, text in _INLINE.findall(page)}
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data:; "
        f"style-src {hashes['style']}; script-src {hashes['script']}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Response(
        status=HTTPStatus.OK,
        content_type=b"text/html; charset=utf-8",
        body=page.encode(),
        policy=policy.encode(),
    )


def event(view: StatusView) -> bytes:
    """Write the view as one server-sent event (JSON holds no line break)."""
    return b"event: status\ndata: " + status_json(view) + b"\n\n"


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _plain(value: object) -> object:
    """Turn frozen values into what JSON knows."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value
