"""One MQTT connection from CONNECT to its loss, over paho-mqtt, seen from the event loop.

- paho's network loop runs in a thread of its own; every callback is handed to the event loop, and
  nothing here is touched from two threads.
- One object is one connection. Its memory of what is in flight dies with it, on purpose: after a
  loss everything unconfirmed is read from the store again.
- The broker keeps the session (clean session off, client id = device id), so that heads and
  receipts sent while we were away arrive afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from meterseal_agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from meterseal_agent.config.model import MqttConfig

_log = logging.getLogger(__name__)

_QOS = 1
_CONNECT_TIMEOUT_S = 10.0
_KEEPALIVE_S = 30
_INBOX_MAX = 256


class LinkError(AgentError):
    """The broker could not be reached, refused us, or went away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What arrived on a topic that we subscribed to."""

    topic: str
    payload: bytes


class Link:
    """A connection to the broker; owned by the publish task."""

    def __init__(
        self, mqtt: MqttConfig, client_id: str, will: tuple[str, bytes], payload_bytes_max: int
    ) -> None:
        self._mqtt = mqtt
        self._payload_bytes_max = payload_bytes_max
        self._loop = asyncio.get_running_loop()
        self._inbox: deque[Message] = deque()
        self._stirred = asyncio.Event()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._connected.add_done_callback(_seen)
        self._lost: str | None = None
        self._unacknowledged: dict[int, asyncio.Future[None]] = {}
        self._granted: asyncio.Future[tuple[bool, ...]] = self._loop.create_future()
        self._granted.add_done_callback(_seen)
        self._dropped = 0
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.will_set(will[0], will[1], qos=_QOS, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        self._client = client

    async def connect(self, subscriptions: tuple[str, ...]) -> tuple[str, ...]:
        """Connect, wait for the broker's consent, subscribe.

        Returns:
            The topics that the broker will not deliver to us.

        Raises:
            LinkError: With what stood in the way: name, port, TLS, password, refusal, silence.
        """
        where = f"broker {self._mqtt.host}:{self._mqtt.port}"
        try:
            self._set_credentials()
            async with asyncio.timeout(2 * _CONNECT_TIMEOUT_S):
                await asyncio.to_thread(
                    self._client.connect, self._mqtt.host, self._mqtt.port, _KEEPALIVE_S
                )
                self._client.loop_start()
                # nats answers MQTT 5 and amqtt a client certificate with silence: hence a timeout.
                await self._connected
                self._client.subscribe([(topic, _QOS) for topic in subscriptions])
                granted = await self._granted
        except TimeoutError as error:
            message = f"{where}: no answer within {2 * _CONNECT_TIMEOUT_S:.0f} s"
            raise LinkError(message) from error
        except (OSError, ValueError) as error:
            message = f"{where}: cannot connect ({error})"
            raise LinkError(message) from error
        answers = zip(subscriptions, granted, strict=False)
        return tuple(topic for topic, may in answers if not may)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> asyncio.Future[None]:
        """Hand a message to the broker; the future is done at its PUBACK, or fails with the link.

        A PUBACK says that the broker has the message, not that anyone stored it.
        """
        acknowledged: asyncio.Future[None] = self._loop.create_future()
        # Whoever does not wait for it loses nothing: `receive` raises the same loss.
        acknowledged.add_done_callback(_seen)
        if self._lost is not None:
            acknowledged.set_exception(LinkError(self._lost))
            return acknowledged
        info = self._client.publish(topic, payload, qos=_QOS, retain=retain)
        if info.rc not in {MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN}:
            acknowledged.set_exception(LinkError(f"{topic}: {paho.error_string(info.rc)}"))
            return acknowledged
        # The callback for this mid is queued behind the present call, however fast the broker is.
        self._unacknowledged[info.mid] = acknowledged
        return acknowledged

    async def receive(self) -> Message:
        """The next message, in order of arrival.

        Raises:
            LinkError: When the connection is gone.
        """
        while not self._inbox:
            if self._lost is not None:
                raise LinkError(self._lost)
            self._stirred.clear()
            await self._stirred.wait()
        return self._inbox.popleft()

    async def close(self) -> None:
        """Say goodbye (no last will is sent) and stop paho's thread."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self._lose("closed")
        # paho closes its own pair of sockets when it is forgotten, which a cycle would put off: its
        # callbacks hold us, and so does what failed here. Nobody uses a lost connection.
        self._client.on_connect = self._client.on_disconnect = self._client.on_message = None
        self._client.on_publish = self._client.on_subscribe = None
        del self._client

    def _set_credentials(self) -> None:
        if self._mqtt.username is not None:
            self._client.username_pw_set(self._mqtt.username, _password(self._mqtt.password_file))
        if self._mqtt.tls is not None:
            tls = self._mqtt.tls
            self._client.tls_set(
                ca_certs=str(tls.ca),
                certfile=None if tls.cert is None else str(tls.cert),
                keyfile=None if tls.key is None else str(tls.key),
            )

    # Below: called in paho's thread. Each hands over to the loop and touches nothing else.

    def _on_connect(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._hand_over(self._consent, str(reason), reason.is_failure)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _userdata: object,
        _flags: paho.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._hand_over(self._lose, f"connection lost: {reason}")

    def _on_message(
        self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage
    ) -> None:
        self._hand_over(self._take_in, message.topic, message.payload)

    def _on_publish(
        self,
        _client: paho.Client,
        _userdata: object,
        mid: int,
        _reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        self._hand_over(self._acknowledge, mid)

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        self._hand_over(self._grant, tuple(not reason.is_failure for reason in reasons))

    def _hand_over(self, call: Callable[..., None], *args: object) -> None:
        # The loop is closed when the process is ending; then there is nobody to tell.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)

    # Below: called on the event loop.

    def _consent(self, reason: str, refused: bool) -> None:  # noqa: FBT001 -- paho's own flag
        if self._connected.done():
            return
        if refused:
            self._connected.set_exception(LinkError(f"the broker refused the connection: {reason}"))
        else:
            self._connected.set_result(None)

    def _grant(self, granted: tuple[bool, ...]) -> None:
        if not self._granted.done():
            self._granted.set_result(granted)

    def _lose(self, reason: str) -> None:
        if self._lost is not None:
            return
        self._lost = reason
        self._stirred.set()
        awaited: list[asyncio.Future[Any]] = [self._connected, self._granted]
        for waiting in (*awaited, *self._unacknowledged.values()):
            if not waiting.done():
                waiting.set_exception(LinkError(reason))
        self._unacknowledged.clear()

    def _take_in(self, topic: str, payload: bytes) -> None:
        if len(payload) > self._payload_bytes_max or len(self._inbox) == _INBOX_MAX:
            # Whatever is lost here is asked for again: heads at the next hello, receipts by `ask`.
            self._dropped += 1
            if self._dropped == 1:
                _log.warning("%s: %d bytes dropped, too long or too many", topic, len(payload))
            return
        self._inbox.append(Message(topic=topic, payload=payload))
        self._stirred.set()

    def _acknowledge(self, mid: int) -> None:
        waiting = self._unacknowledged.pop(mid, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)


def _seen(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()


def _password(path: Path | None) -> str | None:
    return None if path is None else path.read_text(encoding="utf-8").rstrip("\r\n")
