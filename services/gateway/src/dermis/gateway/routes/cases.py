"""Routes of cases: submit, read, follow, list and erase them."""

import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from dermis.gateway.auth import Caller
from dermis.gateway.body import read_case, read_json
from dermis.gateway.convert import NewCase, digest_of, new_case_of, upload_ids_of
from dermis.gateway.core.events import ERASED, events_of
from dermis.gateway.core.prefer import wait_seconds
from dermis.gateway.dependencies import (
    CreatingOwner,
    Dependencies,
    Language,
    Owner,
    PartsOf,
    StillValid,
    WritingOwner,
)
from dermis.gateway.form import CASE_FORM
from dermis.gateway.http import Case, CaseList, Feedback, FeedbackKept
from dermis.gateway.middleware import CALLER_KEY
from dermis.gateway.openapi import CASE_BODY, EVENTS, FEEDBACK_BODY, HEATMAP, PREPARED_IMAGE, SHOWN, TAKEN_IN, problems
from dermis.gateway.pipeline import CasePipeline
from dermis.gateway.routes.paging import Cursor, Limit, Time, place_of
from dermis.gateway.schemas import case_of, list_of
from dermis.gateway.submission import Retry
from dermis.gateway.translation import Translation
from dermis.gateway.uploads import UPLOAD_USED
from dermis.shared.case import MAX_IMAGES, PUBLIC_OWNER, CaseState, Received, Status, fold
from dermis.shared.errors import DermisError, Kind
from dermis.shared.listing import Filter, Order
from dermis.shared.references import REFERENCE_PATTERN
from dermis.shared.telemetry import log

RETRY_AFTER_SECONDS = 1
_QUIET_LOOKS = 5
_OF_304 = ("ETag", "Content-Language", "Vary")
_ORDINAL = re.compile(r"[0-9]{1,9}")
Key = Annotated[
    str | None, Header(min_length=1, max_length=255, description="makes it safe to send the same case again")
]
Prefer = Annotated[
    str | None, Header(description="`wait=N`: answer when the case is finished, after N seconds at the latest")
]
router = APIRouter(prefix="/v1/cases", tags=["cases"])


@router.post(
    "",
    summary="Submit a case",
    status_code=202,
    response_model=Case,
    responses={**TAKEN_IN, **problems(408, 413, 415, 422, 503, 507)},
    openapi_extra={"requestBody": CASE_BODY},
)
async def submit_case(
    request: Request,
    parts: PartsOf,
    owner: CreatingOwner,
    still_valid: StillValid,
    language: Language,
    prefer: Prefer = None,
    idempotency_key: Key = None,
) -> Response:
    await parts.check_room()
    await parts.admit(request)
    received, new = await _take_in(request, parts, owner, idempotency_key)
    if new:
        await parts.enqueue(received, request)
    seconds = wait_seconds(prefer, most=parts.settings.max_wait_seconds)
    state = (
        await _waited(request, received.case_id, owner=owner, seconds=seconds)
        if seconds or not new
        else fold((received,))
    )
    await still_valid()
    headers = {"Location": f"/v1/cases/{received.case_id}", **_applied(seconds)}
    if not new:
        headers["Idempotent-Replayed"] = "true"
    client_secret = await _client_secret(request, received, new=new)
    status_code = 200 if state.closed else 202
    return _case_response(request, state, language, status_code, headers=headers, client_secret=client_secret)


@router.get("", summary="List cases", responses=problems(403, 422, 503))
async def list_cases(
    request: Request,
    parts: PartsOf,
    owner: Owner,
    cursor: Cursor = "",
    limit: Limit = 20,
    order: Annotated[Order, Query(description="by when cases were received")] = Order.OLDEST,
    status: Annotated[list[Status] | None, Query(max_length=len(Status), description="cases of these alone")] = None,
    received_from: Annotated[Time | None, Query(description="cases received then or later")] = None,
    received_before: Annotated[Time | None, Query(description="cases received earlier")] = None,
    client_reference: Annotated[
        str | None, Query(pattern=f"^{REFERENCE_PATTERN}$", description="cases of this reference alone")
    ] = None,
) -> CaseList:
    if owner == PUBLIC_OWNER and not parts.settings.list_public:
        detail = (
            "cases that were submitted without an API key can't be listed: whoever knows a case's id may see it; "
            "ask for one by its id"
        )
        raise DermisError(Kind.PERMISSION, "LISTING_OFF", detail)
    after = place_of(cursor, kind="case")
    wanted = Filter(statuses=status or (), start=received_from, end=received_before, reference=client_reference)
    page = parts.pipeline.page
    listed = await run_in_threadpool(page, owner=owner, after=after, size=limit + 1, order=order, wanted=wanted)
    return list_of(listed, limit, livemode=request.scope[CALLER_KEY].livemode)


@router.get("/{case_id}", summary="Show a case", response_model=Case, responses={**SHOWN, **problems(404, 422, 503)})
async def get_case(
    request: Request,
    case_id: str,
    parts: PartsOf,
    owner: Owner,
    still_valid: StillValid,
    language: Language,
    prefer: Prefer = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    seconds = wait_seconds(prefer, most=parts.settings.max_wait_seconds)
    state = await _waited(request, case_id, owner=owner, seconds=seconds)
    response = _case_response(request, state, language, headers=_applied(seconds))
    await still_valid()
    tags = {tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")}
    if tags & {response.headers["ETag"], "*"}:
        return Response(status_code=304, headers={name: response.headers[name] for name in _OF_304})
    return response


@router.delete("/{case_id}", summary="Erase a case", status_code=204, responses=problems(404, 422, 503))
async def erase_case(case_id: str, parts: PartsOf, owner: WritingOwner) -> Response:
    jobs = await run_in_threadpool(parts.pipeline.erase, case_id, owner=owner)
    parts.pipeline.hub.wake(case_id)
    await parts.broker.announce(case_id, "erased")
    await parts.broker.send_deliveries(jobs)
    return Response(status_code=204)


@router.get(
    "/{case_id}/events",
    summary="Follow a case (server-sent events)",
    response_class=Response,
    responses={**EVENTS, **problems(404, 422, 503)},
)
async def follow_case(
    request: Request,
    case_id: str,
    parts: PartsOf,
    owner: Owner,
    still_valid: StillValid,
    language: Language,
    last_event_id: Annotated[str, Header(description="ordinal of the last event that was seen")] = "",
    lang: Annotated[
        Literal["en", "es"] | None, Query(description="in place of Accept-Language, which an EventSource can't set")
    ] = None,
) -> Response:
    states = parts.pipeline.follow(case_id, owner=owner, seconds=parts.settings.stream_seconds)
    first = await anext(states)
    seen = int(last_event_id) if _ORDINAL.fullmatch(last_event_id) else 0
    if first.closed and all(event.ordinal <= seen for event in events_of(first)):
        return Response(status_code=204)  # tells EventSource not to connect again
    if connection := getattr(request.state, "connection", None):
        connection.may_give_way()
    translation = Translation(lang or language)

    def show(state: CaseState) -> str:
        case = case_of(state, read_only=request.scope[CALLER_KEY].read_only)
        return translation.case(case).model_dump_json()

    stream = _stream(first, states, still_valid, case_id, seen, show)
    return StreamingResponse(stream, media_type="text/event-stream", headers=translation.headers)


@router.get(
    "/{case_id}/images/{n}",
    summary="Show an image of a case, as it was prepared",
    response_class=Response,
    responses={**PREPARED_IMAGE, **problems(404, 422, 503)},
)
async def get_image(
    case_id: str, n: Annotated[int, Path(ge=1, le=MAX_IMAGES)], parts: PartsOf, owner: Owner, still_valid: StillValid
) -> Response:
    data = await parts.pipeline.image(case_id, owner=owner, n=n)
    await still_valid()
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@router.get(
    "/{case_id}/images/{n}/heatmap",
    summary="Show where in an image the model found what speaks for a condition",
    response_class=Response,
    responses={**HEATMAP, **problems(404, 422, 503)},
)
async def get_heatmap(
    case_id: str,
    n: Annotated[int, Path(ge=1, le=MAX_IMAGES)],
    parts: PartsOf,
    owner: Owner,
    condition: Annotated[
        str | None, Query(max_length=100, description="id of a condition in `outcome.heatmaps`; else the first")
    ] = None,
) -> Response:
    return Response(
        await parts.pipeline.heatmap(case_id, owner=owner, n=n, condition=condition), media_type="image/png"
    )


@router.post(
    "/{case_id}/feedback",
    summary="Say what became of an outcome",
    status_code=201,
    responses=problems(404, 409, 413, 415, 422, 503),
    openapi_extra={"requestBody": FEEDBACK_BODY},
)
async def give_feedback(case_id: str, request: Request, parts: PartsOf, owner: WritingOwner) -> FeedbackKept:
    return await parts.pipeline.give_feedback(case_id, await read_json(request, Feedback), owner=owner)


async def _take_in(request: Request, parts: Dependencies, owner: str, key: str | None) -> tuple[Received, bool]:
    """Return the case's first fact and whether it is new; what was uploaded is let go at the end."""
    pipeline, caller = parts.pipeline, request.scope[CALLER_KEY]
    async with parts.form(request, CASE_FORM, read=read_case) as form:
        uploads = await pipeline.uploads.show(upload_ids_of(form), owner=owner)
        retry = Retry(key=key, digest=await run_in_threadpool(digest_of, form, uploads)) if key else None
        try:
            images = await pipeline.uploads.read(uploads, owner=owner)
        except DermisError as error:
            if error.reason != UPLOAD_USED or not retry or not (case := await pipeline.submitted(retry, owner=owner)):
                raise
            return case, False  # it was this very case that took them
        taken = await _store(pipeline, await run_in_threadpool(new_case_of, form, images), retry, caller)
    await pipeline.uploads.end(uploads, owner=owner)
    return taken


async def _store(pipeline: CasePipeline, case: NewCase, retry: Retry | None, caller: Caller) -> tuple[Received, bool]:
    owner, line, livemode = caller.owner, caller.line, caller.livemode
    if retry is None:
        return await pipeline.submit(case, owner=owner, line=line, livemode=livemode), True
    return await pipeline.submit_once(case, retry, owner=owner, line=line, livemode=livemode)


async def _waited(request: Request, case_id: str, *, owner: str, seconds: float) -> CaseState:
    """Return the state of a case once it is closed, the time is over, or the client has left."""
    parts: Dependencies = request.app.state.parts
    async with contextlib.aclosing(parts.pipeline.follow(case_id, owner=owner, seconds=seconds)) as states:
        async for latest in states:
            state = latest
            if await request.is_disconnected():
                break
    return state


async def _stream(
    first: CaseState,
    states: AsyncIterator[CaseState],
    still_valid: StillValid,
    case_id: str,
    seen: int,
    show: Callable[[CaseState], str],
) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    state: CaseState | None = first
    try:
        for look in count(1):
            for event in events_of(state) if state else ():
                if event.ordinal > seen:
                    seen = event.ordinal
                    yield _event(seen, event.fact, show(event.state))
            if look % _QUIET_LOOKS == 0:
                yield b":\n\n"
            state = await anext(states, None)
            if state is None:
                return
            await still_valid()
    except DermisError as error:
        if error.reason == "CASE_ERASED":  # any other, a revoked key among them, just ends the stream
            yield _event(ERASED, "erased", f'{{"id":"{case_id}","status":"ERASED"}}')


def _event(ordinal: int, fact: str, data: str) -> bytes:
    return f"id: {ordinal}\nevent: {fact}\ndata: {data}\n\n".encode()


def _applied(seconds: float) -> dict[str, str]:
    return {"Preference-Applied": f"wait={seconds:.0f}"} if seconds else {}


async def _client_secret(request: Request, received: Received, *, new: bool) -> str | None:
    """Return what opens this case alone to whoever submitted it by a key.

    None where the case was there before, unless the caller's key reads none: an answer that was lost would be a lost
    case. None where a case has too many links.
    """
    caller: Caller = request.scope[CALLER_KEY]
    if not caller.by_key or not (new or caller.is_publishable):
        return None
    parts: Dependencies = request.app.state.parts
    lasts = timedelta(days=parts.settings.client_secret_days)
    create = partial(parts.pipeline.shares.create, owner=received.owner, lasts=lasts, may_erase=True)
    try:
        _, token = await run_in_threadpool(create, received.case_id)
    except DermisError as error:
        log.warning("a case has no client_secret", reason=error.reason)
        return None
    return token.text


def _case_response(
    request: Request,
    state: CaseState,
    language: str,
    status_code: int = 200,
    *,
    headers: Mapping[str, str],
    client_secret: str | None = None,
) -> Response:
    translation = Translation(language)
    case = translation.case(case_of(state, read_only=request.scope[CALLER_KEY].read_only))
    tag = hashlib.sha256(f"{language} {case.model_dump_json()}".encode()).hexdigest()[:32]
    body = case.model_copy(update={"client_secret": client_secret}).model_dump_json().encode()
    sent = {"ETag": f'"{tag}"', **translation.headers, **headers}
    if not state.closed:
        sent["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Response(body, status_code=status_code, media_type="application/json", headers=sent)
