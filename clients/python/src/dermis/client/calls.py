"""How a call is sent, what is sent again, and how its answer is read."""

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from dermis.client import retry
from dermis.client.connection import Connection, timeouts
from dermis.client.errors import ApiError, error_of

M = TypeVar("M", bound=BaseModel)
AGAIN_S = 1.0
"""Seconds until a busy gateway is asked again where it does not say when, and between two looks at a batch."""


class Calls:
    """What every call does over a connection. `timeout` is in seconds; every failure is an `ApiError`."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout

    async def _pages(self, path: str, kind: type[M], **params: Any) -> AsyncGenerator[M, None]:
        cursor: str | None = ""
        while cursor is not None:
            page = read(await self._call("GET", path, params=params | ({"cursor": cursor} if cursor else {})), kind)
            yield page
            cursor = getattr(page, "next_cursor", None)

    async def _get(self, path: str, kind: type[M]) -> M:
        return read(await self._call("GET", path), kind)

    async def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        return await self._answer(self._connection.request(method, path, **arguments), timeout=self._timeout)

    async def _answer(
        self, request: httpx.Request, *, timeout: float, attempts: int = retry.MOST_ATTEMPTS
    ) -> httpx.Response:
        """Return a successful answer with its body; see `Api` for what is sent again.

        `attempts`: how often at most where the connection fails.
        """
        deadline = time.monotonic() + timeout
        attempt = 1
        while True:
            request.extensions["timeout"] = timeouts(deadline - time.monotonic())
            try:
                async with self._stream(request, checked=False) as response:
                    await self._connection.read(response)
            except httpx.RequestError as fault:
                attempt += 1
                wait = retry.wait_before(attempt)
                if attempt > attempts or not retry.is_lost(request, fault) or time.monotonic() + wait > deadline:
                    raise self._lost(fault) from fault
            else:
                wait = retry.retry_after(response, AGAIN_S)
                if response.is_success:
                    return response
                if not retry.is_busy(request, response) or time.monotonic() + wait > deadline:
                    raise error_of(response)
            await self._connection.sleep(wait)

    @contextlib.asynccontextmanager
    async def _stream(self, request: httpx.Request, *, checked: bool = True) -> AsyncIterator[httpx.Response]:
        """Send a request and give the answer before its body; `checked`: raise the problem that it may be."""
        response = await self._connection.send(request)
        try:
            if checked and not response.is_success:
                await self._connection.read(response)
                raise error_of(response)
            yield response
        finally:
            await self._connection.end(response)

    def _lost(self, fault: httpx.RequestError) -> ApiError:
        url = self._connection.url
        if isinstance(fault, httpx.ConnectError | httpx.ConnectTimeout):
            return ApiError(
                "NO_GATEWAY", f"nothing answers at {url}; start dermis there (`dermis up`), or correct the address"
            )
        return ApiError("NO_ANSWER", f"{url}: {str(fault) or type(fault).__name__}")


def read(response: httpx.Response, kind: type[M]) -> M:
    try:
        return kind.model_validate_json(response.content)
    except ValidationError:
        raise error_of(response) from None
