"""One connection: what the broker grants is looked at, not assumed."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from meterseal_agent.config.model import MqttConfig
from meterseal_agent.publish.link import Link, LinkError
from support.refusing_broker import refusing_broker

if TYPE_CHECKING:
    from collections.abc import Iterator


async def test_a_refused_subscription_is_named() -> None:
    async with refusing_broker(b"/receipt") as port:
        link = Link(MqttConfig(host="127.0.0.1", port=port), "device", ("will", b""), 1000)
        try:
            refused = await link.connect(("a/head", "a/receipt", "b/checkpoint"))
        finally:
            await link.close()

    assert refused == ("a/receipt",)


async def test_granted_subscriptions_are_not() -> None:
    async with refusing_broker(b"nothing") as port:
        link = Link(MqttConfig(host="127.0.0.1", port=port), "device", ("will", b""), 1000)
        try:
            assert await link.connect(("a/head",)) == ()
        finally:
            await link.close()


@pytest.fixture
def without_the_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_the_collector")
async def test_a_connection_that_is_over_leaves_nothing_behind() -> None:
    """A gateway whose broker drops it every minute makes thousands of connections a day."""
    async with refusing_broker(b"nothing") as port:
        link = Link(MqttConfig(host="127.0.0.1", port=port), "device", ("will", b""), 1000)
        client = weakref.ref(link._client)
        await link.connect(("a/head",))
        await link.close()
        del link

    assert client() is None


@pytest.mark.usefixtures("without_the_collector")
async def test_a_connection_that_was_refused_or_lost_leaves_nothing_behind() -> None:
    async with refusing_broker(b"nothing") as port:
        link = Link(MqttConfig(host="127.0.0.1", port=port), "device", ("will", b""), 1000)
        clients = [weakref.ref(link._client)]
        await link.connect(("a/head",))
        link._lose("the broker went away")
        with pytest.raises(LinkError, match="went away"):
            await link.receive()
        await link.close()
    absent = Link(MqttConfig(host="127.0.0.1", port=port), "device", ("will", b""), 1000)
    clients.append(weakref.ref(absent._client))
    with pytest.raises(LinkError, match="cannot connect"):
        await absent.connect(("a/head",))
    await absent.close()

    assert [client() for client in clients] == [None, None]
