"""Images without a case."""

import contextlib

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from dermis.gateway.convert import new_image_of
from dermis.gateway.dependencies import Dependencies, PartsOf, WritingOwner
from dermis.gateway.form import IMAGE_FORM
from dermis.gateway.openapi import IMAGE_BODY, problems
from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.header import CleanImage
from dermis.shared.jobs import AssessImageJob
from dermis.shared.report import QualityReport
from dermis.shared.telemetry import log

router = APIRouter(prefix="/v1", tags=["images"])


@router.post(
    "/images:assess",
    summary="Judge an image's quality at once",
    responses=problems(408, 413, 415, 422, 503, 504, 507),
    openapi_extra={"requestBody": IMAGE_BODY},
)
async def assess_image(request: Request, parts: PartsOf, _owner: WritingOwner) -> QualityReport:
    await parts.check_room()
    seconds = parts.settings.judge_seconds
    with parts.judging(request) as line:
        image = await _take_in(request, parts)
        header = image.header
        async with contextlib.AsyncExitStack() as stack:
            whole = header.color if isinstance(header.color, bytes) else None
            job = AssessImageJob(
                scratch_id=await stack.enter_async_context(parts.pipeline.scratch(image.data)),
                content_type=header.format,
                orientation=header.orientation,
                line=line,
                color=None if isinstance(header.color, bytes) else header.color,
                profile_id=await stack.enter_async_context(parts.pipeline.scratch(whole)) if whole else None,
            )
            reply = await parts.broker.ask(job, seconds=seconds)
    if reply is None:
        raise DermisError(
            Kind.DEADLINE, "NO_ANSWER", f"no worker judged the image within {seconds:g} s; try again, or submit a case"
        )
    try:
        return QualityReport.model_validate_json(reply)
    except ValidationError:
        log.error("reply is no quality report", scratch_id=job.scratch_id)
        raise DermisError(
            Kind.UNAVAILABLE, "ANSWER_BROKEN", "a worker's answer could not be read; try again, or submit a case"
        ) from None


async def _take_in(request: Request, parts: Dependencies) -> CleanImage:
    async with parts.upload(request, IMAGE_FORM) as form:
        return await run_in_threadpool(new_image_of, form)
