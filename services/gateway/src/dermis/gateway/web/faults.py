"""A page for a fault, for those who read pages: what happened and what to do, in their language."""

from fastapi.responses import HTMLResponse
from starlette.requests import Request

from dermis.gateway.core.accept import liked
from dermis.gateway.web.languages import texts
from dermis.gateway.web.page import respond

_PROBLEM_TYPES = ("application/problem+json", "application/json")


def reads_pages(request: Request) -> bool:
    """Return whether the caller likes HTML better than problem details, as a browser that opens an address does.

    Accept as in RFC 9110, 12.5.1; a range such as `*/*` says nothing of HTML.
    """
    accepted = liked(request.headers.get("accept", ""))
    return accepted.get("text/html", 0) > max(accepted.get(each, 0) for each in _PROBLEM_TYPES)


def fault_page(request: Request, *, status: int, reason: str, detail: str, instance: str) -> HTMLResponse:
    """Return the page of a problem; `detail` is the problem's own English, `instance` what a person can quote."""
    values = {"code": status, "reason": reason, "detail": detail, "instance": instance}
    kind = str(status) if f"fault.{status}.title" in texts("en") else "other"
    return respond(request, "fault.html", status=status, kind=kind, **values)
