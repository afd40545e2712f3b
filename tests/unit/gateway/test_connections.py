"""A connection's bounds: heads, framing, waiting, how many there are; over a transport in memory."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from dermis.gateway import connections
from dermis.gateway.connections import BoundedConnection, Bounds, Connections, most_connections
from tests.support.clocks import run_jumping

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Wire(asyncio.Transport):
    """What the other end sees."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 5000), "sockname": ("127.0.0.1", 80)})
        self.sent = b""
        self.closed = False
        self.protocol: Any = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    @property
    def statuses(self) -> list[int]:
        return [int(line.split()[1]) for line in self.sent.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


class Server:
    """Connections to an application that answers 200 once it has read the body, and `/unread` without reading it."""

    def __init__(self, *, most: int = 100, most_per_address: int = 50, head_seconds: float = 5) -> None:
        self.refused: Counter[str] = Counter()
        bounds = Bounds(most=most, most_per_address=most_per_address, head_seconds=head_seconds)
        self.connections = Connections(bounds, lambda reason: self.refused.update([reason]))
        self.config = uvicorn.Config(self.answer, log_config=None, interface="asgi3", ws="none", proxy_headers=False)
        self.state = ServerState()
        self.go = asyncio.Event()
        self.headers: list[Any] = []
        self.streams_ended = 0

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        self.headers = scope["headers"]
        if scope["path"] == "/waits":
            await self.go.wait()
        if scope["path"] == "/streams":
            scope["state"]["connection"].may_give_way()
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
            )
            while (await receive())["type"] != "http.disconnect":
                pass
            self.streams_ended += 1
            return
        more = scope["path"] != "/unread"
        while more:
            message = await receive()
            more = message.get("more_body", False)
            if message["type"] == "http.disconnect":
                return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def connect(self, peer: str = "192.0.2.1") -> Wire:
        wire = Wire(peer)
        wire.protocol = BoundedConnection(self.connections, config=self.config, server_state=self.state, app_state={})
        wire.protocol.connection_made(wire)
        return wire


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_jumping(test())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def feed(wire: Wire, data: bytes, *, size: int = 65536) -> None:
    for start in range(0, len(data), size):
        wire.protocol.data_received(data[start : start + size])


FLOODS = {
    "one header": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200_000,
    "a header's name": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a" * 200_000,
    "many headers": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d: 1\r\n" % n for n in range(500)),
    "request line": b"GET /" + b"a" * 200_000,
    "empty lines": b"\r\n" * 100_000,
    "empty lines after an answer": GET + b"\r\n" * 100_000,
    "a chunk's extension": CHUNKED + b"1;" + b"a" * 200_000,
    "a trailer": CHUNKED + b"0\r\nX: " + b"a" * 200_000,
    "many trailers": CHUNKED + b"0\r\n" + b"x: 1\r\n" * 50_000,
    "chunks of one byte": CHUNKED + b"1\r\na\r\n" * 50_000,
    "leading zeros of a chunk's size": CHUNKED + b"0" * 200_000,
}


@pytest.mark.parametrize("size", [1000, 65536, 262144])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_what_is_no_body_is_bounded(flood: bytes, size: int) -> None:
    async def test() -> None:
        server = Server()
        wire = server.connect()
        feed(wire, flood, size=size)
        assert wire.statuses[-1] in (400, 431)
        assert b"application/problem+json" in wire.sent
        assert server.refused.total() == 1

    run(test)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 60_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"x%d: 1\r\n" % n for n in range(90)) + b"\r\n",
        CHUNKED + b"1\r\na\r\n" * 5_000 + b"0\r\n\r\n",
        CHUNKED + (b"400\r\n" + b"a" * 1024 + b"\r\n") * 10_000 + b"0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"a" * 3_000_000,
        GET * 60,
    ],
    ids=["60 KB of header", "90 headers", "small chunks", "many chunks", "a body", "pipelined"],
)
@pytest.mark.parametrize("size", [997, 262144])
def test_what_clients_send_passes(request_: bytes, size: int) -> None:
    async def test() -> None:
        server = Server()
        wire = server.connect()
        feed(wire, request_, size=size)
        for _ in range(10):
            await settle()
        assert set(wire.statuses) == {200}
        assert not server.refused

    run(test)


@pytest.mark.parametrize(
    "codings", [b"identity, chunked", b"gzip, chunked", b"chunked, chunked", b"chunked\r\nTransfer-Encoding: chunked"]
)
def test_a_body_is_chunked_or_has_a_length_and_nothing_else(codings: bytes) -> None:
    async def test() -> None:
        server = Server()
        wire = server.connect()
        feed(wire, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + codings + b"\r\n\r\n0\r\n\r\n" + GET)
        await settle()
        assert wire.statuses in ([501], [400])
        assert wire.closed or b"connection: close" in wire.sent

    run(test)


def test_a_trailer_is_no_header() -> None:
    async def test() -> None:
        server = Server()
        wire = server.connect()
        feed(wire, CHUNKED + b"0\r\nAuthorization: Bearer late\r\n\r\n")
        await settle()
        assert wire.statuses == [200]
        assert b"authorization" not in dict(server.headers)

    run(test)


@pytest.mark.parametrize(("first", "statuses"), [(b"", []), (b"GET / HTTP/1.1\r\nHo", [408]), (b"\r\n", [])])
def test_a_head_is_due_in_time_however_it_trickles(first: bytes, statuses: list[int]) -> None:
    async def test() -> None:
        server = Server(head_seconds=0.1)
        wire = server.connect()
        feed(wire, first)
        ends = asyncio.get_running_loop().time() + 0.3
        while asyncio.get_running_loop().time() < ends and not server.refused:
            await asyncio.sleep(0.02)
            if first.startswith(b"GET / HTTP/1.1\r\nHo") and not wire.closed:
                feed(wire, b"s")
        assert (wire.statuses, server.refused.total()) == (statuses, 1)

    run(test)


def test_a_byte_now_and_then_keeps_no_connection_after_an_answer() -> None:
    async def test() -> None:
        server = Server(head_seconds=0.1)
        wire = server.connect()
        feed(wire, GET)
        await settle()
        for _ in range(20):
            await asyncio.sleep(0.02)
            if not wire.closed:
                feed(wire, b"\r\n")
        assert (wire.statuses, wire.closed, server.refused) == ([200], True, {"NO_REQUEST": 1})

    run(test)


def test_a_body_that_never_comes_after_its_answer_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(connections, "_LINGER_S", 0.1)
        server = Server()
        wire = server.connect()
        feed(wire, b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(30):
            await asyncio.sleep(0.01)
            if not wire.closed:
                feed(wire, b"a")
        assert (wire.statuses, wire.closed) == ([200], True)

    run(test)


def test_an_answer_that_nobody_reads_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(connections, "_WRITE_S", 0.05)
        server = Server()
        read, unread = server.connect(), server.connect()
        for wire in (read, unread):
            wire.protocol.pause_writing()
        read.protocol.resume_writing()
        await asyncio.sleep(0.1)
        assert (read.closed, unread.closed) == (False, True)

    run(test)


def test_the_connection_that_waits_longest_gives_way_to_a_new_one() -> None:
    async def test() -> None:
        server = Server(most=5, most_per_address=3)
        one, two, three = (server.connect() for _ in range(3))
        feed(one, GET)  # waits anew, so it is the last to give way
        await settle()
        server.connect()
        await settle()
        assert [wire.closed for wire in (one, two, three)] == [False, True, False]
        for n in range(3):
            server.connect(f"192.0.2.{10 + n}")
            await settle()
        assert [wire.closed for wire in (one, two, three)] == [False, True, True]
        assert server.refused["CONNECTION_GAVE_WAY"] == 2

    run(test)


def test_where_all_are_in_use_a_new_one_is_refused_and_told_so() -> None:
    async def test() -> None:
        server = Server(most=2)
        used = [server.connect() for _ in range(2)]
        for wire in used:
            feed(wire, b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
        await settle()
        late = server.connect()
        assert late.statuses == [503]
        assert b"retry-after: " in late.sent
        server.go.set()
        await settle()
        assert [wire.statuses for wire in used] == [[200], [200]]

    run(test)


def test_where_all_are_streams_the_oldest_gives_way_whatever_it_still_sends() -> None:
    async def test() -> None:
        server = Server(most=3, most_per_address=0)
        first, *others = (server.connect(f"192.0.2.{n}") for n in range(3))
        for wire in (first, *others):
            feed(wire, b"GET /streams HTTP/1.1\r\nHost: a\r\n\r\n")
            await settle()
        feed(first, GET)  # the next request in line takes its room for granted no more than the stream does
        new = server.connect("192.0.2.9")
        feed(new, GET)
        await settle()
        assert new.statuses == [200]
        assert first.closed
        assert server.streams_ended == 1
        assert not any(wire.closed for wire in others)
        assert server.refused == {"CONNECTION_GAVE_WAY": 1}

    run(test)


@pytest.mark.parametrize("more", [b"", GET, GET * 3])
def test_a_stream_whose_client_is_gone_ends_whatever_came_after_it(more: bytes) -> None:
    async def test() -> None:
        server = Server()
        wire = server.connect()
        feed(wire, b"GET /streams HTTP/1.1\r\nHost: a\r\n\r\n" + more)
        await settle()
        wire.close()
        await settle()
        assert server.streams_ended == 1

    run(test)


def test_what_is_broken_behind_a_stream_is_not_answered_in_its_midst() -> None:
    async def test() -> None:
        server = Server()
        wire = server.connect()
        feed(wire, b"GET /streams HTTP/1.1\r\nHost: a\r\n\r\n")
        await settle()
        feed(wire, GET + b"broken\r\n\r\n")
        await settle()
        assert wire.statuses == [200]
        assert wire.closed
        assert server.streams_ended == 1

    run(test)


def test_a_stream_that_has_ended_leaves_an_ordinary_connection() -> None:
    async def test() -> None:
        server = Server(most=1)
        wire = server.connect()
        feed(wire, b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
        await settle()
        wire.protocol.may_give_way()
        server.go.set()
        await settle()
        server.go.clear()
        feed(wire, b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
        await settle()
        assert server.connect().statuses == [503]
        assert not wire.closed

    run(test)


def test_requests_in_line_on_one_connection_are_bounded() -> None:
    async def test() -> None:
        server = Server()
        wire = server.connect()
        feed(wire, b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n" + GET * 200)
        await settle()
        assert server.refused == {"PIPELINE_TOO_LONG": 1}

    run(test)


def test_closed_connections_are_forgotten() -> None:
    async def test() -> None:
        server = Server(most=2, most_per_address=1)
        for n in range(20):
            wire = server.connect(f"192.0.2.{n % 3}")
            feed(wire, GET)
            await settle()
            wire.close()
            await settle()
        assert not server.refused

    run(test)


def test_refusals_are_logged_once_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    several = Connections(Bounds(most=1, most_per_address=0, head_seconds=1), lambda _: None, clock=lambda: now[0])
    for _ in range(1000):
        several.note("HEADERS_TOO_LARGE")
    now[0] = 1.5
    several.note("HTTP_BROKEN")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "HEADERS_TOO_LARGE=999" in lines[1]


def test_the_descriptor_limit_is_raised_and_bounds_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [1024, 4096]
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: tuple(limits))  # type: ignore[attr-defined]
    monkeypatch.setattr(connections.resource, "setrlimit", lambda _, both: limits.__setitem__(slice(None), list(both)))  # type: ignore[attr-defined]
    assert most_connections(2000) == 2000
    assert limits[0] == 4096
    assert most_connections(10_000) == 4096 - 256
