"""The web pages of operators and researchers, below /ops: models, comparisons, data, the system."""

import functools
from importlib.metadata import version
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from dermis.gateway.catalog import Catalog
from dermis.gateway.dependencies import Dependencies, ModelsReader, PartsOf
from dermis.gateway.routes.page import PageRoute
from dermis.gateway.web import reports
from dermis.gateway.web.page import respond
from dermis.shared.errors import DermisError, Kind

router = APIRouter(include_in_schema=False, route_class=PageRoute)
_page = functools.partial(router.api_route, methods=["GET", "HEAD"])
_Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
_Chosen = Annotated[str, Query(max_length=120, description="name/version, or an id")]

_PROMOTIONS_SHOWN = 10


@_page("/ops")
async def ops_page(request: Request, parts: PartsOf, _reader: ModelsReader) -> HTMLResponse:
    return respond(request, "ops/index.html", second_read=parts.settings.offers_second_read)


@_page("/ops/models")
async def models_page(request: Request, parts: PartsOf, _reader: ModelsReader, before: _Chosen = "") -> HTMLResponse:
    catalog = _catalog(parts)
    records = await run_in_threadpool(catalog.promotions, before=before, size=_PROMOTIONS_SHOWN + 1)
    models, pointer = (await run_in_threadpool(catalog.models)).models, await run_in_threadpool(catalog.pointer)
    rows = [(model, model.role or "older", await _report(parts, model.name, model.version)) for model in models]
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
    return respond(request, "ops/models.html", models=rows, pointer=pointer, **values)


@_page("/ops/models/{name}/{version}")
async def model_page(
    request: Request, parts: PartsOf, _reader: ModelsReader, name: str, version: _Version, data: _Chosen = ""
) -> HTMLResponse:
    catalog, model = _catalog(parts), f"{name} {version}"
    others = {on: key for (on, of), key in (await run_in_threadpool(catalog.evaluations)).items() if of == model}
    if data:
        report = await run_in_threadpool(catalog.report_at, others[data]) if data in others else None
    else:
        report = await _report(parts, name, version)
    values: dict[str, Any] = {
        "others": list(others),
        "data": data,
        "name": model,
        "address": f"/ops/models/{quote(name)}/{version}",
    }
    values |= {"columns": reports.SHOWN}
    return respond(request, "ops/model.html", status=200 if report else 404, report=report, **values)


@_page("/ops/compare")
async def compare_page(
    request: Request, parts: PartsOf, _reader: ModelsReader, first: _Chosen = "", second: _Chosen = ""
) -> HTMLResponse:
    both = [await _report_of(parts, chosen) for chosen in (first, second)]
    names = [chosen.replace("/", " ") for chosen in (first, second)]
    values = {"overlap": reports.overlap, "beside": reports.beside}
    return respond(
        request,
        "ops/compare.html",
        status=200 if all(both) else 404,
        names=names,
        first=both[0],
        second=both[1],
        **values,
    )


@_page("/ops/data")
async def data_page(request: Request, parts: PartsOf, _reader: ModelsReader, report: _Chosen = "") -> HTMLResponse:
    catalog = _catalog(parts)
    ids = await run_in_threadpool(catalog.data_reports)
    chosen = report or next(iter(ids), "")
    try:
        document = await run_in_threadpool(catalog.data_report, chosen) if chosen else None
    except DermisError as error:
        if error.kind is not Kind.NOT_FOUND:
            raise
        return respond(request, "ops/data.html", status=404, ids=ids, chosen=chosen, report=None)
    return respond(request, "ops/data.html", ids=ids, chosen=chosen, report=document)


@_page("/ops/system")
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
    return respond(request, "ops/system.html", status=200 if store else 503, **values)


@_page("/models")
@_page("/models/{_name}/{_version}")
@_page("/compare")
@_page("/data")
@_page("/system")
async def moved_page(request: Request) -> Response:
    """Send who asks at an address of before /ops to its new one, for good."""
    query = f"?{request.url.query}" if request.url.query else ""
    return Response(status_code=308, headers={"Location": f"/ops{quote(request.scope['path'])}{query}"})


def _catalog(parts: Dependencies) -> Catalog:
    return Catalog(store=parts.pipeline.store)


async def _report_of(parts: Dependencies, chosen: str) -> reports.ReportView | None:
    name, _, number = chosen.rpartition("/")
    return (
        await _report(parts, name, int(number)) if number.isascii() and number.isdigit() and len(number) < 11 else None
    )


async def _report(parts: Dependencies, name: str, number: int) -> reports.ReportView | None:
    return await run_in_threadpool(_catalog(parts).report_of, number, name=name)
