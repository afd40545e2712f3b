"""Checks a request before any route: its host, its origin, its client's address, and its body's pace."""

import functools

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermis.gateway.bodies import Pace
from dermis.gateway.core.address import client_address
from dermis.gateway.core.origin import is_cross_site, is_served
from dermis.gateway.problems import respond
from dermis.gateway.sessions import has_session
from dermis.gateway.settings import GatewaySettings
from dermis.shared.telemetry import log


@functools.cache
def _tell_unstated_proxy() -> None:
    """Log it once."""
    log.warning(
        "requests come through a proxy that is not stated, so all have one address; set DERMIS_GATEWAY_TRUSTED_PROXIES"
    )


class Door:
    """ASGI middleware: sets the client's address and refuses foreign requests.

    Foreign is what is meant for another host or sent by another site's page.
    """

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app = app
        self._settings = settings
        self._hosts = frozenset(map(str.lower, settings.hosts))
        self._origins = frozenset(settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if refusal := self._refusal(scope, headers):
            status, reason, detail = refusal
            await respond(Request(scope), status, reason, detail)(scope, receive, send)
            return
        if "x-forwarded-for" in headers and not self._settings.trusted_proxies:
            _tell_unstated_proxy()
        peer, port = scope.get("client") or ("", 0)
        address = client_address(peer, headers.getlist("x-forwarded-for"), proxies=self._settings.trusted_proxies)
        pace = Pace(
            receive,
            least_rate=self._settings.least_upload_bytes_per_second,
            patience=self._settings.upload_pause_seconds,
            longest=self._settings.upload_seconds,
        )
        scope["client"] = (address, port)
        scheme = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip()
        if self._settings.trusted_proxies and scheme == "https":
            scope["scheme"] = "https"

        async def answer(message: Message) -> None:
            pace.ends()
            await send(message)

        await self._app(scope, pace, answer)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 and not (scope.get("http_version") == "1.0" and not hosts):
            return 400, "HOST", f"the request has {len(hosts)} Host headers; send one"
        host = hosts[0] if hosts else "localhost"
        if not is_served(host, self._hosts):
            detail = (
                f"Host is {host[:100]!r}, which is not served here; whoever runs the server names it in "
                "DERMIS_GATEWAY_ALLOWED_HOSTS"
            )
            return 421, "HOST", detail
        if "authorization" not in headers and is_cross_site(
            method=scope["method"],
            host=host,
            origin=headers.get("origin"),
            fetch_site=headers.get("sec-fetch-site"),
            # With a session it must be this very page, whatever other pages may do without.
            allowed_origins=() if has_session(headers.get("cookie", "")) else self._origins,
        ):
            detail = (
                "a page of another site sends this; whoever runs the server names its origin in "
                "DERMIS_GATEWAY_CORS_ORIGINS"
            )
            return 403, "CROSS_SITE", detail
        return None
