"""`Client`: the calls of `AsyncClient` for programs without an event loop."""

import functools
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from dermis.client.asynchronous import Api
from dermis.client.connection import TIMEOUT_S, BlockingConnection

P = ParamSpec("P")
T = TypeVar("T")


def finish(awaitable: Awaitable[T]) -> T:
    """Run what never suspends to its end and return its result."""
    try:
        awaitable.__await__().send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a blocking connection suspended")


def _call(method: Callable[Concatenate[Api, P], Awaitable[T]]) -> "Callable[Concatenate[Client, P], T]":
    @functools.wraps(method)
    def call(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return finish(method(client._api, *args, **kwargs))

    return call


def _iterate(
    method: Callable[Concatenate[Api, P], AsyncGenerator[T, None]],
) -> "Callable[Concatenate[Client, P], Iterator[T]]":
    @functools.wraps(method)
    def iterate(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        items = method(client._api, *args, **kwargs)
        try:
            while True:
                yield finish(anext(items))
        except StopAsyncIteration:
            return
        finally:
            finish(items.aclose())

    return iterate


class Client:
    """The gateway at `url`, called with an API key if one is given; see `Api` for what is sent again.

    Threads may share it.

    >>> with Client("http://127.0.0.1:8080") as client:
    ...     case = client.assess(["arm.jpg"], report={"related_category": "RASH"})
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._connection = BlockingConnection(url, key, transport)
        self._api = Api(self._connection, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        finish(self._connection.close())

    assess = _call(Api.assess)
    submit = _call(Api.submit)
    wait = _call(Api.wait)
    events = _iterate(Api.events)
    case = _call(Api.case)
    cases = _iterate(Api.cases)
    erase = _call(Api.erase)
    image = _call(Api.image)
    heatmap = _call(Api.heatmap)
    give_feedback = _call(Api.give_feedback)
    check_image = _call(Api.check_image)
    conditions = _call(Api.conditions)
    test_images = _call(Api.test_images)
    test_image = _call(Api.test_image)
    models = _call(Api.models)
    evaluation = _call(Api.evaluation)
    promotions = _iterate(Api.promotions)
    create_batch = _call(Api.create_batch)
    batch = _call(Api.batch)
    wait_for_batch = _call(Api.wait_for_batch)
    batches = _iterate(Api.batches)
    batch_results = _iterate(Api.batch_results)
    erase_batch = _call(Api.erase_batch)
    upload = _call(Api.upload)
    upload_state = _call(Api.upload_state)
    delete_upload = _call(Api.delete_upload)
    create_webhook = _call(Api.create_webhook)
    webhooks = _call(Api.webhooks)
    delete_webhook = _call(Api.delete_webhook)
    rotate_webhook_secret = _call(Api.rotate_webhook_secret)
    webhook_deliveries = _iterate(Api.webhook_deliveries)
    replay_delivery = _call(Api.replay_delivery)
