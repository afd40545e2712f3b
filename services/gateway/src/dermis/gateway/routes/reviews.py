"""Pages of second reads: sign in, choose a case, read it blind, settle where readings disagree."""

import functools
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from dermis.gateway.body import read_body
from dermis.gateway.core.second_read import ReadingOrder, Standing
from dermis.gateway.dependencies import Dependencies, PartsOf
from dermis.gateway.problems import parameters_error, problem_page
from dermis.gateway.review_form import FORM, MOST_BYTES, fields_of, reading_form_of
from dermis.gateway.reviews import ReadableCase
from dermis.gateway.schemas import case_of
from dermis.gateway.sign_in import PATH, NotSignedInError, Reader, Role, SignIn
from dermis.gateway.web.page import respond
from dermis.shared.audit import Act
from dermis.shared.case import MAX_IMAGES, fold
from dermis.shared.codes import labels
from dermis.shared.errors import DermisError, Kind

_ROWS_SHOWN = 50


class ReviewRoute(APIRoute):
    """A page for clinicians: not there where second reads are off, a way to sign in for who is not signed in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_as_page(request: Request) -> Response:
            parts: Dependencies = request.app.state.parts
            try:
                if parts.sign_in is None:
                    detail = "second reads are off; whoever runs the server turns them on by DERMIS_GATEWAY_OIDC_ISSUER"
                    raise DermisError(Kind.NOT_FOUND, "SECOND_READ_OFF", detail)
                return await handle(request)
            except NotSignedInError:
                return respond(request, "ops/reviews/sign_in.html", status=401, reader=None)
            except DermisError as error:
                if error.reason in ("NOT_READABLE", "CASE_ERASED"):
                    return respond(request, "ops/reviews/gone.html", status=404, reader=_reader_or_none(request))
                return problem_page(request, error)
            except RequestValidationError as error:
                return problem_page(request, parameters_error(error))

        return handle_as_page


router = APIRouter(prefix=PATH, include_in_schema=False, route_class=ReviewRoute)
_page = functools.partial(router.api_route, methods=["GET", "HEAD"])


def _sign_in(parts: PartsOf) -> SignIn:
    if parts.sign_in is None:  # the route has said so already
        raise NotSignedInError
    return parts.sign_in


def _signed_in(request: Request, sign_in: Annotated[SignIn, Depends(_sign_in)]) -> Reader:
    return sign_in.reader(request)


def _reviewer(reader: Annotated[Reader, Depends(_signed_in)]) -> Reader:
    reader.require(Role.REVIEWER)
    return reader


def _adjudicator(reader: Annotated[Reader, Depends(_signed_in)]) -> Reader:
    reader.require(Role.ADJUDICATOR)
    return reader


def _reader_or_none(request: Request) -> Reader | None:
    try:
        return _signed_in(request, _sign_in(request.app.state.parts))
    except NotSignedInError:
        return None


_SignIn = Annotated[SignIn, Depends(_sign_in)]
_Anyone = Annotated[Reader, Depends(_signed_in)]
_Reviewer = Annotated[Reader, Depends(_reviewer)]
_Adjudicator = Annotated[Reader, Depends(_adjudicator)]
_ImageNumber = Annotated[int, Path(ge=1, le=MAX_IMAGES)]


@_page("/sign-in")
async def sign_in(request: Request, sign_in: _SignIn) -> Response:
    return await sign_in.leave(request)


@_page("/callback")
async def reader_returns(request: Request, sign_in: _SignIn) -> Response:
    """Take in who comes from the provider; the way on is always the same, as an address in a link might be anyone's."""
    await sign_in.come_back(request)
    return RedirectResponse(PATH, 303)


@router.post("/sign-out")
async def sign_out(request: Request, reader: _Anyone) -> Response:
    await _check_form(request, reader)
    request.session.clear()
    return RedirectResponse(PATH, 303)


@_page("")
async def worklist_page(
    request: Request, parts: PartsOf, reader: _Anyone, order: ReadingOrder = ReadingOrder.LEARNING
) -> HTMLResponse:
    if Role.REVIEWER not in reader.roles:
        return RedirectResponse(f"{PATH}/adjudications", 303)  # type: ignore[return-value]
    cases = await run_in_threadpool(parts.reviews.worklist, reader.reader_id, order)
    return respond(
        request,
        "ops/reviews/worklist.html",
        reader=reader,
        cases=cases[:_ROWS_SHOWN],
        waiting=len(cases),
        order=order,
        orders=list(ReadingOrder),
        readers_per_case=parts.reviews.readers_per_case,
    )


@_page("/next")
async def next_case(parts: PartsOf, reader: _Reviewer, order: ReadingOrder = ReadingOrder.LEARNING) -> Response:
    """Go to the case that this reader should read next, or to the list where there is none."""
    cases = await run_in_threadpool(parts.reviews.worklist, reader.reader_id, order)
    return RedirectResponse(f"{PATH}/{cases[0].candidate.case_id}" if cases else PATH, 303)


@_page("/labels")
async def labels_of_conditions(_reader: _Anyone) -> Response:
    return JSONResponse(labels(), headers={"Cache-Control": "private, max-age=3600"})


@_page("/adjudications")
async def adjudications_page(request: Request, parts: PartsOf, reader: _Adjudicator) -> HTMLResponse:
    cases = await run_in_threadpool(parts.reviews.adjudications, reader.reader_id)
    return respond(
        request, "ops/reviews/adjudications.html", reader=reader, cases=cases[:_ROWS_SHOWN], waiting=len(cases)
    )


@_page("/agreement")
async def agreement_page(request: Request, parts: PartsOf, reader: _Anyone) -> HTMLResponse:
    counts, readings = await run_in_threadpool(parts.reviews.counts)
    return respond(
        request,
        "ops/reviews/agreement.html",
        reader=reader,
        counts={each: counts[each] for each in Standing},
        readings=readings,
        readers_per_case=parts.reviews.readers_per_case,
    )


@_page("/{case_id}")
async def read_page(request: Request, case_id: str, parts: PartsOf, reader: _Reviewer) -> HTMLResponse:
    """Show a case to read; once its reader's own reading stands, that and the model's answer."""
    case = await run_in_threadpool(parts.reviews.find, case_id)
    review = await run_in_threadpool(parts.reviews.review, case, reader.reader_id)
    if review is None:
        await run_in_threadpool(parts.reviews.claim, case, reader.reader_id)
        return respond(request, "ops/reviews/read.html", reader=reader, case=_blind(case), answers=_answers(case))
    return respond(
        request,
        "ops/reviews/compared.html",
        reader=reader,
        case=_blind(case),
        answers=case.received.self_report,
        review=review,
        result=case_of(fold((case.received, case.outcome))),
    )


@router.post("/{case_id}")
async def submit_review(request: Request, case_id: str, parts: PartsOf, reader: _Reviewer) -> Response:
    case = await run_in_threadpool(parts.reviews.find, case_id)
    form = reading_form_of(await _check_form(request, reader), labels=labels())
    if Role.ADJUDICATOR in reader.roles:
        await run_in_threadpool(parts.reviews.check_unseen, case)
    await run_in_threadpool(parts.reviews.put_review, case, reader.reader_id, form)
    parts.audit.note(Act.REVIEW, by=reader.reader_id, route=f"{PATH}/{{case_id}}", case_id=case_id)
    return RedirectResponse(f"{PATH}/{case_id}", 303)


@_page("/{case_id}/images/{n}")
async def review_image(case_id: str, n: _ImageNumber, parts: PartsOf, reader: _Anyone) -> Response:
    data = await run_in_threadpool(parts.reviews.image, case_id, n)
    parts.audit.note(Act.READ, by=reader.reader_id, route=f"{PATH}/{{case_id}}/images/{{n}}", case_id=case_id, n=n)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@_page("/{case_id}/adjudication")
async def adjudication_page(request: Request, case_id: str, parts: PartsOf, reader: _Adjudicator) -> HTMLResponse:
    case = await run_in_threadpool(parts.reviews.find, case_id)
    await run_in_threadpool(parts.reviews.check_disagreement, case)
    return respond(
        request,
        "ops/reviews/adjudicate.html",
        reader=reader,
        case=_blind(case),
        answers=_answers(case),
        reviews=await run_in_threadpool(parts.reviews.reviews, case),
        adjudication=await run_in_threadpool(parts.reviews.adjudication, case),
    )


@router.post("/{case_id}/adjudication")
async def submit_adjudication(request: Request, case_id: str, parts: PartsOf, reader: _Adjudicator) -> Response:
    case = await run_in_threadpool(parts.reviews.find, case_id)
    form = reading_form_of(await _check_form(request, reader), labels=labels())
    await run_in_threadpool(parts.reviews.put_adjudication, case, reader.reader_id, form)
    parts.audit.note(Act.REVIEW, by=reader.reader_id, route=f"{PATH}/{{case_id}}/adjudication", case_id=case_id)
    return RedirectResponse(f"{PATH}/{case_id}/adjudication", 303)


async def _check_form(request: Request, reader: Reader) -> dict[str, list[str]]:
    """Return the fields of a form that comes from a page of this reader's session."""
    _, body = await read_body(request, most_of={FORM: MOST_BYTES})
    fields = fields_of(body)
    reader.check_form(next(iter(fields.get("token", ())), ""))
    return fields


def _blind(case: ReadableCase) -> dict[str, Any]:
    """Return what a page names of a case before its reader's own reading: neither its owner nor its outcome."""
    return {"id": case.case_id, "images": case.images}


def _answers(case: ReadableCase) -> Any:
    """Return the answers but the person's own skin type, which would stand in the way of an estimate."""
    return case.received.self_report.model_copy(update={"fitzpatrick_skin_type": None})
