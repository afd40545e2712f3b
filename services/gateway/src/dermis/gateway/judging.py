"""Has a worker judge an image at once, over a copy that is gone afterwards."""

import contextlib

from pydantic import ValidationError

from dermis.gateway.dependencies import Dependencies
from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.formats import CleanImage
from dermis.shared.jobs import AssessImageJob
from dermis.shared.report import QualityReport
from dermis.shared.telemetry import log


async def judge(parts: Dependencies, image: CleanImage, *, line: str, livemode: bool = True) -> QualityReport:
    """Return an image's quality report.

    DEADLINE if no worker judged it in time, UNAVAILABLE if none can be asked or its answer can't be read.
    """
    header, seconds = image.header, parts.settings.judge_seconds
    async with contextlib.AsyncExitStack() as stack:
        whole = header.color if isinstance(header.color, bytes) else None
        job = AssessImageJob(
            scratch_id=await stack.enter_async_context(parts.pipeline.scratch(image.data)),
            content_type=header.format,
            orientation=header.orientation,
            line=line,
            livemode=livemode,
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
