"""Routes of models: versions, how they were measured, and the conditions that they name."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from starlette.concurrency import run_in_threadpool

from dermis.gateway.catalog import Catalog
from dermis.gateway.core.listing import next_cursor
from dermis.gateway.dependencies import Language, ModelsReader, PartsOf
from dermis.gateway.http import ConditionList, Evaluation, ModelList, PromotionList
from dermis.gateway.openapi import problems
from dermis.gateway.routes.paging import Cursor, Limit, place_of
from dermis.gateway.translation import Translation

router = APIRouter(prefix="/v1", tags=["models"])


@router.get(
    "/conditions",
    summary="List the conditions that the current model knows, with plain words on each",
    responses=problems(503),
)
async def list_conditions(
    response: Response, parts: PartsOf, _reader: ModelsReader, language: Language
) -> ConditionList:
    translation = Translation(language)
    conditions = translation.conditions(await run_in_threadpool(Catalog(store=parts.pipeline.store).conditions))
    response.headers.update(translation.headers)
    return conditions


@router.get("/models", summary="List the models", responses=problems(503))
async def list_models(parts: PartsOf, _reader: ModelsReader) -> ModelList:
    return await run_in_threadpool(Catalog(store=parts.pipeline.store).models)


@router.get(
    "/models/{version}/evaluation",
    summary="Show how a version was measured, by skin tone among others",
    responses=problems(404, 422, 503),
    response_model_exclude_unset=True,
)
async def get_evaluation(
    version: Annotated[int, Path(ge=1, le=2**31 - 1)],
    parts: PartsOf,
    _reader: ModelsReader,
    name: Annotated[
        str | None, Query(min_length=1, max_length=100, description="the model's name; else the current model's")
    ] = None,
) -> Evaluation:
    return await run_in_threadpool(Catalog(store=parts.pipeline.store).evaluation, version, name=name)


@router.get(
    "/promotions", summary="List promotions, roll-backs and refusals, the newest first", responses=problems(422, 503)
)
async def list_promotions(
    parts: PartsOf,
    _reader: ModelsReader,
    cursor: Cursor = "",
    limit: Limit = 20,
) -> PromotionList:
    before = place_of(cursor, kind="promotion")
    promotions = await run_in_threadpool(Catalog(store=parts.pipeline.store).promotions, before=before, size=limit + 1)
    return PromotionList(
        promotions=promotions[:limit], next_cursor=next_cursor([each.id for each in promotions], limit)
    )
