"""What of the API goes away: one table, from which come the headers of answers and the marks in the OpenAPI file.

The policy is docs/reference/deprecations.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from starlette.datastructures import MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LINK = '</openapi.json>; rel="{relation}"; type="application/json"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """An operation, or a query parameter of it, or a field of its answers, that goes away.

    `since` and `sunset` in UTC; `sunset` None as long as no day is set. `instead`: what to use, in a sentence.
    `field`: a schema and its property.
    """

    method: str
    path: str
    since: datetime
    instead: str
    sunset: datetime | None = None
    parameter: str | None = None
    field: tuple[str, str] | None = None

    def concerns(self, scope: Scope) -> bool:
        """Return whether a request uses what goes away."""
        if (scope["method"].lower(), getattr(scope.get("route"), "path", "")) != (self.method, self.path):
            return False
        return self.parameter is None or self.parameter in QueryParams(scope["query_string"])


DEPRECATIONS: tuple[Deprecation, ...] = ()
"""Nothing goes away today."""


class DeprecationNotices:
    """ASGI middleware: says on an answer that what was used goes away (RFC 9745), and when (RFC 8594)."""

    def __init__(self, app: ASGIApp, table: Sequence[Deprecation]) -> None:
        self._app = app
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_notice(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(MutableHeaders(scope=message), [each for each in self._table if each.concerns(scope)])
            await send(message)

        await self._app(scope, receive, send_with_notice if scope["type"] == "http" and self._table else send)


def _add(headers: MutableHeaders, entries: Sequence[Deprecation]) -> None:
    if not entries:
        return
    headers["Deprecation"] = f"@{min(int(each.since.timestamp()) for each in entries)}"
    headers.append("Link", _LINK.format(relation="deprecation"))
    if sunsets := [each.sunset for each in entries if each.sunset]:
        headers["Sunset"] = format_datetime(min(sunsets), usegmt=True)
        headers.append("Link", _LINK.format(relation="sunset"))


def mark(schema: dict[str, Any], entries: Sequence[Deprecation]) -> None:
    """Mark in an OpenAPI description what goes away; KeyError or StopIteration for what is not there."""
    for each in entries:
        part = schema["paths"][each.path][each.method]
        if each.parameter:
            part = next(parameter for parameter in part["parameters"] if parameter["name"] == each.parameter)
        elif each.field:
            name, field = each.field
            part = schema["components"]["schemas"][name]["properties"][field]
        ends = f" It ends on {each.sunset:%Y-%m-%d}." if each.sunset else ""
        text = f"Deprecated since {each.since:%Y-%m-%d}: {each.instead}.{ends}"
        part["deprecated"] = True
        part["description"] = "\n\n".join(filter(None, (part.get("description"), text)))
