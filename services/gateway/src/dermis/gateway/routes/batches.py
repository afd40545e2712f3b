"""Routes of batches: many cases at once, read from a store that the operator names."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

from dermis.gateway.batch_schemas import Batch, BatchList, BatchSource
from dermis.gateway.batches import BatchPipeline, to_csv
from dermis.gateway.body import MOST_JSON_BYTES, parse_json, read_body
from dermis.gateway.core.listing import next_cursor
from dermis.gateway.dependencies import Dependencies, Operator, PartsOf
from dermis.gateway.openapi import BATCH_BODY, BATCH_RESULTS, BATCH_TAKEN_IN, problems
from dermis.gateway.routes.paging import Cursor, Limit, place_of
from dermis.shared.batches import BatchManifest

_JSON, _CSV = "application/json", "text/csv"
router = APIRouter(prefix="/v1/batches", tags=["batches"])


@router.post(
    "",
    summary="Assess many cases at once",
    status_code=202,
    responses={**BATCH_TAKEN_IN, **problems(403, 413, 415, 422, 503, 507)},
    openapi_extra={"requestBody": BATCH_BODY},
)
async def create_batch(
    request: Request,
    response: Response,
    parts: PartsOf,
    owner: Operator,
    url: Annotated[str, Query(max_length=500, description="with a CSV body: the store that its keys are in")] = "",
) -> Batch:
    await parts.check_room()
    batches = _batches(parts)
    manifest = await _take_in(request, batches, owner=owner, url=url, most=parts.settings.max_batch_bytes)
    await parts.broker.send_batch(batches.jobs(manifest))
    response.headers["Location"] = f"/v1/batches/{manifest.batch_id}"
    return await run_in_threadpool(batches.show, manifest.batch_id, owner=owner)


@router.get("", summary="List batches, the oldest first", responses=problems(422, 503))
async def list_batches(
    parts: PartsOf,
    owner: Operator,
    cursor: Cursor = "",
    limit: Limit = 20,
) -> BatchList:
    after = place_of(cursor, kind="batch")
    page = await run_in_threadpool(_batches(parts).page, owner=owner, after=after, size=limit + 1)
    return BatchList(batches=page[:limit], next_cursor=next_cursor([each.id for each in page], limit))


@router.get("/{batch_id}", summary="Show a batch and how far it is", responses=problems(404, 503))
async def get_batch(batch_id: str, parts: PartsOf, owner: Operator) -> Batch:
    return await run_in_threadpool(_batches(parts).show, batch_id, owner=owner)


@router.get(
    "/{batch_id}/results",
    summary="Download a batch's results, as far as they go",
    response_class=Response,
    responses={**BATCH_RESULTS, **problems(404, 422, 503)},
)
async def get_batch_results(
    batch_id: str, parts: PartsOf, owner: Operator, form: Literal["ndjson", "csv"] = "ndjson"
) -> Response:
    lines = await run_in_threadpool(_batches(parts).results, batch_id, owner=owner)
    content, kind = (to_csv(lines), _CSV) if form == "csv" else (lines, "application/x-ndjson")
    name = f'attachment; filename="{batch_id}.{form}"'
    return StreamingResponse(iterate_in_threadpool(content), media_type=kind, headers={"Content-Disposition": name})


@router.delete("/{batch_id}", summary="Erase a batch", status_code=204, responses=problems(404, 503))
async def erase_batch(batch_id: str, parts: PartsOf, owner: Operator) -> Response:
    await run_in_threadpool(_batches(parts).erase, batch_id, owner=owner)
    return Response(status_code=204)


async def _take_in(request: Request, batches: BatchPipeline, *, owner: str, url: str, most: int) -> BatchManifest:
    kind, body = await read_body(request, most_of={_JSON: MOST_JSON_BYTES, _CSV: most})
    if kind == _CSV:
        return await run_in_threadpool(batches.create, BatchSource(url=url), owner=owner, csv=body)
    return await run_in_threadpool(batches.create, parse_json(body, BatchSource), owner=owner)


def _batches(parts: Dependencies) -> BatchPipeline:
    sources = tuple(parts.settings.batch_sources.split(","))
    return BatchPipeline(store=parts.pipeline.store, sources=sources, max_csv_bytes=parts.settings.max_batch_bytes)
