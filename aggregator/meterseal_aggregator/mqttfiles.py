"""The files that [mqtt] names, each read and named on its own: password, CA, certificate, key."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from meterseal_aggregator.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from meterseal_aggregator.config import Mqtt, Tls

_PASSWORD_MAX = 65_535
"""MQTT 3.1.1, 3.1.3.5: two length bytes."""
_FILE_MAX = 1024 * 1024


def check_files(mqtt: Mqtt) -> None:
    """Read all of them, before anything is begun that needs them.

    Raises:
        ConfigError: One cannot be read, or is not what it should be.
    """
    read_password(mqtt)
    if mqtt.tls is not None:
        tls_context(mqtt.tls)


def read_password(mqtt: Mqtt) -> str | None:
    """Read the password: the file's text without the line end.

    Raises:
        ConfigError: It cannot be read, or is empty, too long or no text.
    """
    if mqtt.password_file is None:
        return None
    try:
        password = _read("password_file", mqtt.password_file).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise _refuse("password_file", mqtt.password_file, "it is not text in UTF-8") from error
    if not password or len(password.encode()) > _PASSWORD_MAX:
        raise _refuse("password_file", mqtt.password_file, "it is empty or too long")
    return password


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Make a client's context that believes the CA alone and checks the broker's name.

    Raises:
        ConfigError: A file cannot be read or is no PEM, or key and certificate are not a pair.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    named = {"tls ca": tls.ca, "tls cert": tls.cert, "tls key": tls.key}
    for key, path in named.items():
        if path is not None and b"-----BEGIN " not in _read(key, path):
            raise _refuse(key, path, "it is not a PEM file")
    try:
        context.load_verify_locations(tls.ca)
    except (OSError, ValueError) as error:
        raise _refuse("tls ca", tls.ca, "it holds no certificate") from error
    if tls.cert is None:
        return context
    try:
        # An encrypted key is refused: without this, OpenSSL would ask for it on the terminal.
        context.load_cert_chain(tls.cert, tls.key, password="")
    except (OSError, ValueError) as error:
        what = f"and tls key {tls.key} are not a certificate and its unencrypted private key"
        raise _refuse("tls cert", tls.cert, f"it {what}") from error
    return context


def _read(key: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_MAX)
    except OSError as error:
        raise _refuse(key, path, error.strerror or "it cannot be read") from error


def _refuse(key: str, path: Path, what: str) -> ConfigError:
    return ConfigError(f"[mqtt] {key} {path}: {what}. Correct the path, or the file and its owner.")
