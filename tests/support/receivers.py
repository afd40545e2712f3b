"""A receiver of webhooks on loopback, which verifies what comes with the publisher's own library."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Receiver:
    """What came to a receiver: `effects` by the event's id, one each, and `requests` with repeated ones."""

    secret: str
    port: int
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    effects: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def take(self, headers: dict[str, str], body: bytes) -> int:
        event = Webhook(self.secret).verify(body, headers)
        with self.changed:
            self.requests[headers["webhook-id"]] += 1
            if self.status < 300:
                self.effects.setdefault(headers["webhook-id"], event)
            self.changed.notify_all()
        return self.status

    def wait_for(self, events: int, *, within_s: float) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: len(self.effects) >= events, within_s)


@contextlib.contextmanager
def listening(receiver: Receiver) -> Iterator[Receiver]:
    """Serve a receiver at its port, or at a free one where that is 0, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of a sender that was killed."""

    server = Server(("127.0.0.1", receiver.port), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
