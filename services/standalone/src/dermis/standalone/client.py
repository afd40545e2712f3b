"""Client of the HTTP API, for programs: `from dermis.standalone.client import Api`. Every answer is typed (`dermis.shared.http`)."""

import json
import mimetypes
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from dermis.shared.batches import BatchResult
from dermis.shared.case import Consent, Status
from dermis.shared.errors import HTTP_STATUS, DermisError, Kind
from dermis.shared.http import (
    Batch,
    BatchList,
    BatchSource,
    BatchSummary,
    Case,
    CaseList,
    CaseSummary,
    ConditionList,
    Evaluation,
    Feedback,
    FeedbackKept,
    ModelList,
)
from dermis.shared.report import QualityReport
from dermis.shared.vocabulary import SelfReport, ShotType

M = TypeVar("M", bound=BaseModel)
_FINAL = {Status.FINISHED, Status.FAILED, Status.ERASED}
_LONG_POLL_S = 20
_KINDS = {status: kind for kind, status in HTTP_STATUS.items()}


class Api:
    """The gateway at `url`, called with an API key if one is given. A problem that it answers, or no answer, is a `DermisError`.

    >>> with Api("http://127.0.0.1:8080") as api:
    ...     case = api.assess([Path("arm.jpg")], report=SelfReport(related_category="RASH"))
    ...     print(case.outcome.kind, case.guidance.next_step)
    """

    def __init__(self, url: str, *, key: str | None = None, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._client = httpx.Client(base_url=self._url, headers=headers, timeout=_LONG_POLL_S + 10, transport=transport)
        except httpx.InvalidURL as fault:
            raise DermisError(Kind.INVALID, "URL", f"{url!r} is no URL ({fault}); write http://host:port") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def assess(
        self,
        images: Sequence[Path],
        *,
        report: SelfReport | None = None,
        shot_types: Sequence[ShotType] = (),
        consent: Consent = Consent.ASSESS_ONLY,
        seconds: float = 120,
    ) -> Case:
        """Submit a case and return it once it is finished or failed; DEADLINE after `seconds`."""
        deadline = time.monotonic() + seconds
        case = self.submit(images, report=report or SelfReport(), shot_types=shot_types, consent=consent, deadline=deadline)
        return self.follow(case, deadline=deadline)

    def submit(
        self,
        images: Sequence[Path],
        *,
        report: SelfReport,
        deadline: float,
        shot_types: Sequence[ShotType] = (),
        consent: Consent = Consent.ASSESS_ONLY,
    ) -> Case:
        """Submit a case and return it as answered; a busy gateway is asked again until `deadline`, without making a second case.

        `deadline` is on the monotonic clock.
        """
        files = [("images", (image.name, image.read_bytes(), mimetypes.guess_type(image.name)[0])) for image in images]
        data = {
            "self_report": report.model_dump_json(exclude_none=True),
            "shot_types": [str(shot) for shot in shot_types],
            "consent": str(consent),
        }
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Prefer": f"wait={_LONG_POLL_S}"}
        return _read(self._ask("POST", "/v1/cases", deadline=deadline, files=files, data=data, headers=headers), Case)

    def follow(self, case: Case, *, deadline: float) -> Case:
        """Return the case once it is finished or failed; DEADLINE after `deadline` on the monotonic clock."""
        wait = 0.2
        while case.status not in _FINAL:
            if time.monotonic() > deadline:
                detail = f"case {case.id} is {case.status} still; look again with GET {self._url}/v1/cases/{case.id}"
                raise DermisError(Kind.DEADLINE, "NOT_FINISHED", detail)
            response = self._ask("GET", f"/v1/cases/{case.id}", deadline=deadline, headers={"Prefer": f"wait={_LONG_POLL_S}"})
            case = _read(response, Case)
            if case.status not in _FINAL:
                time.sleep(_retry_after(response, wait))
                wait = min(wait * 1.5, 2)
        return case

    def case(self, case_id: str) -> Case:
        """Return a case as far as it has come."""
        return self._get(f"/v1/cases/{case_id}", Case)

    def cases(self) -> Iterator[CaseSummary]:
        """Yield all cases of this key, the oldest first."""
        for page in self._pages("/v1/cases", CaseList):
            yield from page.cases

    def erase(self, case_id: str) -> None:
        _checked(self._ask("DELETE", f"/v1/cases/{case_id}"))

    def heatmap(self, case_id: str, n: int, *, condition: str | None = None) -> bytes:
        """Return a PNG to lay over image `n`: where the model saw what speaks for a condition, else for the most probable."""
        params = {"condition": condition} if condition else {}
        return _checked(self._ask("GET", f"/v1/cases/{case_id}/images/{n}/heatmap", params=params)).content

    def give_feedback(self, case_id: str, feedback: Feedback) -> FeedbackKept:
        """Say what became of an outcome."""
        return _read(self._ask("POST", f"/v1/cases/{case_id}/feedback", json=feedback.model_dump(mode="json")), FeedbackKept)

    def judge(self, image: Path) -> QualityReport:
        """Return an image's quality report; nothing is kept."""
        return _read(self._ask("POST", "/v1/images:assess", files={"image": (image.name, image.read_bytes())}), QualityReport)

    def conditions(self) -> ConditionList:
        return self._get("/v1/conditions", ConditionList)

    def models(self) -> ModelList:
        return self._get("/v1/models", ModelList)

    def evaluation(self, version: int) -> Evaluation:
        """Return how a version of the current model was measured, by skin tone among others."""
        return self._get(f"/v1/models/{version}/evaluation", Evaluation)

    def create_batch(self, source: BatchSource, *, csv: bytes | None = None) -> Batch:
        """Have many cases assessed: the rows of `csv`, or of the source's CSV file, or an image each below its prefix."""
        if csv is None:
            return _read(self._ask("POST", "/v1/batches", json=source.model_dump(mode="json")), Batch)
        headers = {"Content-Type": "text/csv"}
        return _read(self._ask("POST", "/v1/batches", params={"url": source.url}, content=csv, headers=headers), Batch)

    def batch(self, batch_id: str) -> Batch:
        """Return a batch and how far it is."""
        return self._get(f"/v1/batches/{batch_id}", Batch)

    def batches(self) -> Iterator[BatchSummary]:
        for page in self._pages("/v1/batches", BatchList):
            yield from page.batches

    def batch_results(self, batch_id: str) -> Iterator[BatchResult]:
        """Yield a batch's results as far as they go, in order, while they come."""
        with self._reached(), self._client.stream("GET", f"/v1/batches/{batch_id}/results") as response:
            if not response.is_success:
                response.read()
            _checked(response)
            yield from (BatchResult.model_validate_json(line) for line in response.iter_lines())

    def erase_batch(self, batch_id: str) -> None:
        _checked(self._ask("DELETE", f"/v1/batches/{batch_id}"))

    def _pages(self, path: str, kind: type[M]) -> Iterator[M]:
        cursor: str | None = ""
        while cursor is not None:
            page = _read(self._ask("GET", path, params={"cursor": cursor} if cursor else {}), kind)
            yield page
            cursor = getattr(page, "next_cursor", None)

    def _get(self, path: str, kind: type[M]) -> M:
        return _read(self._ask("GET", path), kind)

    def _ask(self, method: str, path: str, *, deadline: float = 0, **arguments: Any) -> httpx.Response:
        """Return the answer; one that says to come again is asked again while that is before `deadline`."""
        while True:
            with self._reached():
                response = self._client.request(method, path, **arguments)
            wait = _retry_after(response, 1)
            if response.status_code not in (429, 503) or time.monotonic() + wait > deadline:
                return response
            time.sleep(wait)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            detail = f"nothing answers at {self._url}; start dermis with `dermis up`, or name its address with --url"
            raise DermisError(Kind.UNAVAILABLE, "NO_GATEWAY", detail) from None
        except httpx.HTTPError as fault:
            raise DermisError(Kind.UNAVAILABLE, "NO_ANSWER", f"{self._url}: {str(fault) or type(fault).__name__}") from None


def _retry_after(response: httpx.Response, otherwise: float) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), 30) if text.isdigit() else otherwise


def _checked(response: httpx.Response) -> httpx.Response:
    """Return the response, or raise the problem that it is."""
    if not response.is_success:
        raise _problem(response)
    return response


def _read(response: httpx.Response, kind: type[M]) -> M:
    try:
        return kind.model_validate_json(_checked(response).content)
    except ValidationError:
        raise _problem(response) from None


def _problem(response: httpx.Response) -> DermisError:
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    problem = body if isinstance(body, dict) and not response.is_success else {}
    detail = problem.get("detail") or f"the answer {response.status_code} is none of dermis; is {response.url} right?"
    errors = [error for error in problem.get("errors") or () if error.get("detail") != detail]
    places = "".join(f"\n  {error.get('pointer')}: {error.get('detail')}" for error in errors)
    if not errors and problem.get("errors"):
        places = f" ({problem['errors'][0].get('pointer')})"
    kind = _KINDS.get(response.status_code, Kind.INVALID)
    return DermisError(kind, str(problem.get("reason") or "PROBLEM"), f"{detail}{places}")
