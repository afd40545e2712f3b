"""Routes of uploads: an image sent ahead of its case, at once or in parts that are resumed (tus 1.0.0), and judged."""

from dataclasses import replace
from email.utils import format_datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool

from dermis.gateway.body import BODY_RULES, read_image
from dermis.gateway.convert import new_image_of
from dermis.gateway.dependencies import CreatingOwner, Dependencies, Language, PartsOf
from dermis.gateway.form import Form, image_too_large
from dermis.gateway.http import ImageUpload, UploadRefusal
from dermis.gateway.judging import judge
from dermis.gateway.middleware import CALLER_KEY, HEAD_KEY, TUS_VERSION
from dermis.gateway.openapi import PART_BODY, PART_TAKEN, TUS_OPTIONS, UPLOAD_BODY, UPLOAD_PLACE, UPLOAD_STATE, problems
from dermis.gateway.problems import RefusedError, fault
from dermis.gateway.resumable import UploadState, UploadStatus, too_long
from dermis.gateway.translation import Translation
from dermis.gateway.uploads import SentBytes
from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.formats import CleanImage, damaged
from dermis.shared.ports import BlobNotFound
from dermis.shared.report import QualityReport
from dermis.shared.telemetry import log

EXTENSIONS = "creation,expiration,termination"
PART_TYPE = "application/offset+octet-stream"
_TUS = {"Tus-Version": TUS_VERSION, "Tus-Extension": EXTENSIONS}
Count = Annotated[str | None, Header(pattern="^[0-9]{1,18}$")]


async def _tus(tus_resumable: Annotated[str | None, Header(description="version of the tus protocol")] = None) -> bool:
    """Return whether a call speaks tus; PRECONDITION for a version that we don't."""
    if tus_resumable not in (None, TUS_VERSION):
        detail = f"Tus-Resumable is {tus_resumable[:40]!r}; this server speaks {TUS_VERSION}"
        raise RefusedError(Kind.PRECONDITION, "TUS_VERSION", detail, _TUS)
    return tus_resumable is not None


IsTus = Annotated[bool, Depends(_tus)]
router = APIRouter(prefix="/v1/uploads", tags=["uploads"])


@router.options("", summary="Say how uploads are resumed", status_code=204, responses=TUS_OPTIONS)
async def describe_uploads(parts: PartsOf) -> Response:
    return Response(status_code=204, headers={**_TUS, "Tus-Max-Size": str(parts.settings.max_image_bytes)})


@router.post(
    "",
    summary="Send an image ahead of its case, or begin to send it in parts",
    status_code=201,
    responses={**UPLOAD_PLACE, **problems(408, 412, 413, 415, 422, 503, 507)},
    openapi_extra={"requestBody": UPLOAD_BODY},
)
async def upload_image(
    request: Request,
    response: Response,
    parts: PartsOf,
    owner: CreatingOwner,
    is_tus: IsTus,
    language: Language,
    upload_length: Count = None,
) -> ImageUpload:
    await parts.check_room()
    if is_tus:
        state = await run_in_threadpool(
            parts.pipeline.resumable.start, _length_of(upload_length, parts.settings.max_image_bytes), owner=owner
        )
    else:
        state = await _sent_at_once(request, parts, owner)
    response.headers["Location"] = f"/v1/uploads/{state.upload_id}"
    return _answer(response, state, language)


@router.get(
    "/{upload_id}",
    summary="Show how far an upload is, and what its image is worth",
    responses={**UPLOAD_STATE, **problems(404, 412, 422, 503)},
)
async def get_upload(
    upload_id: str,
    request: Request,
    response: Response,
    parts: PartsOf,
    owner: CreatingOwner,
    _: IsTus,
    language: Language,
) -> ImageUpload:
    state = await _settled(request, parts, await _state(parts, upload_id, owner), owner)
    if HEAD_KEY not in request.scope:
        state = await _judged(request, parts, state, owner)
    return _answer(response, state, language)


@router.patch(
    "/{upload_id}",
    summary="Send the next bytes of an upload",
    status_code=204,
    responses={**PART_TAKEN, **problems(404, 408, 409, 412, 413, 415, 422, 503, 507)},
    openapi_extra={"requestBody": PART_BODY},
)
async def resume_upload(
    upload_id: str,
    request: Request,
    parts: PartsOf,
    owner: CreatingOwner,
    is_tus: IsTus,
    upload_offset: Count = None,
) -> Response:
    await parts.check_room()
    state = await _state(parts, upload_id, owner)
    _check_part(request, state, is_tus=is_tus, offset=upload_offset)
    caller = request.scope[CALLER_KEY]
    with parts.bodies.open(caller.line, by_key=caller.by_key) as body:
        stream = body.booked(request.stream())
        await body.read(parts.pipeline.resumable.append(state, stream, body, owner=owner))
    state = await _settled(request, parts, await _state(parts, upload_id, owner), owner)
    state = await _judged(request, parts, state, owner)
    return Response(status_code=204, headers=_headers(state))


@router.delete("/{upload_id}", summary="Delete an upload", status_code=204, responses=problems(412, 422, 503))
async def delete_upload(upload_id: str, parts: PartsOf, owner: CreatingOwner, _: IsTus) -> Response:
    await run_in_threadpool(parts.pipeline.uploads.discard, upload_id, owner=owner)
    return Response(status_code=204)


async def _state(parts: Dependencies, upload_id: str, owner: str) -> UploadState:
    return await run_in_threadpool(parts.pipeline.resumable.read, upload_id, owner=owner)


async def _sent_at_once(request: Request, parts: Dependencies, owner: str) -> UploadState:
    """Return the upload of an image that is the body, judged if a worker is there."""
    with parts.judging(request) as line:
        async with parts.form(request, BODY_RULES, read=read_image) as form:
            image = await run_in_threadpool(new_image_of, form, BODY_RULES)
            sent = SentBytes.of(form.images[0])
        kept = await parts.pipeline.uploads.keep(image, sent, owner=owner)
        quality = await _verdict(
            parts, image, kept.upload_id, owner=owner, line=line, livemode=request.scope[CALLER_KEY].livemode
        )
    return UploadState(
        upload_id=kept.upload_id, length=kept.sent_bytes, offset=kept.sent_bytes, uploaded=kept, quality=quality
    )


async def _settled(request: Request, parts: Dependencies, state: UploadState, owner: str) -> UploadState:
    """Return an upload whose bytes are taken in, if they have all come; the fault of what is no image that is taken."""
    if not state.is_whole or state.length is None:
        return state
    caller, resumable = request.scope[CALLER_KEY], parts.pipeline.resumable
    with parts.bodies.open(caller.line, by_key=caller.by_key) as body:
        parts.bodies.book(body, state.length)
        try:
            sent = await run_in_threadpool(resumable.whole, state, owner=owner)
        except BlobNotFound:  # another call has taken them in
            return await _state(parts, state.upload_id, owner)
        try:
            image = await run_in_threadpool(new_image_of, Form(images=[sent]), BODY_RULES)
        except DermisError as error:
            await run_in_threadpool(resumable.refuse, state, error, owner=owner)
            raise
        await parts.pipeline.uploads.put(image, SentBytes.of(sent), upload_id=state.upload_id, owner=owner)
    await run_in_threadpool(resumable.end_parts, state, owner=owner)
    return await _state(parts, state.upload_id, owner)


async def _judged(request: Request, parts: Dependencies, state: UploadState, owner: str) -> UploadState:
    """Return an upload with its verdict, as it stands or as a worker says now; without one where none does in time."""
    if state.status != UploadStatus.COMPLETE or state.uploaded is None or state.quality:
        return state
    (image,) = await parts.pipeline.uploads.read([state.uploaded], owner=owner)
    try:
        with parts.judging(request) as line:
            quality = await _verdict(
                parts, image, state.upload_id, owner=owner, line=line, livemode=request.scope[CALLER_KEY].livemode
            )
    except RefusedError:  # too many of the caller's are being judged
        return state
    return replace(state, quality=quality)


async def _verdict(
    parts: Dependencies, image: CleanImage, upload_id: str, *, owner: str, line: str, livemode: bool
) -> QualityReport | None:
    """Return what a worker says of an image, and keep it; None where none says it in time."""
    try:
        quality = await judge(parts, image, line=line, livemode=livemode)
    except DermisError as error:
        log.warning("an upload was kept unjudged", reason=error.reason)
        return None
    await parts.pipeline.uploads.keep_verdict(quality, upload_id=upload_id, owner=owner)
    return quality


def _length_of(upload_length: str | None, most: int) -> int:
    pointer = "/header/Upload-Length"
    if upload_length is None:
        raise fault("UPLOAD_LENGTH", "Upload-Length is missing; state how many bytes the image has", pointer=pointer)
    if int(upload_length) > most:
        raise image_too_large("the image", most, pointer=pointer)
    if not int(upload_length):
        error = damaged("it is empty")
        raise fault(error.reason, f"the image: {error.detail}", pointer=pointer)
    return int(upload_length)


def _check_part(request: Request, state: UploadState, *, is_tus: bool, offset: str | None) -> None:
    """Raise what is wrong with a part before it is read."""
    if not is_tus:
        raise RefusedError(Kind.PRECONDITION, "TUS_VERSION", f"send Tus-Resumable: {TUS_VERSION}", _TUS)
    media_type = request.headers.get("content-type", "")
    if media_type != PART_TYPE:
        raise DermisError(Kind.UNSUPPORTED, "CONTENT_TYPE", f"Content-Type is {media_type[:100]!r}; send {PART_TYPE}")
    if offset is None:
        pointer = "/header/Upload-Offset"
        raise fault("UPLOAD_OFFSET", "Upload-Offset is missing; state where these bytes begin", pointer=pointer)
    if int(offset) != state.offset:
        detail = f"Upload-Offset is {int(offset):,}, and {state.offset or 0:,} bytes have come; go on there"
        raise RefusedError(Kind.CONFLICT, "UPLOAD_OFFSET", detail, _headers(state))
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length[:20]) > (state.length or 0) - (state.offset or 0):
        raise too_long(state.length or 0)


def _headers(state: UploadState) -> dict[str, str]:
    counts = {"Upload-Offset": state.offset, "Upload-Length": state.length}
    expires = {"Upload-Expires": format_datetime(state.expires_at, usegmt=True)}
    return {name: str(count) for name, count in counts.items() if count is not None} | expires


def _answer(response: Response, state: UploadState, language: str) -> ImageUpload:
    translation, refused = Translation(language), state.refused
    upload = ImageUpload(
        id=state.upload_id,
        expires_at=state.expires_at,
        quality=state.quality,
        status=state.status.value,
        offset=state.offset,
        length=state.length,
        refusal=UploadRefusal(reason=refused.reason, detail=refused.detail) if refused else None,
    )
    upload = translation.upload(upload)
    response.headers.update({**_headers(state), **translation.headers})
    return upload
