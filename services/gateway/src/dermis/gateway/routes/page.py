"""The web pages of a person: the form, a case, and what is kept of it."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from dermis.gateway.catalog import Catalog
from dermis.gateway.dependencies import Dependencies, PartsOf
from dermis.gateway.problems import parameters_error, problem_page
from dermis.gateway.web.page import case_page, privacy_page, respond
from dermis.shared.errors import DermisError


class PageRoute(APIRoute):
    """A page that shows as a page what is refused or fails, whoever asks.

    It is closed where every caller needs a key: a browser has none.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_as_page(request: Request) -> Response:
            parts: Dependencies = request.app.state.parts
            if not parts.settings.keyless:
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
    return case_page(request, parts.settings, demo=demo)


@_page("/privacy")
async def privacy(request: Request, parts: PartsOf) -> HTMLResponse:
    return privacy_page(request, parts.settings)
