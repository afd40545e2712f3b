"""The web pages: a person's case, and what researchers and operators look up."""

import functools
from collections.abc import Callable, Coroutine
from dataclasses import replace
from importlib.metadata import version
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from dermis.gateway import sessions
from dermis.gateway.catalog import Catalog
from dermis.gateway.dependencies import LINK_COOKIE, Dependencies, ModelsReader, PartsOf, credentials_of
from dermis.gateway.problems import parameters_error, problem_response
from dermis.gateway.sessions import keep_session, session_owner
from dermis.gateway.shares import token_of
from dermis.gateway.web import reports
from dermis.gateway.web.page import case_page, respond
from dermis.shared.api_keys import Scope
from dermis.shared.errors import DermisError, Kind

_OF_LINKS = ("/cases/{_case_id}", "/shared/{token}")


class _Page(APIRoute):
    """A page that says as one what is refused or fails.

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
            except (DermisError, RequestValidationError) as error:
                return _fault_page(request, error)

        return handle_as_page


def _fault_page(request: Request, error: DermisError | RequestValidationError) -> Response:
    fault = error if isinstance(error, DermisError) else parameters_error(error)
    problem = problem_response(request, fault)
    response = respond(request, "fault.html", status=problem.status_code, code=problem.status_code, detail=fault.detail)
    if wait := problem.headers.get("retry-after"):
        response.headers["Retry-After"] = wait
    return response


router = APIRouter(include_in_schema=False, route_class=_Page)
_page = functools.partial(router.api_route, methods=["GET", "HEAD"])
_Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
_Chosen = Annotated[str, Query(max_length=120, description="name/version, or an id")]

_PROMOTIONS_SHOWN = 10


@_page("/")
@_page("/cases/{_case_id}")
async def page(request: Request, parts: PartsOf) -> HTMLResponse:
    response = case_page(request, parts.settings)
    if parts.settings.offers_page:
        keep_session(request, response, days=parts.settings.session_days)
    return response


@_page("/shared/{token}")
async def shared_page(request: Request, parts: PartsOf, token: str) -> Response:
    """Open a link: the browser keeps its token for the API's paths of this one case, and shows the case."""
    link = token_of(token)
    case_id = link.case_id if link else None
    caller = await parts.guard.admit(
        replace(credentials_of(request), authorization=None, link=token), scope=Scope.CASES_READ, case_id=case_id
    )
    query = f"?{request.url.query}" if request.url.query else ""
    response = RedirectResponse(f"/cases/{case_id}{query}", 303)
    if session_owner(sessions.cookie_of(request) or "") != caller.owner:  # who owns the case stays who they are
        response.set_cookie(
            LINK_COOKIE,
            token,
            path=f"/v1/cases/{case_id}",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
    return response


@_page("/models")
async def models_page(request: Request, parts: PartsOf, _reader: ModelsReader, before: _Chosen = "") -> HTMLResponse:
    catalog = _catalog(parts)
    records = await run_in_threadpool(catalog.promotions, before=before, size=_PROMOTIONS_SHOWN + 1)
    models, pointer = (await run_in_threadpool(catalog.models)).models, await run_in_threadpool(catalog.pointer)
    states = (
        {
            (ref.name, ref.version): state
            for state, ref in (("previous", pointer.previous), ("current", pointer.current))
            if ref
        }
        if pointer
        else {}
    )
    rows = [
        (model, states.get((model.name, model.version), "older"), await _report(parts, model.name, model.version))
        for model in models
    ]
    recent, older = (
        records[:_PROMOTIONS_SHOWN],
        records[_PROMOTIONS_SHOWN - 1].id if len(records) > _PROMOTIONS_SHOWN else None,
    )
    values: dict[str, Any] = {
        "promotions": recent,
        "before": before,
        "older": older,
        "evaluated": await run_in_threadpool(catalog.evaluations),
    }
    return respond(request, "models.html", models=rows, pointer=pointer, **values)


@_page("/models/{name}/{version}")
async def model_page(
    request: Request, parts: PartsOf, _reader: ModelsReader, name: str, version: _Version, data: _Chosen = ""
) -> HTMLResponse:
    catalog, model = _catalog(parts), f"{name} {version}"
    others = {on: key for (on, of), key in (await run_in_threadpool(catalog.evaluations)).items() if of == model}
    if data:
        report = await run_in_threadpool(catalog.report_at, others[data]) if data in others else None
    else:
        report = await _report(parts, name, version)
    values = {"others": list(others), "data": data, "name": model, "address": f"/models/{quote(name)}/{version}"}
    return respond(request, "model.html", status=200 if report else 404, report=report, **values)


@_page("/compare")
async def compare_page(
    request: Request, parts: PartsOf, _reader: ModelsReader, first: _Chosen = "", second: _Chosen = ""
) -> HTMLResponse:
    both = [await _report_of(parts, chosen) for chosen in (first, second)]
    names = [chosen.replace("/", " ") for chosen in (first, second)]
    values = {"overlap": reports.overlap, "beside": reports.beside}
    return respond(
        request, "compare.html", status=200 if all(both) else 404, names=names, first=both[0], second=both[1], **values
    )


@_page("/data")
async def data_page(request: Request, parts: PartsOf, _reader: ModelsReader, report: _Chosen = "") -> HTMLResponse:
    catalog = _catalog(parts)
    ids = await run_in_threadpool(catalog.data_reports)
    chosen = report or next(iter(ids), "")
    try:
        document = await run_in_threadpool(catalog.data_report, chosen) if chosen else None
    except DermisError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        return respond(request, "data.html", status=404, ids=ids, chosen=chosen, report=None)
    return respond(request, "data.html", ids=ids, chosen=chosen, report=document)


@_page("/system")
async def system_page(request: Request, parts: PartsOf, _reader: ModelsReader) -> HTMLResponse:
    pointer, fault = None, None
    try:
        pointer = await run_in_threadpool(_catalog(parts).pointer)
    except DermisError as error:
        fault = error.reason
    load, broken = await parts.broker.load(), fault == "CURRENT_BROKEN"
    store = broken or not fault
    values: dict[str, Any] = {
        "store": store,
        "broken": broken,
        "load": load,
        "pointer": pointer,
        "version": version("dermis"),
    }
    return respond(request, "system.html", status=200 if store else 503, **values)


def _catalog(parts: Dependencies) -> Catalog:
    return Catalog(store=parts.pipeline.store)


async def _report_of(parts: Dependencies, chosen: str) -> reports.ReportView | None:
    name, _, number = chosen.rpartition("/")
    return (
        await _report(parts, name, int(number)) if number.isascii() and number.isdigit() and len(number) < 11 else None
    )


async def _report(parts: Dependencies, name: str, number: int) -> reports.ReportView | None:
    return await run_in_threadpool(_catalog(parts).report_of, number, name=name)
