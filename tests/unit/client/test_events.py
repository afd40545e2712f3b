"""A case followed by server-sent events."""

import json
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from dermis.client import ApiError
from dermis.client.events import EventParser
from tests.unit.client.conftest import CASE, Gateway


def event(ordinal: int, name: str, status: str) -> bytes:
    return f"id: {ordinal}\nevent: {name}\ndata: {json.dumps(CASE | {'status': status})}\n\n".encode()


START = b"retry: 1000\n\n:\n\n"


class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self.content
        raise httpx.ReadError("cut")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.content
        raise httpx.ReadError("cut")


def broken(content: bytes) -> httpx.Response:
    return httpx.Response(200, stream=Broken(content))


def stream(content: bytes) -> httpx.Response:
    return httpx.Response(200, content=content, headers={"Content-Type": "text/event-stream"})


def test_events_come_until_the_case_ends(gateway: Gateway) -> None:
    whole = (
        START + event(1, "received", "RECEIVED") + event(2, "assessed", "ASSESSED") + event(1000, "outcome", "FINISHED")
    )
    events = gateway.call("events", "case_1", replies=[stream(whole)])
    assert [(each.id, each.name, each.case.status) for each in events] == [
        (1, "received", "RECEIVED"),
        (2, "assessed", "ASSESSED"),
        (1000, "outcome", "FINISHED"),
    ]
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("first", [stream, broken], ids=["ended", "cut"])
def test_a_stream_that_breaks_goes_on_after_the_last_event(
    gateway: Gateway, first: Callable[[bytes], httpx.Response]
) -> None:
    replies = [first(START + event(1, "received", "RECEIVED")), stream(START + event(1000, "outcome", "FINISHED"))]
    assert [each.name for each in gateway.call("events", "case_1", replies=replies)] == ["received", "outcome"]
    assert [request.headers.get("Last-Event-ID") for request in gateway.asked] == [None, "1"]


def test_where_nothing_is_left_there_are_no_events(gateway: Gateway) -> None:
    assert gateway.call("events", "case_1", replies=[httpx.Response(204)]) == []


def test_an_erased_case_has_no_more_of_itself(gateway: Gateway) -> None:
    erased = b'id: 1001\nevent: erased\ndata: {"id":"case_1","status":"ERASED"}\n\n'
    (only,) = gateway.call("events", "case_1", replies=[stream(START + erased)])
    assert (only.name, only.case) == ("erased", None)


def test_a_gateway_that_stays_away_ends_it(gateway: Gateway) -> None:
    with pytest.raises(ApiError) as caught:
        gateway.call("events", "case_1", replies=[httpx.ConnectError("refused")])
    assert caught.value.reason == "NO_GATEWAY"
    assert len(gateway.asked) == 4


def test_data_on_several_lines_is_one() -> None:
    parser = EventParser()
    lines = ["id:3", "event: erased", 'data: {"id":', 'data: "case_1"}']
    assert [parser.feed(line) for line in lines] == [None] * 4
    found = parser.feed("")
    assert found is not None
    assert found.id == 3
