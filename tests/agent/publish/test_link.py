"""One connection: what the broker grants is looked at, not assumed."""

from __future__ import annotations

from meterseal_agent.config.model import MqttConfig
from meterseal_agent.publish.link import Link
from support.refusing_broker import refusing_broker


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
