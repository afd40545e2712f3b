"""Rates over a real Redis that comes and goes."""

import asyncio
import time

from dermis.gateway.adapters import rates
from dermis.gateway.adapters.rates import SharedRates
from tests.support.servers import free_port, redis_server


def test_gateways_count_together_with_redis_and_each_for_itself_without() -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"

    async def both() -> None:
        first, second = SharedRates(url), SharedRates(url)
        with redis_server(port=port):
            answers = [await gateway.hit("key:a", per_minute=3) for gateway in (first, second, first, second)]
            assert [answer.refused for answer in answers] == [False, False, False, True]
            assert [answer.left for answer in answers] == [2, 1, 0, 0]
            assert all(1 <= answer.reset_s <= 60 for answer in answers)
            assert not (await first.hit("key:b", per_minute=3)).refused
        begun = time.monotonic()
        alone = [await first.hit("key:a", per_minute=3) for _ in range(4)]
        assert [answer.refused for answer in alone] == [False, False, False, True]
        assert time.monotonic() - begun < 4 * rates._SOCKET_SECONDS
        with redis_server(port=port):
            await asyncio.sleep(rates._PAUSE_SECONDS)
            assert (await first.hit("key:a", per_minute=3)).left == 2  # Redis again, which forgot
        await first.close()
        await second.close()

    asyncio.run(both())
