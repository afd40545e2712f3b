"""What a connection may cost: uvicorn's HTTP protocol with bounds on headers, on waiting and on how many there are."""

import asyncio
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from dermis.gateway.problems import MEDIA_TYPE, RETRY_AFTER_SECONDS, problem_of, title
from dermis.shared.telemetry import log

_SLICE = 16 * 1024
_MOST_HEAD_BYTES = 64 * 1024
_MOST_HEADERS = 100
_MOST_PIPELINED = 64
_LINGER_S = 30.0
_WRITE_S = 60.0
_LEAVE_S = 1.0
_MOST_DISCARDED = 128 * 1024 * 1024
_LOG_EVERY_S = 1.0
_SPARE_DESCRIPTORS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`most` connections, `most_per_address` of them from one address (0: no limit).

    A request's head is due in `head_seconds`.
    """

    most: int
    most_per_address: int
    head_seconds: float


class HttpRefusal(Exception):
    """Ends a connection with a status and a sentence."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.detail = detail


class Connections:
    """All connections of this process.

    Where there are too many, the one that has waited longest for a request gives way.
    """

    def __init__(
        self, bounds: Bounds, count: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.bounds = bounds
        self._count = count
        self._clock = clock
        self._per_address: Counter[str] = Counter()
        self._waiting: dict[str, dict[BoundedConnection, None]] = defaultdict(dict)
        self._all_waiting: dict[BoundedConnection, None] = {}
        self._unlogged: Counter[str] = Counter()
        self._logged_at = -_LOG_EVERY_S

    def add(self, connection: "BoundedConnection") -> None:
        """Take a connection in; Refusal if there are too many and none of them waits."""
        address, bounds = connection.address, self.bounds
        self._per_address[address] += 1
        if bounds.most_per_address and self._per_address[address] > bounds.most_per_address:
            self._make_room(
                self._waiting.get(address, {}), f"one address holds more than {bounds.most_per_address} connections"
            )
        if self._per_address.total() > bounds.most:
            self._make_room(self._all_waiting, f"there are more than {bounds.most} connections")

    def remove(self, connection: "BoundedConnection") -> None:
        self.not_waiting(connection)
        self._per_address[connection.address] -= 1
        if not self._per_address[connection.address]:
            del self._per_address[connection.address]

    def waits(self, connection: "BoundedConnection") -> None:
        """Note that a connection has no request in work, or a stream that can go on elsewhere: it may give way."""
        self._waiting[connection.address].setdefault(connection)
        self._all_waiting.setdefault(connection)

    def not_waiting(self, connection: "BoundedConnection") -> None:
        self._all_waiting.pop(connection, None)
        if waiting := self._waiting.get(connection.address):
            waiting.pop(connection, None)
            if not waiting:
                del self._waiting[connection.address]

    def note(self, reason: str) -> None:
        """Count what was refused, and log it once a second at most."""
        self._count(reason)
        self._unlogged[reason] += 1
        if self._clock() - self._logged_at >= _LOG_EVERY_S:
            log.warning("connections refused", **dict(self._unlogged))
            self._unlogged.clear()
            self._logged_at = self._clock()

    def _make_room(self, waiting: "dict[BoundedConnection, None]", why: str) -> None:
        oldest = next(iter(waiting), None)
        if oldest is None:
            raise HttpRefusal(503, "CONNECTIONS_BUSY", f"{why}, all of them in use; come again")
        self.note("CONNECTION_GAVE_WAY")
        self.not_waiting(oldest)
        oldest.end()


class BoundedConnection(HttpToolsProtocol):
    """One connection.

    A head (request line and headers) is bounded in bytes, fields and time, so is all framing of a body.

    Bytes that are neither body nor part of another message count as framing: 64 KiB of them and as many as the body has
    are taken, which holds for headers, trailers, chunk sizes and chunk extensions alike.
    """

    def __init__(self, connections: Connections, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._connections = connections
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._in_head = self._in_body = self._refused = self._resumable = False
        self._framing = self._body = self._begun = 0
        self._running: RequestResponseCycle | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        try:
            self._connections.add(self)
        except HttpRefusal as refusal:
            self._refuse(refusal)
        else:
            self._settle(begun=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)
        self._cancel_deadline()
        self._unset_keepalive_if_required()
        self._end_write_deadline()
        self._disconnect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discard(len(data))
            return
        self._unset_keepalive_if_required()
        try:
            for start in range(0, len(data), _SLICE):
                if self.transport.is_closing():
                    return
                self._feed(data[start : start + _SLICE])
        except HttpRefusal as refusal:
            self._refuse(refusal)
            return
        self._settle(begun=True)

    def on_message_begin(self) -> None:
        self._in_head, self._in_body = True, False
        self._framing = self._body = 0
        self._begun += 1
        super().on_message_begin()
        self.scope["state"]["connection"] = self

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: the request is with the application already
        if len(self.headers) >= _MOST_HEADERS:
            raise HttpRefusal(
                431, "HEADERS_TOO_MANY", f"the request has more than {_MOST_HEADERS} header fields; send fewer"
            )
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):
            detail = (
                "Transfer-Encoding names another coding than chunked, or more than one; send chunked alone or a length"
            )
            raise HttpRefusal(501, "TRANSFER_ENCODING", detail)
        super().on_headers_complete()
        if len(self.pipeline) > _MOST_PIPELINED:
            raise HttpRefusal(
                429,
                "PIPELINE_TOO_LONG",
                f"more than {_MOST_PIPELINED} requests wait for their answers; read some first",
            )

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._resumable = False
        super().on_response_complete()
        self._settle(begun=self._in_head)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._end_write_deadline()
        self._write_deadline = self.loop.call_later(_WRITE_S, self._end_unread)

    def resume_writing(self) -> None:
        self._end_write_deadline()
        super().resume_writing()

    def may_give_way(self) -> None:
        """Let this connection be closed where another needs its room: its client goes on with the stream anew."""
        self._resumable = True
        self._settle(begun=False)

    def end(self) -> None:
        """Close the connection: it has no request in work, or one that its client goes on with."""
        self._cancel_deadline()
        if self._resumable:
            self.transport.abort()  # what its client doesn't read would keep it open
        elif not self.transport.is_closing():
            self.transport.close()

    def _feed(self, data: bytes) -> None:
        fresh, body = not (self._in_head or self._in_body), self._body
        self._begun = 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # no other protocol is spoken: the request is answered in this one
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, HttpRefusal):
                raise error.__context__ from None
            raise HttpRefusal(400, "HTTP_BROKEN", "this is no HTTP/1.1 request; send one by RFC 9112") from None
        if not self._begun:
            self._framing += len(data) - (self._body - body)
        elif fresh and self._begun == 1:
            self._framing = len(data) - self._body
        if self._framing > _MOST_HEAD_BYTES + self._body:
            what = "request line and headers hold" if self._in_head else "chunk sizes, extensions and trailers hold"
            raise HttpRefusal(431, "HEADERS_TOO_LARGE", f"{what} more than {_MOST_HEAD_BYTES:,} bytes; send less")

    def _settle(self, *, begun: bool) -> None:
        """Leave the connection to its request, or give it the time in which one is due.

        `begun` says that a part of it has come.
        """
        if self._refused or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._cancel_deadline()
            if self._resumable:
                self._connections.waits(self)
            else:
                self._connections.not_waiting(self)
            return
        self._connections.waits(self)
        if self._in_body:  # of a request that is answered: what still comes is let go, if it comes soon
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        if self._deadline is None and (begun or self._in_body):
            seconds = _LINGER_S if self._in_body else self._connections.bounds.head_seconds
            self._deadline = self.loop.call_later(seconds, self._end_late)

    def _end_late(self) -> None:
        if self._in_head:
            seconds = self._connections.bounds.head_seconds
            self._refuse(
                HttpRefusal(
                    408, "HEADERS_TOO_SLOW", f"request line and headers did not come within {seconds:g} s; try again"
                )
            )
        else:
            self._connections.note("NO_REQUEST")
            self.end()

    def _end_unread(self) -> None:
        self._connections.note("ANSWER_NOT_READ")
        self.transport.abort()

    def _refuse(self, refusal: HttpRefusal) -> None:
        """Answer, where no answer is under way, and leave a moment to read it."""
        self._refused = True
        self._cancel_deadline()
        self._connections.not_waiting(self)
        self._connections.note(refusal.reason)
        self.pipeline.clear()
        running = self._disconnect()
        if self.transport.is_closing() or (running and running.response_started):
            self.transport.abort()
            return
        self.transport.write(self._answer(refusal))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._deadline = self.loop.call_later(_LEAVE_S, self.transport.abort)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _disconnect(self) -> RequestResponseCycle | None:
        """Tell the request in work, if any, that nobody waits for it, and return it; uvicorn tells the last alone."""
        running = self._running
        if running is None or running.response_complete:
            return None
        running.disconnected = True
        running.message_event.set()
        return running

    def _discard(self, count: int) -> None:
        """Let a client that still sends come to its answer, up to a limit."""
        self._framing += count
        if self._framing > _MOST_DISCARDED:
            self.flow.pause_reading()

    def _answer(self, refusal: HttpRefusal) -> bytes:
        body = problem_of(refusal.status, refusal.reason, refusal.detail).model_dump_json().encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
        ]
        if refusal.status in (429, 503):
            headers.append((b"retry-after", b"%d" % RETRY_AFTER_SECONDS))
        lines = [
            b"HTTP/1.1 %d %s" % (refusal.status, title(refusal.status).encode()),
            *(b"%s: %s" % header for header in headers),
        ]
        return b"\r\n".join([*lines, b"connection: close", b"", body])

    def _cancel_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _end_write_deadline(self) -> None:
        if self._write_deadline:
            self._write_deadline.cancel()
            self._write_deadline = None


def most_connections(wanted: int) -> int:
    """Raise this process's limit of descriptors as far as it goes.

    Return how many of `wanted` connections it then has room for.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted + _SPARE_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    most = max(1, min(wanted, limit - _SPARE_DESCRIPTORS))
    if most < wanted:
        log.warning("fewer connections than set", most=most, wanted=wanted, descriptors=limit)
    return most
