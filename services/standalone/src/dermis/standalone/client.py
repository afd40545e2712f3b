"""Client of the HTTP API."""

import json
import mimetypes
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from dermis.shared.errors import DermisError, Kind
from dermis.shared.vocabulary import SelfReport, ShotType

_FINAL = {"FINISHED", "FAILED", "ERASED"}
_LONG_POLL_S = 20


class Api:
    """The gateway at `url`. A problem that it answers, or no answer at all, is a `DermisError`."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        try:
            self._client = httpx.Client(base_url=self._url, timeout=_LONG_POLL_S + 10, transport=transport)
        except httpx.InvalidURL as fault:
            raise DermisError(Kind.INVALID, "URL", f"{url!r} is no URL ({fault}); write http://host:port") from None

    def submit(self, images: Sequence[Path], *, shot_types: Sequence[ShotType], report: SelfReport, deadline: float) -> dict[str, Any]:
        """Submit a case and return it as answered; a busy gateway is asked again until `deadline`, without making a second case."""
        files = [("images", (image.name, image.read_bytes(), mimetypes.guess_type(image.name)[0])) for image in images]
        data = {"self_report": report.model_dump_json(exclude_none=True), "shot_types": [str(shot) for shot in shot_types]}
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Prefer": f"wait={_LONG_POLL_S}"}
        return _body(self._ask("POST", "/v1/cases", deadline, files=files, data=data, headers=headers))

    def follow(self, case: dict[str, Any], *, deadline: float) -> dict[str, Any]:
        """Return the case once it is finished or failed; DEADLINE after `deadline` on the monotonic clock."""
        wait = 0.2
        while case["status"] not in _FINAL:
            if time.monotonic() > deadline:
                detail = f"case {case['id']} is {case['status']} still; look again with GET {self._url}/v1/cases/{case['id']}"
                raise DermisError(Kind.DEADLINE, "NOT_FINISHED", detail)
            response = self._ask("GET", f"/v1/cases/{case['id']}", deadline, headers={"Prefer": f"wait={_LONG_POLL_S}"})
            case = _body(response)
            if case["status"] not in _FINAL:
                time.sleep(_retry_after(response, wait))
                wait = min(wait * 1.5, 2)
        return case

    def _ask(self, method: str, path: str, deadline: float, **arguments: Any) -> httpx.Response:
        while True:
            try:
                response = self._client.request(method, path, **arguments)
            except httpx.ConnectError:
                detail = f"nothing answers at {self._url}; start dermis with `dermis up`, or name its address with --url"
                raise DermisError(Kind.UNAVAILABLE, "NO_GATEWAY", detail) from None
            except httpx.HTTPError as fault:
                raise DermisError(Kind.UNAVAILABLE, "NO_ANSWER", f"{self._url}: {str(fault) or type(fault).__name__}") from None
            wait = _retry_after(response, 1)
            if response.status_code not in (429, 503) or time.monotonic() + wait > deadline:
                return response
            time.sleep(wait)


def _retry_after(response: httpx.Response, otherwise: float) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), 30) if text.isdigit() else otherwise


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except json.JSONDecodeError:
        body = None
    if response.is_success and isinstance(body, dict) and {"id", "status"} <= body.keys():
        return body
    raise _problem(response, body if isinstance(body, dict) else {})


def _problem(response: httpx.Response, problem: dict[str, Any]) -> DermisError:
    detail = problem.get("detail") or f"the answer {response.status_code} is none of dermis; is {response.url} right?"
    errors = [error for error in problem.get("errors") or () if error.get("detail") != detail]
    places = "".join(f"\n  {error.get('pointer')}: {error.get('detail')}" for error in errors)
    if not errors and problem.get("errors"):
        places = f" ({problem['errors'][0].get('pointer')})"
    return DermisError(Kind.INVALID, str(problem.get("reason") or "PROBLEM"), f"{detail}{places}")
