"""The embedded broker: durable through kill -9, tied to its parent, plain about bad input."""

from __future__ import annotations

import os
import select
import signal
import socket
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from support.simulated import Simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOPIC = "meterseal/1/00/00112233445566778899aabbccddeeff/record"
LISTENING = "0A"  # state of a socket in /proc/net/tcp


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Simulated]:
    with Simulated("broker", "--data", tmp_path / "broker") as process:
        yield process


class Client:
    """An MQTT 3.1.1 client with a persistent session; `received` fills as messages come."""

    def __init__(self, port: int, name: str, subscribe: str | None = None) -> None:
        self.received: Queue[bytes | bytearray] = Queue()
        self._granted: Queue[object] = Queue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
        self._client.on_message = lambda _c, _u, message: self.received.put(message.payload)
        self._client.on_subscribe = lambda *_: self._granted.put(None)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if subscribe is not None:
            self._client.subscribe(subscribe, qos=1)
            self._granted.get(timeout=10)

    def publish(self, payload: bytes, *, retain: bool = False) -> None:
        """Publish and return once the broker acknowledged."""
        self._client.publish(TOPIC, payload, qos=1, retain=retain).wait_for_publish(10)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def kill_whole(broker: Simulated) -> None:
    """kill -9 of the command; the kernel then kills nats-server."""
    broker.kill()


def kill_nats(broker: Simulated) -> None:
    """kill -9 of nats-server; the command then ends by itself."""
    os.kill(broker.ready["pid"], signal.SIGKILL)
    _, said = broker.process.communicate(timeout=10)
    assert broker.process.returncode == 1
    assert "nats-server: ended by itself with status -9" in said


@pytest.mark.parametrize("kill", [kill_whole, kill_nats])
def test_what_was_acknowledged_reaches_an_offline_subscriber_after_kill_9(
    tmp_path: Path, kill: Callable[[Simulated], None]
) -> None:
    with Simulated("broker", "--data", tmp_path) as broker:
        port = broker.ready["port"]
        Client(port, "aggregator", subscribe="meterseal/1/+/+/record").close()
        device = Client(port, "00112233445566778899aabbccddeeff")
        for number in range(20):
            device.publish(b"record %d" % number)
        kill(broker)
        device.close()

    # The same port at once, as the demonstration does it.
    with Simulated("broker", "--data", tmp_path, "--port", port) as broker:
        assert broker.ready["port"] == port
        aggregator = Client(port, "aggregator")
        received = {aggregator.received.get(timeout=10) for _ in range(20)}
        aggregator.close()
        assert broker.stop() == 0

    assert received == {b"record %d" % number for number in range(20)}


def test_a_retained_message_survives_a_restart(tmp_path: Path) -> None:
    with Simulated("broker", "--data", tmp_path) as broker:
        client = Client(broker.ready["port"], "aggregator")
        client.publish(b"checkpoint", retain=True)
        client.close()
        assert broker.stop() == 0

    with Simulated("broker", "--data", tmp_path) as broker:
        client = Client(broker.ready["port"], "page", subscribe=TOPIC)
        assert client.received.get(timeout=10) == b"checkpoint"
        client.close()


def test_the_largest_payload_passes(broker: Simulated) -> None:
    client = Client(broker.ready["port"], "device", subscribe=TOPIC)

    client.publish(bytes(60 * 1024))

    assert client.received.get(timeout=10) == bytes(60 * 1024)
    client.close()


def test_it_listens_on_loopback_only(broker: Simulated) -> None:
    """Every listening socket of the process is bound to 127.0.0.1."""
    sockets = {str(fd.readlink()) for fd in Path(f"/proc/{broker.ready['pid']}/fd").iterdir()}
    bound = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and f"socket:[{fields[9]}]" in sockets:
                bound.add(fields[1].split(":")[0])

    assert bound == {"0100007F"}


def test_nats_dies_with_its_parent(broker: Simulated) -> None:
    pidfd = os.pidfd_open(broker.ready["pid"])

    broker.kill()

    # It is not our child; its pidfd becomes readable when it ends.
    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)


def test_a_taken_port_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with Simulated("broker", "--data", tmp_path, "--port", port) as broker:
            status, said = broker.end()

    assert status == 1
    assert said == (
        f"meterseal-simulator: port {port} of 127.0.0.1: Address already in use; "
        "choose another one with --port, or 0 for any\n"
    )


def test_a_port_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with Simulated("broker", "--data", tmp_path, "--port", 65536) as broker:
        assert broker.end() == (1, "meterseal-simulator: port 65536: expected 0 to 65535\n")
