"""A gateway inside the process, called through both clients."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from dermis.client import AsyncClient, Client, connection

CASE: dict[str, Any] = {
    "id": "case_1",
    "status": "RECEIVED",
    "received_at": "2026-01-02T03:04:05Z",
    "assessed_at": None,
    "images": [],
    "self_report": {"textures": ["FLAT"]},
    "outcome": None,
    "guidance": None,
    "failure": None,
    "notice": "n",
}
Reply = httpx.Response | Exception
Call = Callable[..., Any]


class Gateway:
    """Replies in turn, the last for ever; `asked` holds each request, `slept` the seconds that were waited."""

    def __init__(self, call: Callable[["Gateway", str, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        self.replies: list[Reply] = []
        self.asked: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.slept: list[float] = []
        self._call = call

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        self.bodies.append(request.read())
        reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        if not reply.is_closed:  # a stream that breaks: it is not there as a whole
            return reply
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

    async def handle_async(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return self.handle(request)

    def call(self, method: str, *arguments: Any, replies: Sequence[Reply], **named: Any) -> Any:
        """Call a method of the client; what it yields comes as a list."""
        self.replies = list(replies)
        return self._call(self, method, arguments, named)


def _blocking(gateway: Gateway, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    with Client("http://gateway/", key="key_1.secret", transport=httpx.MockTransport(gateway.handle)) as client:
        result = getattr(client, method)(*arguments, **named)
        return list(result) if inspect.isgenerator(result) else result


def _asynchronous(gateway: Gateway, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    async def run() -> Any:
        async with AsyncClient(
            "http://gateway/", key="key_1.secret", transport=httpx.MockTransport(gateway.handle_async)
        ) as client:
            result = getattr(client, method)(*arguments, **named)
            return [each async for each in result] if inspect.isasyncgen(result) else await result

    return asyncio.run(run())


@pytest.fixture(params=[_blocking, _asynchronous], ids=["Client", "AsyncClient"])
def gateway(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway(request.param)

    async def sleep(_: object, seconds: float) -> None:
        made.slept.append(seconds)

    monkeypatch.setattr(connection.BlockingConnection, "sleep", sleep)
    monkeypatch.setattr(connection.AsyncConnection, "sleep", sleep)
    return made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "arm.jpg"
    path.write_bytes(b"jpeg")
    return path
