"""Posts to webhooks: to the address that was checked, with a deadline over all of it, and no redirect followed."""

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpcore
import httpx

from dermis.shared.addresses import Network, is_listed, may_be_reached
from dermis.worker.core.webhooks import ReceiverAnswer

MOST_ANSWER_BYTES = 1024
_KEPT_OPEN_S = 5.0


class AddressRefused(httpcore.ConnectError):
    """No address of the host is one that a webhook may go to."""


class _Call(threading.local):
    """The request that a thread makes: when it must be over, and whether it is encrypted."""

    ends = 0.0
    secure = True

    def left(self, timeout: float | None) -> float:
        left = self.ends - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(left, timeout)


class _Stream(httpcore.NetworkStream):
    """A stream whose every step ends with the request's deadline: an answer in drops holds nobody."""

    def __init__(self, stream: httpcore.NetworkStream, call: _Call) -> None:
        self._stream = stream
        self._call = call

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._call.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._call.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._call.left(timeout)), self._call)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _CheckedBackend(httpcore.NetworkBackend):
    """Looks a host up once and connects to what was looked up, so that a name can't change in between."""

    def __init__(self, networks: Sequence[Network], call: _Call) -> None:
        self._backend = httpcore.SyncBackend()
        self._networks = networks
        self._call = call

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        fault: httpcore.ConnectError = AddressRefused(host)
        for address in self._addresses(host, port):
            try:
                stream = self._backend.connect_tcp(
                    address, port, self._call.left(timeout), local_address, socket_options
                )
            except httpcore.ConnectError as error:
                fault = error
            else:
                return _Stream(stream, self._call)
        raise fault

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name is not known") from error
        addresses = list(dict.fromkeys(str(row[4][0]) for row in rows))
        if not self._call.secure:
            return [each for each in addresses if is_listed(each, self._networks)]
        return [each for each in addresses if may_be_reached(each, self._networks)]


class WebhookPoster:
    """Posts over connections that are kept for a few seconds; safe to use from several threads."""

    def __init__(self, *, networks: Sequence[Network], seconds: float) -> None:
        self._call = _Call()
        self._seconds = seconds
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            keepalive_expiry=_KEPT_OPEN_S,
            network_backend=_CheckedBackend(networks, self._call),
        )

    def post(self, url: str, headers: dict[str, str], body: bytes) -> ReceiverAnswer:
        """Return what became of it; no fault of the receiver's is raised."""
        self._call.ends = time.monotonic() + self._seconds
        self._call.secure = urlsplit(url).scheme == "https"
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)
        lines = {"host": urlsplit(url).netloc, "user-agent": "dermis-webhooks", **headers}
        try:
            with self._pool.stream(
                "POST", url, headers=list(lines.items()), content=body, extensions={"timeout": timeout}
            ) as response:
                _read_some(response)
                names = {name.lower(): value for name, value in response.headers}
                return ReceiverAnswer(status=response.status, retry_after=_seconds(names.get(b"retry-after", b"")))
        except AddressRefused:
            return ReceiverAnswer(fault="ADDRESS_REFUSED")
        except httpcore.TimeoutException:
            return ReceiverAnswer(fault="TIMEOUT")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, ssl.SSLError) as error:
            return ReceiverAnswer(fault=_name(error))

    def close(self) -> None:
        self._pool.close()


def _read_some(response: httpcore.Response) -> None:
    """Read a short body, after which the connection can be used again; of a longer one no more than its begin."""
    size = 0
    try:
        for chunk in response.iter_stream():
            size += len(chunk)
            if size >= MOST_ANSWER_BYTES:
                return
    except httpcore.TimeoutException:
        return  # the status has come, which counts


def _name(error: Exception) -> str:
    return "TLS" if isinstance(error, ssl.SSLError) or "SSL" in str(error) else type(error).__name__


def _seconds(text: bytes) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date; None without one."""
    value = text.decode("latin-1").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
