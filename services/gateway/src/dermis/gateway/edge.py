"""Around every request: security headers, one log line, and nothing unforeseen let through."""

import time

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermis.gateway.metrics import Metrics
from dermis.gateway.problems import SCOPE_KEY, internal_problem
from dermis.shared.telemetry import log

CALLER_KEY = "dermis.caller"
"""Where the request's scope holds who calls."""
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
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_PROBES = ("/livez", "/readyz", "/metrics")


class Edge:
    """ASGI middleware; log and metrics name the route, never the path, which may hold anything."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(MutableHeaders(scope=message), scope)
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
            self._note(scope, status, time.perf_counter() - start)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        problem = scope.get(SCOPE_KEY, {})
        (log.debug if route in _PROBES else log.info)(
            "request", method=method, route=route, status=status, ms=round(seconds * 1000, 1), **problem
        )
        self._metrics.answered(method=method, route=route, status=status, seconds=seconds)
        if problem:
            self._metrics.problem(problem["reason"])


def _complete(headers: MutableHeaders, scope: Scope) -> None:
    path, caller = scope["path"], scope.get(CALLER_KEY)
    for name, value in caller.rate_headers if caller else ():
        headers[name] = value
    for name, value in _HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-cache" if path in _CACHEABLE or path.startswith("/assets/") else "no-store")
