"""One MQTT connection from CONNECT to its loss, with acknowledgement by hand.

* paho's network loop runs in a thread of its own; what it says is handed to the event loop.
* One object is one connection: a message that was not acknowledged when it ended is delivered
  again by the broker to the next one, and a late acknowledgement cannot name another message.
* The inbox holds `INBOX_MAX` messages. At the bound paho's thread waits, so that nothing is read
  and nothing acknowledged: the broker holds back. If that lasts, the broker ends the connection,
  and everything unacknowledged comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from meterseal_aggregator.errors import BrokerAway
from meterseal_aggregator.mqttfiles import read_password, tls_context

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from meterseal_aggregator.config import Mqtt

INBOX_MAX: Final = 1024
PAYLOAD_MAX: Final = 60 * 1024
"""Longest payload that is looked at; a longer one is acknowledged, counted and dropped."""
_QOS: Final = 1
_CONNECT_TIMEOUT_S: Final = 10.0
_KEEPALIVE_S: Final = 30
_ANSWER_TIMEOUT_S: Final = 20.0
_WAIT_STEP_S: Final = 0.2
_NO_BROKER: Final = "Is it an MQTT broker, and is [mqtt] tls as it expects?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message that is not acknowledged yet; `payload` is empty when it was too long."""

    topic: str
    payload: bytes
    size: int
    retained: bool
    mid: int
    qos: int


class Link:
    """A connection to the broker; owned by the link task."""

    def __init__(self, mqtt: Mqtt, client_id: str, answer_s: float = _CONNECT_TIMEOUT_S) -> None:
        self._mqtt = mqtt
        self._where = f"broker {mqtt.host}:{mqtt.port}"
        self._answer_s = answer_s
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Delivery] = deque()
        self._room = threading.Semaphore(INBOX_MAX)  # taken by paho's thread, given by `take`
        self._stirred = asyncio.Event()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._subscribed: asyncio.Future[None] = self._loop.create_future()
        self._unacknowledged: dict[int, asyncio.Future[None]] = {}
        self._lost: str | None = None
        self._closing = threading.Event()
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(256)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        self._client = client

    async def connect(self, subscriptions: Sequence[str]) -> None:
        """Connect, wait for the broker's consent, subscribe.

        Raises:
            BrokerAway: With what stood in the way.
            ConfigError: A file for TLS or the password cannot be read.
        """
        self._set_credentials()
        try:
            async with asyncio.timeout(2 * _CONNECT_TIMEOUT_S):
                await asyncio.to_thread(
                    self._client.connect, self._mqtt.host, self._mqtt.port, _KEEPALIVE_S
                )
        except TimeoutError as error:
            raise BrokerAway(f"{self._where}: nobody answers there") from error
        except (OSError, ValueError) as error:
            raise BrokerAway(f"{self._where}: {_why(error)}") from error
        self._client.loop_start()
        await self._answered(self._connected, f"no MQTT CONNACK. {_NO_BROKER}")
        self._client.subscribe([(topic, _QOS) for topic in subscriptions])
        await self._answered(self._subscribed, "no SUBACK")

    async def _answered(self, answer: asyncio.Future[None], nothing: str) -> None:
        try:
            async with asyncio.timeout(self._answer_s):
                await answer
        except TimeoutError as error:
            raise BrokerAway(
                f"{self._where}: connected, and within {self._answer_s:g} s {nothing}"
            ) from error

    async def take(self, limit: int) -> list[Delivery]:
        """Wait for a message and take up to `limit` that are there.

        Raises:
            BrokerAway: The connection is gone.
        """
        while not self._inbox:
            if self._lost is not None:
                raise BrokerAway(self._lost)
            self._stirred.clear()
            await self._stirred.wait()
        batch = [self._inbox.popleft() for _ in range(min(limit, len(self._inbox)))]
        self._room.release(len(batch))
        return batch

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell the broker that a message is durable here."""
        if self._lost is None:
            self._client.ack(delivery.mid, delivery.qos)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish and wait until the broker has it.

        Raises:
            BrokerAway: It did not say so; it may have it all the same.
        """
        if self._lost is not None:
            raise BrokerAway(self._lost)
        taken: asyncio.Future[None] = self._loop.create_future()
        info = self._client.publish(topic, payload, qos=_QOS, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise BrokerAway(f"{topic}: {paho.error_string(info.rc)}")
        # The callback for this mid is queued behind the present call, however fast the broker is.
        self._unacknowledged[info.mid] = taken
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                await taken
        except TimeoutError as error:
            raise BrokerAway(f"{topic}: no PUBACK within {_ANSWER_TIMEOUT_S:.0f} s") from error
        finally:
            self._unacknowledged.pop(info.mid, None)

    async def close(self) -> None:
        """Say goodbye and stop paho's thread; the session stays at the broker."""
        self._closing.set()
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self._lose("closed")

    def _set_credentials(self) -> None:
        mqtt = self._mqtt
        if mqtt.username is not None:
            self._client.username_pw_set(mqtt.username, read_password(mqtt))
        if mqtt.tls is not None:
            self._client.tls_set_context(tls_context(mqtt.tls))

    def _lose(self, reason: str) -> None:
        if self._lost is None:
            self._lost = reason
        self._closing.set()
        self._stirred.set()
        for future in (*self._unacknowledged.values(), self._connected, self._subscribed):
            if not future.done():
                future.set_exception(BrokerAway(self._lost))
                future.exception()  # nobody may be waiting; then it is no error

    # -- from here on in paho's thread -----------------------------------------------------------

    def _hand(self, callback: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended; so will this thread
            self._loop.call_soon_threadsafe(callback, *values)

    def _on_connect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._hand(self._lose, f"{self._where} refused us: {reason}")
        else:
            self._hand(_consent, self._connected)

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._hand(self._lose, "the broker refused a subscription: its ACL must let us read")
        else:
            self._hand(_consent, self._subscribed)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: object,
        _flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._hand(self._end, str(reason))

    def _end(self, reason: str) -> None:
        if self._connected.done():
            self._lose(f"{self._where} went away: {reason}")
        else:
            self._lose(f"{self._where}: connected, and ended before a CONNACK. {_NO_BROKER}")

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        while not self._room.acquire(timeout=_WAIT_STEP_S):
            if self._closing.is_set():
                return
        size = len(message.payload)
        delivery = Delivery(
            topic=message.topic,
            payload=bytes(message.payload) if size <= PAYLOAD_MAX else b"",
            size=size,
            retained=message.retain,
            mid=message.mid,
            qos=message.qos,
        )
        self._hand(self._arrive, delivery)

    def _arrive(self, delivery: Delivery) -> None:
        self._inbox.append(delivery)
        self._stirred.set()

    def _on_publish(
        self,
        _client: paho.Client,
        _data: object,
        mid: int,
        _reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        self._hand(self._taken, mid)

    def _taken(self, mid: int) -> None:
        future = self._unacknowledged.get(mid)
        if future is not None and not future.done():
            future.set_result(None)


def _why(error: Exception) -> str:
    """Say in words why a connection was not made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason}). Does it speak TLS at this port?"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _consent(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
