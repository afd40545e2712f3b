"""How the client reaches the gateway: the same few verbs on a blocking and on an asyncio HTTP client.

All the client's logic awaits these verbs. Those of `BlockingConnection` never suspend, so that `blocking.finish` can
run the logic to its end without an event loop.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any, Protocol

import httpx

from dermis.client.errors import ApiError

LONG_POLL_S = 20
TIMEOUT_S = 30.0
"""Of a call, tries and waits between them together, unless it or the client says otherwise."""
TIMEOUT = httpx.Timeout(LONG_POLL_S + 10, connect=10)


class Connection(Protocol):
    url: str

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Request: ...
    async def send(self, request: httpx.Request) -> httpx.Response:
        """Return the answer with its body unread."""

    async def read(self, response: httpx.Response) -> None: ...
    def lines(self, response: httpx.Response) -> AsyncGenerator[str, None]: ...
    async def end(self, response: httpx.Response) -> None: ...
    async def sleep(self, seconds: float) -> None: ...
    async def close(self) -> None: ...


class AsyncConnection:
    """An asyncio connection; URL: `url` is none."""

    def __init__(self, url: str, key: str | None, transport: httpx.AsyncBaseTransport | None) -> None:
        self.url = base_url(url)
        self._client = httpx.AsyncClient(base_url=self.url, headers=headers(key), timeout=TIMEOUT, transport=transport)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Request:
        return self._client.build_request(method, path, **arguments)

    async def send(self, request: httpx.Request) -> httpx.Response:
        return await self._client.send(request, stream=True)

    async def read(self, response: httpx.Response) -> None:
        await response.aread()

    async def lines(self, response: httpx.Response) -> AsyncGenerator[str, None]:
        async for line in response.aiter_lines():
            yield line

    async def end(self, response: httpx.Response) -> None:
        await response.aclose()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        await self._client.aclose()


class BlockingConnection:
    """A connection whose verbs block; URL: `url` is none."""

    def __init__(self, url: str, key: str | None, transport: httpx.BaseTransport | None) -> None:
        self.url = base_url(url)
        self._client = httpx.Client(base_url=self.url, headers=headers(key), timeout=TIMEOUT, transport=transport)

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Request:
        return self._client.build_request(method, path, **arguments)

    async def send(self, request: httpx.Request) -> httpx.Response:
        return self._client.send(request, stream=True)

    async def read(self, response: httpx.Response) -> None:
        response.read()

    async def lines(self, response: httpx.Response) -> AsyncGenerator[str, None]:
        for line in response.iter_lines():
            yield line

    async def end(self, response: httpx.Response) -> None:
        response.close()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 (this connection blocks)

    async def close(self) -> None:
        self._client.close()


def timeouts(left: float) -> dict[str, float | None]:
    """Return the limits of a request, as httpx has them, that has `left` seconds."""
    usual = TIMEOUT.as_dict()
    return {name: min(limit or left, max(0.001, left)) for name, limit in usual.items()}


def base_url(text: str) -> str:
    """Return the gateway's URL without a slash at its end; URL says what is wrong with it."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as fault:
        raise ApiError("URL", f"{text!r} is no URL ({fault}); write http://host:port") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ApiError("URL", f"url {text!r} is no address of a gateway; write http://host:port")
    return text.rstrip("/")


def headers(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
