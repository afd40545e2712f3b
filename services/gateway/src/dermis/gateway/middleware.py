"""Wraps every request: adds security headers, writes one log line, and answers what nobody foresaw with a problem."""

import time
from contextlib import AbstractContextManager, nullcontext

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermis.gateway.metrics import GatewayMetrics
from dermis.gateway.problems import SCOPE_KEY, internal_problem
from dermis.shared.api_keys import Scope as KeyScope
from dermis.shared.audit import Act, Audit
from dermis.shared.ids import new_id
from dermis.shared.telemetry import log
from dermis.shared.tracing import received_from, span

TUS_VERSION = "1.0.0"
"""Of the protocol by which uploads are resumed (https://tus.io/protocols/resumable-upload)."""
CALLER_KEY = "dermis.caller"
"""Where the request's scope holds who calls."""
HEAD_KEY = "dermis.head"
"""In the request's scope where HEAD is answered as GET."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_CACHEABLE = ("/", "/assets", "/openapi.json")
_AUDITED = {"GET": Act.READ, "HEAD": Act.READ, "DELETE": Act.ERASE}
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_UPLOADING = ("POST", "PUT", "PATCH")
_PROBES = ("/livez", "/readyz", "/metrics")
_REQUEST_ID = "dermis.request_id"


class HeadAsGet:
    """ASGI middleware: HEAD is answered as GET is, without the body (RFC 9110, 9.3.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            scope["method"] = "HEAD"  # the server asks for it when it frames the answer
            if message["type"] == "http.response.start":
                await send(message)
                return
            await send({"type": "http.response.body"})
            raise _HeadSentError

        scope["method"], scope[HEAD_KEY] = "GET", True
        try:
            await self._app(scope, receive, send_head)
        except (_HeadSentError, ClientDisconnect):
            pass
        finally:
            scope["method"] = "HEAD"


class _HeadSentError(OSError):
    """Ends a response, a stream too, of which nothing more is to be sent."""


class Edge:
    """ASGI middleware; log and metrics name the route, never the path, which may hold anything."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics, audit: Audit) -> None:
        self._app = app
        self._metrics = metrics
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with _traced(scope) as current:
            await self._answer(scope, receive, send, current)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, current: Span) -> None:
        start = time.perf_counter()
        status, streams = 0, False
        scope[_REQUEST_ID] = new_id("request")

        async def send_with_headers(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                streams = headers.get("content-type", "").startswith("text/event-stream")
                _complete(headers, scope)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass
        except Exception as error:  # noqa: BLE001 (the last net)
            response = internal_problem(Request(scope), error)
            if not status:
                await response(scope, receive, send_with_headers)
        finally:
            current.update_name(f"{_method(scope)} {_route(scope)}")
            current.set_attribute("http.response.status_code", status)
            self._note(scope, status, time.perf_counter() - start, paced_by=_paced_by(scope, streams=streams))

    def _note(self, scope: Scope, status: int, seconds: float, *, paced_by: str) -> None:
        route, method = _route(scope), _method(scope)
        problem = scope.get(SCOPE_KEY, {})
        (log.debug if route in _PROBES else log.info)(
            "request",
            id=scope[_REQUEST_ID],
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            **problem,
        )
        self._metrics.answered(method=method, route=route, status=status, seconds=seconds, paced_by=paced_by)
        caller = scope.get(CALLER_KEY)
        if caller and caller.scope != KeyScope.MODELS_READ and method in _AUDITED and 200 <= status < 400:
            mode = {} if caller.livemode else {"mode": "test"}
            self._audit.note(_AUDITED[method], by=caller.key_id, route=route, **mode, **scope.get("path_params", {}))
        if problem:
            self._metrics.problem(problem["reason"])


def _traced(scope: Scope) -> AbstractContextManager[Span]:
    """Begin the request's part of a trace, or none for a probe."""
    if scope["path"] in _PROBES:
        return nullcontext(INVALID_SPAN)
    headers = Headers(scope=scope)
    carrier = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    return span(_method(scope), kind=SpanKind.SERVER, context=received_from(carrier))


def _route(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "none"))


def _paced_by(scope: Scope, *, streams: bool) -> str:
    """Return whether the time of an answer is the server's alone.

    An upload takes as long as the client's line, and who prefers to wait, or reads events, waits for the case.
    """
    waits = streams or "prefer" in Headers(scope=scope)
    return "client" if waits or scope["method"] in _UPLOADING else "server"


def _method(scope: Scope) -> str:
    return str(scope["method"]) if scope["method"] in _METHODS else "OTHER"


def _complete(headers: MutableHeaders, scope: Scope) -> None:
    path, caller = scope["path"], scope.get(CALLER_KEY)
    for name, value in caller.rate_headers if caller else ():
        headers[name] = value
    headers["X-Request-Id"] = scope[_REQUEST_ID]
    if path.startswith("/v1/uploads"):
        headers["Tus-Resumable"] = TUS_VERSION
    for name, value in _HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-cache" if path in _CACHEABLE or path.startswith("/assets/") else "no-store")
