"""A device's side of the broker, for tests of the aggregator: publishes, and keeps what comes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from meterseal.topics import Leaf, device_topic

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from meterseal.types import DeviceId

_TIMEOUT_S = 15.0


class DeviceLink:
    """One paho client with a kept session; `got` holds payloads by topic leaf, in order."""

    def __init__(self, port: int, device: DeviceId) -> None:
        self.device = device
        self.got: dict[str, list[bytes]] = {}
        self._loop = asyncio.get_running_loop()
        self._stirred = asyncio.Event()
        self._port = port
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=device.hex(),
            clean_session=False,
            protocol=paho.MQTTv311,
        )
        self._client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]  # floats serve
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        self._client.loop_start()
        await self.until(self.is_connected, "connected")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def publish(self, leaf: Leaf, payload: bytes) -> None:
        """Publish and wait for the broker's acknowledgement."""
        info = self._client.publish(device_topic(self.device, leaf), payload, qos=1)
        await asyncio.to_thread(info.wait_for_publish, _TIMEOUT_S)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds; it is asked whenever something came."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                while not condition():
                    self._stirred.clear()
                    try:
                        async with asyncio.timeout(0.05):
                            await self._stirred.wait()
                    except TimeoutError:
                        continue
        except TimeoutError:
            raise AssertionError(f"waited {_TIMEOUT_S:.0f} s in vain until {what}") from None

    def is_connected(self) -> bool:
        """Whether the broker has us."""
        return self._client.is_connected()

    def all(self, leaf: Leaf) -> list[bytes]:
        """What came on a leaf so far."""
        return self.got.get(leaf.value, [])

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        for leaf in (Leaf.HEAD, Leaf.WANT, Leaf.REJECT, Leaf.RECEIPT):
            client.subscribe(device_topic(self.device, leaf), qos=1)

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        leaf = message.topic.rsplit("/", 1)[1]
        self._loop.call_soon_threadsafe(self._keep, leaf, bytes(message.payload))

    def _keep(self, leaf: str, payload: bytes) -> None:
        self.got.setdefault(leaf, []).append(payload)
        self._stirred.set()
