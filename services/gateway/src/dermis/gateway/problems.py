"""Every error as a problem (RFC 9457).

It has a stable `reason`, a sentence with the remedy, and JSON pointers to what is wrong.
"""

import re
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Self, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from dermis.gateway.core.field_codes import code_of
from dermis.gateway.web.faults import fault_page, reads_pages
from dermis.shared.errors import HTTP_STATUS, DermisError, Kind
from dermis.shared.telemetry import log

T = TypeVar("T")
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
_PARAMETER = re.compile(r"/(?:query|header|path)/([^/]+).*")
SCOPE_KEY = "dermis.problem"
"""Where the request's scope holds what the log is to say of a problem."""
_RENAMED = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110; Python's names changed in 3.13


def title(status: int) -> str:
    """Return the phrase of a status code."""
    return _RENAMED.get(status) or HTTPStatus(status).phrase


class FieldProblem(BaseModel):
    """One field that is wrong."""

    code: str = Field(description="stable code, UPPER_SNAKE: what is wrong with this field")
    detail: str
    pointer: str = Field(
        description="JSON pointer (RFC 6901) into the form; or `/query/...`, `/header/...`, `/path/...`"
    )
    parameter: str | None = Field(None, description="name of the parameter, where a query, header or path has it")

    @classmethod
    def at(cls, pointer: str, code: str, detail: str) -> Self:
        """Return what is wrong at `pointer`; a pointer to a parameter names it too."""
        named = _PARAMETER.fullmatch(pointer)
        return cls(code=code, detail=detail, pointer=pointer, parameter=named and named[1])


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field("about:blank", description="always about:blank: `reason` says what kind of problem this is")
    title: str = Field(description="the status code's phrase")
    status: int
    detail: str = Field(description="what is wrong and what to do about it")
    instance: str = Field(description="this very occurrence, to be named when asking for help")
    reason: str = Field(description="stable code, UPPER_SNAKE")
    errors: list[FieldProblem] = []


class BusyError(DermisError):
    """UNAVAILABLE because there is too much to do; `retry_after` in seconds."""

    def __init__(self, reason: str, detail: str, *, retry_after: int) -> None:
        super().__init__(Kind.UNAVAILABLE, reason, detail)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (_busy, (self.reason, self.detail, self.retry_after))


class RefusedError(DermisError):
    """A refusal whose response carries `headers`."""

    def __init__(self, kind: Kind, reason: str, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(kind, reason, detail)
        self.headers = dict(headers)

    def __reduce__(self) -> tuple[object, ...]:
        return (RefusedError, (self.kind, self.reason, self.detail, self.headers))


def _busy(reason: str, detail: str, retry_after: int) -> BusyError:
    return BusyError(reason, detail, retry_after=retry_after)


class FieldsError(DermisError):
    """INVALID, or another kind, with a list of fields; without a `detail` it is that of the first three."""

    def __init__(
        self, reason: str, errors: Sequence[FieldProblem], *, detail: str = "", kind: Kind = Kind.INVALID
    ) -> None:
        super().__init__(kind, reason, detail or "; ".join(each.detail for each in errors[:3]))
        self.errors = tuple(errors)

    def __reduce__(self) -> tuple[object, ...]:
        return (_fields, (self.reason, self.errors, self.detail, self.kind))


def _fields(reason: str, errors: Sequence[FieldProblem], detail: str, kind: Kind) -> FieldsError:
    return FieldsError(reason, errors, detail=detail, kind=kind)


class RequestFaults:
    """Collects what is wrong with several parts of a request, so that a caller reads of all at once.

    >>> faults = RequestFaults()
    >>> faults.of(lambda: int("1"))
    1
    >>> faults.check()
    """

    def __init__(self) -> None:
        self._errors: list[DermisError] = []

    def of(self, read: Callable[[], T]) -> T | None:
        """Return what `read` returns, or None and keep what it raises of the caller's fault."""
        try:
            return read()
        except DermisError as error:
            self._errors.append(error)
            return None

    def check(self) -> None:
        """Raise what was kept: kind and reason are those of the first, as if it were alone."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            first = self._errors[0]
            raise FieldsError(
                first.reason, [each for error in self._errors for each in _field_problems(error)], kind=first.kind
            )


def _field_problems(error: DermisError) -> list[FieldProblem]:
    """Return the fields that an error is about; one that is about none stands at the whole body."""
    if isinstance(error, FieldsError):
        return list(error.errors)
    return [FieldProblem.at(error.pointer or "", error.reason, error.detail)]


def pointer_to(start: str, path: Sequence[int | str]) -> str:
    """Return the JSON pointer (RFC 6901) to what stands at `path` below `start`, cut to 200 characters."""
    return "/".join([start, *(str(part).replace("~", "~0").replace("/", "~1") for part in path)])[:200]


def parameters_error(error: RequestValidationError) -> FieldsError:
    """Return what FastAPI found wrong with a request's parameters."""
    errors = [
        FieldProblem.at(pointer_to("", each["loc"]), code_of(each["type"]), each["msg"]) for each in error.errors()
    ]
    detail = "; ".join(f"{each.pointer[1:]}: {each.detail}" for each in errors)
    return FieldsError("PARAMETER", errors, detail=detail)


def fault(reason: str, detail: str, *, pointer: str | None = None) -> DermisError:
    """Return the refusal of a request that is wrong at `pointer`."""
    return DermisError(Kind.INVALID, reason, detail, pointer=pointer)


def problem_page(request: Request, error: DermisError) -> Response:
    """Return the page that shows `error`, whatever the caller accepts."""
    return _response(request, error, as_page=True)


def problem_response(request: Request, error: DermisError) -> Response:
    """Return the response that shows `error`: problem details, or a page to who reads pages."""
    return _response(request, error, as_page=reads_pages(request))


def _response(request: Request, error: DermisError, *, as_page: bool) -> Response:
    errors = _field_problems(error) if error.pointer or isinstance(error, FieldsError) else []
    wait = error.retry_after if isinstance(error, BusyError) else RETRY_AFTER_SECONDS
    headers = {"Retry-After": str(wait)} if error.retryable else {}
    if isinstance(error, RefusedError):
        headers |= error.headers
    problem = problem_of(HTTP_STATUS[error.kind], error.reason, error.detail, errors=errors)
    return _answer(request, problem, headers, as_page=as_page)


def internal_problem(request: Request, error: Exception) -> Response:
    """Log where an unforeseen error came from, and return its response.

    Its message is not logged: it may hold a person's data.
    """
    frames = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)[-5:]
    ]
    detail = "something went wrong on our side; try again, and name this instance if it stays so"
    log.error("unforeseen", cause=type(error).__name__, frames=frames)
    return respond(request, 500, "INTERNAL", detail)


def install(app: FastAPI) -> None:
    """Make `app` answer every error with a problem."""
    app.add_exception_handler(DermisError, _on_dermis_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


async def _on_dermis_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DermisError)  # noqa: S101 (Starlette's signature)
    return problem_response(request, error)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return problem_response(request, parameters_error(error))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    reason = title(error.status_code).upper().replace(" ", "_")
    detail = {
        404: f"there is nothing at {request.url.path[:200]!r}; see /openapi.json",
        405: f"{request.method} is not allowed here; see /openapi.json",
    }.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == 405 and (path := getattr(request.scope.get("route"), "path", None)):
        # The framework names the methods of one route; a path has several.
        methods = [method.upper() for method in request.app.openapi()["paths"].get(path, ("get",))]
        headers["Allow"] = ", ".join([*methods, *(["HEAD"] if "GET" in methods else ())])
    return respond(request, error.status_code, reason, detail, headers=headers)


def problem_of(status: int, reason: str, detail: str, *, errors: Sequence[FieldProblem] = ()) -> Problem:
    """Return a problem with a name of its own."""
    instance = f"urn:uuid:{uuid.uuid4()}"
    return Problem(
        title=title(status), status=status, detail=detail, instance=instance, reason=reason, errors=list(errors)
    )


def respond(
    request: Request,
    status: int,
    reason: str,
    detail: str,
    *,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response that shows a problem, and keep its reason for the request's log line."""
    problem = problem_of(status, reason, detail, errors=errors)
    return _answer(request, problem, headers or {}, as_page=reads_pages(request))


def _answer(request: Request, problem: Problem, headers: Mapping[str, str], *, as_page: bool) -> Response:
    request.scope[SCOPE_KEY] = {"reason": problem.reason, "instance": problem.instance}
    if as_page:
        page = fault_page(
            request,
            status=problem.status,
            reason=problem.reason,
            detail=problem.detail,
            instance=problem.instance,
        )
        page.headers.update({**headers, "Vary": f"Accept, {page.headers['Vary']}"})
        return page
    content = problem.model_dump_json(exclude_none=True)
    described = {"Vary": "Accept", "Content-Language": "en", **headers}
    return Response(content, status_code=problem.status, media_type=MEDIA_TYPE, headers=described)
