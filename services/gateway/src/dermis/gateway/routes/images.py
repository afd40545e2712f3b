"""Judges the quality of an image that belongs to no case."""

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from dermis.gateway.convert import new_image_of
from dermis.gateway.dependencies import Dependencies, Language, PartsOf, WritingOwner
from dermis.gateway.form import IMAGE_FORM
from dermis.gateway.judging import judge
from dermis.gateway.middleware import CALLER_KEY
from dermis.gateway.openapi import IMAGE_BODY, problems
from dermis.gateway.translation import Translation
from dermis.shared.images.formats import CleanImage
from dermis.shared.report import QualityReport

router = APIRouter(prefix="/v1", tags=["images"])


@router.post(
    "/images:assess",
    summary="Judge an image's quality at once",
    responses=problems(408, 413, 415, 422, 503, 504, 507),
    openapi_extra={"requestBody": IMAGE_BODY},
)
async def assess_image(
    request: Request, response: Response, parts: PartsOf, _owner: WritingOwner, language: Language
) -> QualityReport:
    await parts.check_room()
    with parts.judging(request) as line:
        image, livemode = await _take_in(request, parts), request.scope[CALLER_KEY].livemode
        report = await judge(parts, image, line=line, livemode=livemode)
    translation = Translation(language)
    report = translation.quality(report)
    response.headers.update(translation.headers)
    return report


async def _take_in(request: Request, parts: Dependencies) -> CleanImage:
    async with parts.form(request, IMAGE_FORM) as form:
        return await run_in_threadpool(new_image_of, form, IMAGE_FORM)
