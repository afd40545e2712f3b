"""The one error that the client raises."""

import json
from typing import Any, NamedTuple

import httpx


class FieldFault(NamedTuple):
    """What is wrong at one place.

    `pointer` is a JSON pointer (RFC 6901) into the form, or `/query/...`, `/header/...`, `/path/...`, and `parameter`
    then the parameter's name. `code` is stable, UPPER_SNAKE.
    """

    pointer: str
    detail: str
    code: str = ""
    parameter: str | None = None


class ApiError(Exception):
    """A call that did not succeed.

    `reason` is a stable code in UPPER_SNAKE: the gateway's own, or NO_GATEWAY (nothing answers at the URL), NO_ANSWER
    (the connection broke), NOT_FINISHED (the time to wait is over), NOT_DERMIS (an answer that is none of dermis), URL,
    IMAGE. `detail` says what is wrong and what to do about it, `pointers` where. `status` is the HTTP status and None
    without an answer; `instance` names this very occurrence when asking for help.
    """

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        pointers: tuple[FieldFault, ...] = (),
        status: int | None = None,
        instance: str | None = None,
    ) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.pointers = pointers
        self.status = status
        self.instance = instance

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later without a change."""
        return self.status in (408, 429, 502, 503, 504, 507) or self.reason in ("NO_ANSWER", "NO_GATEWAY")

    def __str__(self) -> str:
        others = [fault for fault in self.pointers if fault.detail != self.detail]
        if not others and self.pointers:
            return f"{self.detail} ({self.pointers[0].pointer})"
        return "".join((self.detail, *(f"\n  {fault.pointer}: {fault.detail}" for fault in others)))


def error_of(response: httpx.Response) -> ApiError:
    """Return the problem (RFC 9457) that a response is; NOT_DERMIS where it is none."""
    problem = _problem(response)
    detail = problem.get("detail") or f"the answer {response.status_code} is none of dermis; is {response.url} right?"
    return ApiError(
        str(problem.get("reason") or "NOT_DERMIS"),
        str(detail),
        pointers=tuple(
            FieldFault(
                str(each.get("pointer")), str(each.get("detail")), str(each.get("code", "")), each.get("parameter")
            )
            for each in problem.get("errors") or ()
            if isinstance(each, dict)
        ),
        status=response.status_code,
        instance=problem.get("instance"),
    )


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    return body if isinstance(body, dict) and not response.is_success else {}
