"""`AsyncClient`, and with it the logic of every call; `blocking.Client` runs the same code."""

import contextlib
import json
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from dermis.client import retry
from dermis.client.answers import (
    Case,
    CaseList,
    CaseSummary,
    FeedbackKept,
    QualityReport,
)
from dermis.client.batches import Batch, BatchList, BatchResult, BatchSummary
from dermis.client.calls import AGAIN_S, read
from dermis.client.connection import LONG_POLL_S, TIMEOUT_S, AsyncConnection
from dermis.client.errors import ApiError
from dermis.client.evaluation import Evaluation
from dermis.client.events import LAST, Event, EventParser
from dermis.client.images import Image, upload_of
from dermis.client.models import (
    ConditionList,
    ModelList,
    ModelSummary,
    Promotion,
    PromotionList,
    PublishedTestImage,
    PublishedTestImages,
)
from dermis.client.self_report import ConfirmedBy, Consent, SelfReport, ShotType
from dermis.client.uploads import UploadCalls
from dermis.client.webhooks import WebhookCalls


class Api(UploadCalls, WebhookCalls):
    """Every route of the gateway, over a connection. `timeout` is in seconds; every failure is an `ApiError`.

    A busy gateway (429, 503) is asked again when `Retry-After` says so, for `timeout` seconds at most, the client's own
    where a call has no such argument; a connection that fails is tried three times more, within about 1.4 s. What could
    be done twice by that is not sent again: a case has an Idempotency-Key for it; feedback, batches and webhooks
    have none. An upload goes on where it was cut for as long as its `timeout`.
    """

    async def assess(
        self,
        images: Sequence[Image] = (),
        *,
        uploads: Sequence[str] = (),
        report: SelfReport | None = None,
        shot_types: Sequence[ShotType] = (),
        consent: Consent = "ASSESS_ONLY",
        client_reference: str | None = None,
        timeout: float = 120,
        idempotency_key: str | None = None,
    ) -> Case:
        """Submit a case of 1 to 3 images and return it once it is finished or failed; NOT_FINISHED after `timeout`.

        It may have `uploads` in place of images, by their ids. A key that only creates can't wait: `submit`, then call
        by the case's `client_secret`.
        """
        deadline = time.monotonic() + timeout
        case = await self.submit(
            images,
            uploads=uploads,
            report=report,
            shot_types=shot_types,
            consent=consent,
            client_reference=client_reference,
            wait=timeout,
            timeout=timeout,
            idempotency_key=idempotency_key,
        )
        return await self.wait(case, timeout=deadline - time.monotonic())

    async def submit(
        self,
        images: Sequence[Image] = (),
        *,
        uploads: Sequence[str] = (),
        report: SelfReport | None = None,
        shot_types: Sequence[ShotType] = (),
        consent: Consent = "ASSESS_ONLY",
        client_reference: str | None = None,
        wait: float = 0,
        timeout: float = 30,
        idempotency_key: str | None = None,
    ) -> Case:
        """Submit a case and return it as answered.

        That is at once, or finished if that takes no longer than `wait` seconds (at most 20).

        The same `idempotency_key` with the same case never makes a second one; without it each call has a new key.
        `uploads` are ids of what `upload` sent, in place of images. The answer's `client_secret` opens this case alone:
        `Client(url, key=case.client_secret)`.
        """
        fields: dict[str, Any] = {"shot_types": list(shot_types), "consent": consent}
        if client_reference is not None:
            fields["client_reference"] = client_reference
        request = self._connection.request(
            "POST",
            "/v1/cases",
            headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4()), **_prefer(wait, timeout)},
            **_body(images, uploads, report or {}, fields),
        )
        return read(await self._answer(request, timeout=timeout), Case)

    async def wait(self, case: Case | str, *, timeout: float = 120) -> Case:
        """Return a case, or that of an id, once it is finished or failed; NOT_FINISHED after `timeout`."""
        deadline = time.monotonic() + timeout
        latest = case if isinstance(case, Case) else await self.case(case)
        while not latest.is_closed:
            left = deadline - time.monotonic()
            if left <= 0:
                detail = (
                    f"case {latest.id} is {latest.status} still; look again with GET "
                    f"{self._connection.url}/v1/cases/{latest.id}"
                )
                raise ApiError("NOT_FINISHED", detail)
            request = self._connection.request("GET", f"/v1/cases/{latest.id}", headers=_prefer(left, left))
            response = await self._answer(request, timeout=left)
            latest = read(response, Case)
            if not latest.is_closed:
                await self._connection.sleep(
                    max(0, min(retry.retry_after(response, AGAIN_S), deadline - time.monotonic()))
                )
        return latest

    async def events(self, case_id: str) -> AsyncGenerator[Event, None]:
        """Yield each event of a case as it comes, until the case ends.

        A stream that breaks goes on after the last event.
        """
        last, failures = "", 0
        while True:
            request = self._connection.request(
                "GET", f"/v1/cases/{case_id}/events", headers={"Last-Event-ID": last} if last else {}
            )
            try:
                async with (
                    self._stream(request) as response,
                    contextlib.aclosing(self._connection.lines(response)) as lines,
                ):
                    if response.status_code == httpx.codes.NO_CONTENT:
                        return
                    parser = EventParser()
                    async for line in lines:
                        if event := parser.feed(line):
                            last, failures = str(event.id), 0
                            yield event
                            if event.name in LAST:
                                return
            except httpx.RequestError as fault:
                failures += 1
                if failures >= retry.MOST_ATTEMPTS:
                    raise self._lost(fault) from fault
            await self._connection.sleep(AGAIN_S)

    async def case(self, case_id: str) -> Case:
        """Return a case as far as it has come."""
        return await self._get(f"/v1/cases/{case_id}", Case)

    async def cases(
        self,
        *,
        order: Literal["oldest", "newest"] = "oldest",
        status: Sequence[str] = (),
        received_from: datetime | None = None,
        received_before: datetime | None = None,
        client_reference: str | None = None,
    ) -> AsyncGenerator[CaseSummary, None]:
        """Yield the cases of this key: those of one of `status`, any if empty, received in the stretch of time.

        Times have a time zone. `client_reference`: those that were submitted with it alone.
        """
        times = {"received_from": received_from, "received_before": received_before}
        params = {name: at.isoformat() for name, at in times.items() if at}
        if client_reference is not None:
            params["client_reference"] = client_reference
        wanted = {"order": order, "status": list(status), **params}
        async for page in self._pages("/v1/cases", CaseList, **wanted):
            for each in page.cases:
                yield each

    async def erase(self, case_id: str) -> None:
        """Erase a case: nothing of it is kept but that it was erased."""
        await self._call("DELETE", f"/v1/cases/{case_id}")

    async def image(self, case_id: str, n: int) -> bytes:
        """Return image `n` of a case as it was prepared: a JPEG, upright, without metadata."""
        return (await self._call("GET", f"/v1/cases/{case_id}/images/{n}")).content

    async def heatmap(self, case_id: str, n: int, *, condition: str | None = None) -> bytes:
        """Return a PNG to lay over image `n`: where the model saw what speaks for a condition.

        Without a condition it is the most probable one.
        """
        params = {"condition": condition} if condition else {}
        return (await self._call("GET", f"/v1/cases/{case_id}/images/{n}/heatmap", params=params)).content

    async def give_feedback(
        self,
        case_id: str,
        *,
        helpful: bool | None = None,
        condition: str | None = None,
        confirmed_by: ConfirmedBy | None = None,
    ) -> FeedbackKept:
        """Say what became of an outcome.

        Give `helpful`, or `condition` (an id, or OTHER) and `confirmed_by`, or all of them.
        """
        body = {"helpful": helpful, "condition": condition, "confirmed_by": confirmed_by}
        return read(await self._call("POST", f"/v1/cases/{case_id}/feedback", json=body), FeedbackKept)

    async def check_image(self, image: Image) -> QualityReport:
        """Return an image's quality report; nothing is kept."""
        return read(await self._call("POST", "/v1/images:assess", files={"image": upload_of(image)}), QualityReport)

    async def conditions(self) -> ConditionList:
        """Return the conditions that the current model knows, with their guidance."""
        return await self._get("/v1/conditions", ConditionList)

    async def test_images(self) -> list[PublishedTestImage]:
        """Return the images that force an outcome with a test key."""
        return (await self._get("/v1/test-images", PublishedTestImages)).test_images

    async def test_image(self, name: str) -> bytes:
        """Return a test image, a PNG, to be sent as an image of a case."""
        return (await self._call("GET", f"/v1/test-images/{name}")).content

    async def models(self) -> list[ModelSummary]:
        """Return the models that can be had, the current one among them."""
        return (await self._get("/v1/models", ModelList)).models

    async def evaluation(self, version: int) -> Evaluation:
        """Return how a version of the current model was measured, by skin tone among others."""
        return await self._get(f"/v1/models/{version}/evaluation", Evaluation)

    async def promotions(self) -> AsyncGenerator[Promotion, None]:
        """Yield each change of the current model that was asked for, the newest first."""
        async for page in self._pages("/v1/promotions", PromotionList):
            for each in page.promotions:
                yield each

    async def create_batch(
        self, url: str, *, prefix: str = "", csv: str | None = None, rows: bytes | None = None
    ) -> Batch:
        """Have many images in the store at `url` assessed.

        There is one case for each key below `prefix`, or for each row of a CSV file.

        The CSV file is the key `csv` in the same store, or `rows`, which are sent along.
        """
        if rows is None:
            return read(await self._call("POST", "/v1/batches", json={"url": url, "prefix": prefix, "csv": csv}), Batch)
        headers = {"Content-Type": "text/csv"}
        return read(await self._call("POST", "/v1/batches", params={"url": url}, content=rows, headers=headers), Batch)

    async def batch(self, batch_id: str) -> Batch:
        """Return a batch and how far it is."""
        return await self._get(f"/v1/batches/{batch_id}", Batch)

    async def wait_for_batch(self, batch_id: str, *, timeout: float = 3600) -> Batch:
        """Return a batch once it is finished; NOT_FINISHED after `timeout`."""
        deadline = time.monotonic() + timeout
        while (batch := await self.batch(batch_id)).status != "FINISHED":
            if time.monotonic() >= deadline:
                raise ApiError(
                    "NOT_FINISHED",
                    f"batch {batch_id} has {batch.rows_done} of {batch.rows} rows done; look again later",
                )
            await self._connection.sleep(AGAIN_S)
        return batch

    async def batches(self) -> AsyncGenerator[BatchSummary, None]:
        """Yield all batches of this key."""
        async for page in self._pages("/v1/batches", BatchList):
            for each in page.batches:
                yield each

    async def batch_results(self, batch_id: str) -> AsyncGenerator[BatchResult, None]:
        """Yield a batch's results as far as they go, in order, while they come."""
        request = self._connection.request("GET", f"/v1/batches/{batch_id}/results")
        try:
            async with (
                self._stream(request) as response,
                contextlib.aclosing(self._connection.lines(response)) as lines,
            ):
                async for line in lines:
                    yield BatchResult.model_validate_json(line)
        except httpx.RequestError as fault:
            raise self._lost(fault) from fault

    async def erase_batch(self, batch_id: str) -> None:
        """Erase a batch and its results."""
        await self._call("DELETE", f"/v1/batches/{batch_id}")


class AsyncClient(Api):
    """The gateway at `url` for asyncio, called with an API key if one is given; see `Api` for what is sent again.

    >>> async with AsyncClient("http://127.0.0.1:8080") as client:
    ...     case = await client.assess(["arm.jpg"], report={"related_category": "RASH"})
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(AsyncConnection(url, key, transport), timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._connection.close()


def _body(
    images: Sequence[Image], uploads: Sequence[str], report: SelfReport, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return the body of a case as httpx takes it: JSON without images, else a form."""
    if uploads and not images:
        return {"json": {"uploads": list(uploads), "self_report": report, **fields}}
    return {
        "files": [("images", upload_of(image)) for image in images],
        "data": {"uploads": list(uploads), "self_report": json.dumps(report), **fields},
    }


def _prefer(wait: float, timeout: float) -> dict[str, str]:
    """Return the header that asks to wait; a second of `timeout` is left for the answer to come."""
    seconds = int(min(wait, timeout - 1, LONG_POLL_S))
    return {"Prefer": f"wait={seconds}"} if seconds >= 1 else {}
