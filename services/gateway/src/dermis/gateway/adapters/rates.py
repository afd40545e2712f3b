"""How often each caller calls: counted in Redis for all gateways together, in this process while Redis is gone."""

import functools
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis.asyncio
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from dermis.gateway.ports import Rate
from dermis.shared.telemetry import log

T = TypeVar("T")
_SOCKET_SECONDS = 0.5
_PAUSE_SECONDS = 2.0
_FAULTS = (redis.RedisError, OSError, TimeoutError)


class SharedRates:
    """Rates over Redis; after a failure Redis is left alone for two seconds and this process counts for itself."""

    def __init__(self, broker_url: str) -> None:
        self._pool = redis.asyncio.ConnectionPool.from_url(
            broker_url, socket_timeout=_SOCKET_SECONDS, socket_connect_timeout=_SOCKET_SECONDS
        )
        storage = RedisStorage(
            f"async+{broker_url}",
            implementation="redispy",
            key_prefix="dermis:rate",
            connection_pool=self._pool,  # type: ignore[arg-type]
        )
        self._shared = SlidingWindowCounterRateLimiter(storage)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._paused_until = 0.0

    async def hit(self, caller: str, *, per_minute: int) -> Rate:
        return await self._counted(functools.partial(_hit, caller=caller, per_minute=per_minute))

    async def wait(self, caller: str, *, per_minute: int) -> int:
        return await self._counted(functools.partial(_wait, caller=caller, per_minute=per_minute))

    async def _counted(self, count: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]) -> T:
        if time.monotonic() >= self._paused_until:
            try:
                return await count(self._shared)
            except _FAULTS as fault:
                self._paused_until = time.monotonic() + _PAUSE_SECONDS
                log.warning("rates are counted by this process alone", fault=type(fault).__name__)
        return await count(self._own)

    async def close(self) -> None:
        await self._pool.aclose()


async def _hit(limiter: SlidingWindowCounterRateLimiter, *, caller: str, per_minute: int) -> Rate:
    item = RateLimitItemPerMinute(per_minute)
    let_in = await limiter.hit(item, caller)
    stats = await limiter.get_window_stats(item, caller)
    return Rate(refused=not let_in, left=stats.remaining, reset_s=max(1, math.ceil(stats.reset_time - time.time())))


async def _wait(limiter: SlidingWindowCounterRateLimiter, *, caller: str, per_minute: int) -> int:
    item = RateLimitItemPerMinute(per_minute)
    if await limiter.test(item, caller):
        return 0
    return max(1, math.ceil((await limiter.get_window_stats(item, caller)).reset_time - time.time()))
