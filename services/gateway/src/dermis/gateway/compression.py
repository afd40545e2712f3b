"""Compresses answers to GET with gzip.

Not what other methods answer, which alone holds secrets, whose length would tell of them (BREACH), nor events and
images.
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import GZipResponder, IdentityResponder
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermis.gateway.core.accept import liked

LEAST_BYTES = 1000
"""Below this, compressing saves no packet."""
_LEVEL = 6


class Compression:
    """ASGI middleware; a strong ETag becomes a weak one where a body is compressed (RFC 9110, 8.8.1)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        accepted = liked(",".join(Headers(scope=scope).getlist("accept-encoding")))
        coder = (
            GZipResponder(self._app, LEAST_BYTES, _LEVEL)
            if "gzip" in accepted
            else IdentityResponder(self._app, LEAST_BYTES)
        )

        async def send_coded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                tag = headers.get("etag", "")
                if tag.startswith('"') and "content-encoding" in headers:
                    headers["ETag"] = f"W/{tag}"
            await send(message)

        await coder(scope, receive, send_coded)
