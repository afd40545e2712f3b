"""An HTTP proxy that answers busy, drops, delays and cuts as it is told to, and counts what reaches the server."""

import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass(kw_only=True)
class HttpFault:
    """What happens to the next `times` requests of `method` whose path begins with `path`.

    `status` with `headers` and `body`: answered so, and not passed on. `drop`: the connection ends "before" the request
    is passed on or "after" it was answered. `cut_after`: it ends when that share of the body was passed on. `delay_s`:
    it is passed on so much later. `events`: the answer's connection ends after so many server-sent events. `skip`: so
    many requests come through before the first that is touched.
    """

    method: str = ""
    path: str = ""
    times: int = 1
    status: int | None = None
    headers: dict[str, str] | None = None
    body: Any = None
    drop: str = ""
    cut_after: float | None = None
    skip: int = 0
    delay_s: float = 0
    events: int | None = None


class FaultyProxy:
    """Forwards HTTP to `target` ("http://host:port") with the faults of `faults`, each once its turn comes."""

    def __init__(self, target: str) -> None:
        self.faults: list[HttpFault] = []
        self.passed: list[tuple[str, str]] = []
        """Method and path of each request that reached the server."""
        self.sent_bytes = 0
        """Of the bodies of all PATCH requests that reached the server, as far as they did."""
        self.asked: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, urlsplit(target).netloc))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def begin(self, faults: list[HttpFault]) -> None:
        """Forget what was asked, and set what happens from now on."""
        with self._lock:
            self.faults, self.passed, self.asked, self.sent_bytes = faults, [], [], 0

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault_of(self, method: str, path: str) -> HttpFault:
        """Return the first fault that is left for a request, one without any effect where none is."""
        with self._lock:
            self.asked.append((method, path))
            for fault in self.faults:
                if fault.times and fault.method in ("", method) and path.startswith(fault.path):
                    if fault.skip:
                        fault.skip -= 1
                        break
                    fault.times -= 1
                    return fault
        return HttpFault()

    def pass_on(self, method: str, path: str, sent_bytes: int) -> None:
        with self._lock:
            self.passed.append((method, path))
            self.sent_bytes += sent_bytes if method == "PATCH" else 0


def _handler(proxy: FaultyProxy, target: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def handle_request(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.fault_of(self.command, self.path)
            if fault.drop == "before":
                return self.end()
            if fault.status:
                content = fault.body if isinstance(fault.body, str) else json.dumps(fault.body or {})
                return self.answer(fault.status, fault.headers or {}, content.encode())
            time.sleep(fault.delay_s)
            upstream = http.client.HTTPConnection(target, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection",)}
            if fault.cut_after is not None:
                return self.cut(upstream, headers, body[: int(len(body) * fault.cut_after)])
            proxy.pass_on(self.command, self.path, len(body))
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            if response.headers.get_content_type() == "text/event-stream":
                self.stream(response, fault.events)
            else:
                data = response.read()
                if fault.drop == "after":
                    return self.end()
                self.answer(response.status, dict(response.headers.items()), data)
            upstream.close()
            return None

        do_GET = do_POST = do_DELETE = do_PATCH = do_HEAD = do_PUT = do_OPTIONS = handle_request

        def cut(self, upstream: http.client.HTTPConnection, headers: dict[str, str], body: bytes) -> None:
            """Pass a part of a body on; end both connections once the server has had time to see its end."""
            proxy.pass_on(self.command, self.path, len(body))
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
            time.sleep(0.1)
            upstream.close()
            time.sleep(0.3)
            self.end()

        def answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            if self.command != "HEAD" and status not in (204, 304):
                self.send_header("Content-Length", str(len(data)))
            with contextlib.suppress(ConnectionError):  # the client has given up meanwhile
                self.end_headers()
                self.wfile.write(data)

        def stream(self, response: http.client.HTTPResponse, most: int | None) -> None:
            self.send_response(response.status)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            events = 0
            while line := response.readline():
                self.wfile.write(line)
                self.wfile.flush()
                events += line.startswith(b"data:")
                if most is not None and events >= most and line == b"\n":
                    return

        def end(self) -> None:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
