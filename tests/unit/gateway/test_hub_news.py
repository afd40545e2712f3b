"""News of cases from the broker to those who wait, whatever comes in between."""

import asyncio
from typing import Any

import pytest

from dermis.gateway.adapters import broker
from dermis.gateway.adapters.broker import RedisBroker
from dermis.gateway.hub import Hub


@pytest.mark.parametrize("fault", [ConnectionError("gone"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no UTF-8")])
def test_the_feed_goes_on_after_any_fault_and_nobody_relies_on_it_meanwhile(monkeypatch: Any, fault: Exception) -> None:
    monkeypatch.setattr(broker, "_SOCKET_SECONDS", 0.01)
    seen: list[bool] = []

    async def breaks_off(_self: RedisBroker, hub: Hub) -> None:
        seen.append(hub.fed)
        hub.fed = True
        raise fault

    async def feed_for_three_rounds() -> bool:
        fed, redis = Hub(), RedisBroker("redis://127.0.0.1:1/0")
        feed = asyncio.create_task(redis.feed(fed))
        async with asyncio.timeout(5):
            while len(seen) < 3 and not feed.done():
                await asyncio.sleep(0.01)
        alive = not feed.done()
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)
        await redis.close()
        return alive

    monkeypatch.setattr(RedisBroker, "_feed", breaks_off)
    assert asyncio.run(feed_for_three_rounds())
    assert seen[:3] == [False, False, False]
