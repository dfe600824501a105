"""What [mqtt] names: files checked at the start, and a broker that is none."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pytest
from Crypto.PublicKey import ECC

from meterseal_aggregator import config, identity
from meterseal_aggregator.broker import Link
from meterseal_aggregator.config import Mqtt, Tls
from meterseal_aggregator.daemon import Aggregator
from meterseal_aggregator.errors import BrokerAway, ConfigError
from meterseal_aggregator.mqttfiles import check_files, read_password, tls_context
from support.aggregator_stage import config_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meterseal_aggregator.config import Config


@pytest.fixture
def begun(tmp_path: Path) -> Config:
    made = config_of(tmp_path / "data", 1)
    identity.begin(made)
    return made


def with_password(path: Path) -> Mqtt:
    return Mqtt(host="127.0.0.1", port=1, username="u", password_file=path)


def with_tls(ca: Path, cert: Path | None = None, key: Path | None = None) -> Mqtt:
    return Mqtt(host="127.0.0.1", port=1, tls=Tls(ca=ca, cert=cert, key=key))


def test_the_start_names_the_file_that_is_missing(begun: Config, tmp_path: Path) -> None:
    gone = tmp_path / "gone"

    for mqtt, key in ((with_password(gone), "password_file"), (with_tls(gone), "tls ca")):
        with pytest.raises(ConfigError, match=rf"\[mqtt\] {key} \S+gone: No such file") as refused:
            Aggregator(replace(begun, mqtt=mqtt))
        assert "Errno" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 65_536])
def test_a_password_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="password_file"):
        check_files(with_password(path))


def test_a_password_is_the_line_with_its_blanks(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b" s3cret \r\n")

    assert read_password(with_password(path)) == " s3cret "


def test_each_tls_file_is_named_with_its_fault(tmp_path: Path) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(open_certificates())
    stranger = tmp_path / "key.pem"
    stranger.write_text(ECC.generate(curve="P-256").export_key(format="PEM"))
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("no certificate")

    assert tls_context(Tls(ca=authorities, cert=None, key=None)).check_hostname
    for tls, fault in (
        (Tls(ca=rubbish, cert=None, key=None), "tls ca .*rubbish: it is not a PEM file"),
        (Tls(ca=stranger, cert=None, key=None), r"tls ca .*key\.pem: it holds no certificate"),
        (Tls(ca=authorities, cert=rubbish, key=stranger), "tls cert .*rubbish: it is not a PEM"),
        (Tls(ca=authorities, cert=authorities, key=tmp_path), "tls key .*: Is a directory"),
        (Tls(ca=authorities, cert=authorities, key=stranger), "tls cert .* its unencrypted priv"),
    ):
        with pytest.raises(ConfigError, match=fault):
            tls_context(tls)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(open_certificates())
    key = tmp_path / "key.pem"
    encrypted = ECC.generate(curve="P-256").export_key(
        format="PEM",
        passphrase="x",  # noqa: S106 -- a test's
        use_pkcs8=True,
        protection="PBKDF2WithHMAC-SHA1AndAES128-CBC",
    )
    key.write_text(encrypted)

    with pytest.raises(ConfigError, match="unencrypted"):
        tls_context(Tls(ca=authorities, cert=authorities, key=key))


@pytest.mark.parametrize(
    ("addition", "expected"),
    [
        ('password_file = "x"', "username: expected a user name beside password_file, got nothing"),
        ('tls = { ca = "a", key = "b" }', "cert: expected a certificate beside key, got nothing"),
    ],
)
def test_half_a_credential_is_refused(addition: str, expected: str) -> None:
    text = f'[aggregator]\ndata_dir="d"\norigin="o"\n[mqtt]\nhost="h"\n{addition}\n'

    with pytest.raises(ConfigError, match=expected):
        config.parse(text, source="f")


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def another_protocol(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (silent, r"connected, and within 0\.3 s no MQTT CONNACK\. Is it an MQTT broker"),
        (another_protocol, r"connected, and ended before a CONNACK\. Is it an MQTT broker"),
    ],
)
async def test_what_does_not_answer_as_a_broker_is_said_to_be_none(
    answers: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], said: str
) -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answers(reader, writer)
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    link = Link(Mqtt(host="127.0.0.1", port=server.sockets[0].getsockname()[1]), "us", 0.3)

    with pytest.raises(BrokerAway, match=said):
        await link.connect(["t"])

    await link.close()
    await ended.wait()
    server.close()


async def test_a_port_that_nobody_serves_is_said_in_words(unused_tcp_port: int) -> None:
    link = Link(Mqtt(host="127.0.0.1", port=unused_tcp_port), "us")

    with pytest.raises(BrokerAway, match="Connection refused") as away:
        await link.connect(["t"])

    assert "Errno" not in str(away.value)
    await link.close()


def open_certificates() -> bytes:
    return Path(certifi.where()).read_bytes()
