"""The web pages of a person: the form, a case, and what is kept of it."""

import functools
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from dermis.gateway.catalog import Catalog
from dermis.gateway.convert import new_case_of
from dermis.gateway.dependencies import LINK_COOKIE, Dependencies, Owner, PartsOf, WritingOwner, credentials_of
from dermis.gateway.middleware import CALLER_KEY
from dermis.gateway.plain_form import PLAIN_FORM, case_form_of
from dermis.gateway.problems import parameters_error, problem_page
from dermis.gateway.sessions import cookie_of, keep_session, session_owner
from dermis.gateway.shares import token_of
from dermis.gateway.web.page import case_page, plain_case_page, privacy_page, respond
from dermis.shared.api_keys import Scope
from dermis.shared.errors import DermisError

_PLAIN_WAIT_S = 10
"""A page without scripts waits this long for its result before it is loaded again."""


_OF_LINKS = ("/cases/{_case_id}", "/cases/{case_id}/plain", "/shared/{token}")


class PageRoute(APIRoute):
    """A page that shows as a page what is refused or fails, whoever asks.

    It is closed where every caller needs a key: a browser has none. What a link opens is not: a client that has a key
    may share its case.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_as_page(request: Request) -> Response:
            parts: Dependencies = request.app.state.parts
            if not parts.settings.offers_page and self.path not in _OF_LINKS:
                return respond(request, "closed.html", status=403)
            try:
                return await handle(request)
            except DermisError as error:
                return problem_page(request, error)
            except RequestValidationError as error:
                return problem_page(request, parameters_error(error))

        return handle_as_page


router = APIRouter(include_in_schema=False, route_class=PageRoute)
_page = functools.partial(router.api_route, methods=["GET", "HEAD"])


@_page("/")
@_page("/cases/{_case_id}")
async def page(request: Request, parts: PartsOf) -> HTMLResponse:
    demo = await run_in_threadpool(Catalog(store=parts.pipeline.store).answers_as_demo)
    response = case_page(request, parts.settings, demo=demo)
    if parts.settings.offers_page:
        keep_session(request, response, days=parts.settings.session_days)
    return response


@_page("/shared/{token}")
async def shared_page(request: Request, parts: PartsOf, token: str) -> Response:
    """Open a link: the browser keeps its token for the paths of this one case, and shows the case."""
    link = token_of(token)
    case_id = link.case_id if link else None
    caller = await parts.guard.admit(
        replace(credentials_of(request), authorization=None, link=token), scope=Scope.CASES_READ, case_id=case_id
    )
    response = RedirectResponse(f"/cases/{case_id}{_query(request)}", 303)
    if session_owner(cookie_of(request) or "") != caller.owner:  # who owns the case stays who they are
        for path in (f"/v1/cases/{case_id}", f"/cases/{case_id}"):
            response.set_cookie(
                LINK_COOKIE,
                token,
                path=path,
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="lax",
            )
    return response


@_page("/privacy")
async def privacy(request: Request, parts: PartsOf) -> HTMLResponse:
    return privacy_page(request, parts.settings)


@router.post("/cases")
async def submit_plain_form(request: Request, parts: PartsOf, owner: WritingOwner) -> RedirectResponse:
    """Take in the form of a browser without scripts. The door refuses one that another site's page sends."""
    await parts.check_room()
    await parts.admit(request)
    line = request.scope[CALLER_KEY].line
    async with parts.form(request, PLAIN_FORM) as form:
        case = await run_in_threadpool(new_case_of, case_form_of(form))
        received = await parts.pipeline.submit(case, owner=owner, line=line)
    await parts.enqueue(received, request)
    return RedirectResponse(f"/cases/{received.case_id}/plain{_query(request)}", status_code=303)


@_page("/cases/{case_id}/plain")
async def plain_case(request: Request, case_id: str, parts: PartsOf, owner: Owner) -> HTMLResponse:
    """Show a case without scripts: what to do, and what came of it."""
    async for state in parts.pipeline.follow(case_id, owner=owner, seconds=_PLAIN_WAIT_S):
        latest = state
    return plain_case_page(request, latest, read_only=request.scope[CALLER_KEY].read_only)


@router.post("/cases/{case_id}/erase")
async def erase_plain_case(request: Request, case_id: str, parts: PartsOf, owner: WritingOwner) -> HTMLResponse:
    jobs = await run_in_threadpool(parts.pipeline.erase, case_id, owner=owner)
    parts.pipeline.hub.wake(case_id)
    await parts.broker.announce(case_id, "erased")
    await parts.broker.send_deliveries(jobs)
    return respond(request, "erased.html")


def _query(request: Request) -> str:
    return f"?{request.url.query}" if request.url.query else ""
