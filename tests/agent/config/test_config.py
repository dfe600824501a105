"""The configuration is read whole and strictly, or refused in one sentence with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterseal.records import Publishes
from meterseal_agent.bus.settings import SerialLine, TcpLine
from meterseal_agent.config import load, parse
from meterseal_agent.errors import ConfigError

HERE = Path("/boot/meterseal.toml")
GOOD = """\
[agent]
data_dir = "/data/meterseal"
marker_dir = "/run/meterseal"

[[bus]]
name = "rs485"
port = "/dev/ttyRS485"

[[meter]]
name = "grid"
bus = "rs485"
address = 1
profile = "eastron-sdm630"
role = "grid"

[[meter]]
name = "pv"
bus = "rs485"
address = 2
profile = "eastron-sdm120"
role = "pv"
"""
PEERS = f"""
[mqtt]
host = "broker.example"
username = "gateway"
password_file = "mqtt.password"

[mqtt.tls]
ca = "ca.pem"

[aggregator]
origin = "log.example/one"
head_key = "{"ab" * 32}"
log_key = "log.example/one+12345678+AAAA"
witnesses = [{{ key = "w+1+A", owner = "the grid operator" }}]

[ledger]
chain_id = 1337260
contract = "0x{"11" * 20}"
registrant = "0x{"22" * 20}"
code_hash = "0x{"33" * 32}"
validators = ["0x{"44" * 20}"]

[status]
port = 8081
"""


def test_what_is_not_said_has_its_documented_default() -> None:
    config = parse(GOOD, HERE)

    assert config.agent.interval_s == 900
    assert config.agent.tolerance_ms == 5000
    assert config.agent.read_every_s == 10
    assert config.agent.publishes is Publishes.READINGS
    assert config.buses[0].line == SerialLine(port="/dev/ttyRS485")
    assert [config.mqtt, config.aggregator, config.ledger, config.status] == [None] * 4


def test_a_whole_file_is_read() -> None:
    config = parse(GOOD + PEERS, HERE)

    assert config.mqtt is not None
    assert config.mqtt.port == 8883
    assert config.mqtt.password_file == Path("/boot/mqtt.password")
    assert config.aggregator is not None
    assert config.aggregator.quorum == 1
    assert config.aggregator.head_key == b"\xab" * 32
    assert config.ledger is not None
    assert config.ledger.validators == (b"\x44" * 20,)
    assert config.status is not None
    assert config.status.port == 8081


def test_crlf_and_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "meterseal.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())

    assert load(path).meters == parse(GOOD, path).meters


def test_a_port_behind_tcp_is_read() -> None:
    bus = 'name = "rs485"\nkind = "rtu-over-tcp"\nhost = "10.0.0.7"\ntcp_port = 4196'
    config = parse(GOOD.replace('name = "rs485"\nport = "/dev/ttyRS485"', bus), HERE)

    assert config.buses[0].line == TcpLine(host="10.0.0.7", tcp_port=4196, rtu=True)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('port = "/dev', 'prot = "/dev', ("line 5", "port", '"prot" misspelt')),
        ("address = 2", 'address = "2"', ("line 19", '[[meter]] "pv" address', "1 to 247")),
        ("address = 2", "address = true", ("line 19", "True")),
        ("address = 2", "address = 248", ("line 19", "248")),
        ("address = 2", "address = 1", ("line 19", "grid", "Two meters at one address")),
        ('bus = "rs485"\naddress = 2', 'bus = "rs458"\naddress = 2', ("line 18", '"rs485"')),
        ('role = "pv"', 'role = "solar"', ("line 21", '"pv"', '"solar"')),
        ('name = "pv"', 'name = "grid"', ("line 17", "name of its own")),
        ('role = "pv"', 'role = "pv"\nserial = ""', ("line 22", "serial")),
        ('role = "pv"', 'role = "pv"\nquantities = ["energy"]', ("quantities", "energy")),
        ('role = "pv"', "role = 'pv'\n[meter.registers]\nenergy = 1", ("line 23", "energy")),
        ('role = "pv"', "role = 'pv'\nmodels = { x = 1 }", ("models", "SunSpec model")),
        ('data_dir = "/data/meterseal"', "interval_s = 900", ("data_dir", "required")),
        ("[agent]", "[agent]\ninterval_s = 901", ("line 2", "divisor of a day", "901")),
        ("[agent]", "[agent]\ntolerance_ms = 450000", ("line 2", "less than half")),
        ("[agent]", "[agent]\nread_every_s = 7", ("line 2", "divisor of interval_s")),
        ("[agent]", "[agent]\nread_every_s = 1000", ("line 2", "divisor of interval_s")),
        ("[agent]", "[agent]\npublish = 'all'", ("line 2", '"intervals"')),
        ("[agent]", "[agents]", ("[agent]",)),
        ("[agent]", "[agent\n", ("TOML", "syntax error")),
        ("[agent]", "colour = 1\n[agent]", ("line 1", "colour", "known key")),
        ('"/dev/ttyRS485"', '"/dev/ttyRS485"\nbaud = 9601', ("baud", "9600")),
        ('"/dev/ttyRS485"', '"/dev/ttyRS485"\nquiet_s = 0.5', ("quiet_s", "timeout_s")),
        ('"/dev/ttyRS485"', '"/dev/ttyRS485"\nkind = "udp"', ("kind", '"rtu-over-tcp"')),
        ('"/dev/ttyRS485"', '"/dev/ttyRS485"\nhost = "a"', ("host", "known key")),
    ],
)
def test_a_wrong_file_is_refused_by_file_line_and_key(
    old: str, new: str, words: tuple[str, ...]
) -> None:
    assert old in GOOD

    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace(old, new, 1), HERE)

    message = str(caught.value)
    assert all(word in message for word in ("/boot/meterseal.toml", "expected", *words)), message


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("ab" * 32, "ab" * 31, "head_key"),
        ("ab" * 32, "AB " * 32, "head_key"),
        ("[aggregator]", "[aggregater]", "aggregater"),
        ("chain_id = 1337260", "chain_id = 0", "chain_id"),
        (f'"0x{"44" * 20}"', f'"0x{"44" * 20}", "0x{"44" * 20}"', "each once"),
        ('username = "gateway"\n', "", "username"),
        ('ca = "ca.pem"', 'ca = "ca.pem"\ncert = "c.pem"', "cert and key"),
        ("port = 8081", "port = 99999", "65535"),
        ('owner = "the grid operator"', 'owner = ""', "owner"),
    ],
)
def test_a_wrong_pin_is_refused(old: str, new: str, word: str) -> None:
    assert old in PEERS

    with pytest.raises(ConfigError, match=word):
        parse(GOOD + PEERS.replace(old, new, 1), HERE)


def test_a_file_with_a_broker_and_no_aggregator_yet_is_read_so_that_init_works() -> None:
    config = parse(GOOD + '[mqtt]\nhost = "broker"\n', HERE)

    assert config.mqtt is not None
    assert config.aggregator is None


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="readable"):
        load(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "meterseal.toml"
    path.write_bytes(b"[agent]\nname = \xff")

    with pytest.raises(ConfigError, match="0xff at offset 15"):
        load(path)


def test_a_file_without_meters_is_refused() -> None:
    text = GOOD.split("[[meter]]", maxsplit=1)[0]

    with pytest.raises(ConfigError, match="at least one meter"):
        parse(text, HERE)


def test_the_marker_lies_in_the_runtime_directory_unless_said_otherwise() -> None:
    text = GOOD.replace('marker_dir = "/run/meterseal"\n', "")

    config = parse(text, HERE, {"XDG_RUNTIME_DIR": "/run/user/7"})

    assert config.agent.marker_dir == Path("/run/user/7/meterseal")
    with pytest.raises(ConfigError, match="marker_dir"):
        parse(text, HERE, {})


@given(st.text(max_size=200))
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text, HERE)


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(["", "\0", "x", "9", '"', "[", "=", "\n"]))
def test_a_changed_file_is_a_config_or_a_config_error(at: int, text: str) -> None:
    try:
        parse(GOOD[:at] + text + GOOD[at + 1 :], HERE)
    except ConfigError:
        return
