"""Routes of uploads: an image sent ahead of its case, judged at once."""

import hashlib

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from dermis.gateway.body import BODY_RULES, read_image
from dermis.gateway.convert import new_image_of
from dermis.gateway.dependencies import Dependencies, PartsOf, WritingOwner
from dermis.gateway.http import ImageUpload
from dermis.gateway.judging import judge
from dermis.gateway.middleware import CALLER_KEY
from dermis.gateway.openapi import UPLOAD_BODY, problems
from dermis.shared.errors import DermisError
from dermis.shared.images.formats import CleanImage
from dermis.shared.telemetry import log

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])


@router.post(
    "",
    summary="Send an image ahead of its case",
    status_code=201,
    responses=problems(408, 413, 415, 422, 503, 507),
    openapi_extra={"requestBody": UPLOAD_BODY},
)
async def upload_image(request: Request, parts: PartsOf, owner: WritingOwner) -> ImageUpload:
    await parts.check_room()
    with parts.judging(request) as line:
        image, sent_sha256 = await _take_in(request, parts)
        kept = await parts.pipeline.uploads.keep(image, sent_sha256=sent_sha256, owner=owner)
        try:
            quality = await judge(parts, image, line=line, livemode=request.scope[CALLER_KEY].livemode)
        except DermisError as error:
            log.warning("an upload was kept unjudged", reason=error.reason)
            quality = None
    return ImageUpload(id=kept.upload_id, expires_at=kept.expires_at, quality=quality)


@router.delete("/{upload_id}", summary="Delete an upload", status_code=204, responses=problems(422, 503))
async def delete_upload(upload_id: str, parts: PartsOf, owner: WritingOwner) -> Response:
    await run_in_threadpool(parts.pipeline.uploads.discard, upload_id, owner=owner)
    return Response(status_code=204)


async def _take_in(request: Request, parts: Dependencies) -> tuple[CleanImage, str]:
    """Return the image without its metadata, and the SHA-256 of what was sent."""
    async with parts.form(request, BODY_RULES, read=read_image) as form:
        return await run_in_threadpool(new_image_of, form, BODY_RULES), hashlib.sha256(form.images[0]).hexdigest()
