"""A client's key, its record and the case that it makes, also where a gateway is lost or stands still on the way."""

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dermis.shared.batches import BatchJob
from dermis.shared.case import OpenCase, open_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import AssessJob
from dermis.shared.webhooks import DrainJob
from dermis.sweep.core.decide import CaseAction, SweepPolicy
from dermis.sweep.look import CaseSweep


class NoQueue:
    def waiting(self) -> int:
        return 0

    def waiting_steps(self) -> int:
        return 0

    def send(self, job: AssessJob) -> None:
        raise AssertionError(job)

    def waiting_drains(self) -> int:
        return 0

    def send_drain(self, job: DrainJob) -> None:
        raise AssertionError(job)

    def send_step(self, job: BatchJob) -> None:
        raise AssertionError(job)


def test_one_whose_gateway_is_lost_after_the_record_has_a_marker_that_names_the_record(
    gateway: Any, jpeg: bytes
) -> None:
    put_once = gateway.store.put_once

    def lost(key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG001 - the port's name
        put_once(key, data)
        if key.startswith("idempotency/"):
            raise DermisError(Kind.UNAVAILABLE, "STORE_FULL", "nothing after this is done")
        return True

    gateway.store.put_once = lost
    assert gateway.submit(jpeg, headers={"Idempotency-Key": "k"}).status_code == 503
    (record,) = (key for key in gateway.keys if key.startswith("idempotency/"))
    (opened,) = (json.loads(gateway.store.get(key)) for key in gateway.keys if key.startswith("open/"))
    assert opened["record"] == record
    assert opened["case_id"] == json.loads(gateway.store.get(record))["case_id"]


def test_a_request_that_comes_second_leaves_no_marker_of_its_own(gateway: Any, jpeg: bytes) -> None:
    for _ in range(2):
        case_id = gateway.submit(jpeg, headers={"Idempotency-Key": "k"}).json()["id"]
    assert [key for key in gateway.keys if key.startswith("open/")] == [f"open/{case_id}"]


@pytest.mark.parametrize("sent_again", [False, True])
@pytest.mark.parametrize("before", ["images/1/original", "received.json"])
def test_one_whose_record_was_taken_back_while_its_gateway_stood_still_is_still_one_case(
    gateway: Any, jpeg: bytes, before: str, sent_again: bool
) -> None:
    """The sweep takes the case for lost and all of it back; then the client sends it again, or not."""

    async def overtaken() -> tuple[httpx.Response, httpx.Response]:
        reached, goes_on = asyncio.Event(), threading.Event()
        put_once, loop = gateway.store.put_once, asyncio.get_running_loop()

        def late(key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG001 - the port's name
            if key.endswith(before) and not reached.is_set():
                loop.call_soon_threadsafe(reached.set)
                goes_on.wait(5)
            return bool(put_once(key, data))

        gateway.store.put_once = late
        headers = {"Idempotency-Key": "k"}
        async with gateway.client() as client:
            slow = asyncio.ensure_future(client.post("/v1/cases", files={"images": jpeg}, headers=headers))
            await reached.wait()
            while not {"idempotency.json", "ASSESS_ONLY"} <= {part for key in gateway.keys for part in key.split("/")}:
                await asyncio.sleep(0.01)  # what is put beside the image
            sweep = CaseSweep(gateway.store, NoQueue(), SweepPolicy())
            assert sweep.look(datetime.now(UTC) + timedelta(hours=1)) == {CaseAction.DISCARD: 1}
            assert not [key for key in gateway.keys if not key.endswith("original")]
            if sent_again:
                await client.post("/v1/cases", files={"images": jpeg}, headers=headers)
            goes_on.set()
            return await slow, await client.post("/v1/cases", files={"images": jpeg}, headers=headers)

    slow, again = gateway.runner.run(overtaken())
    assert [slow.status_code, again.status_code] == [202, 202]
    assert slow.json()["id"] == again.json()["id"]
    assert len([key for key in gateway.keys if key.endswith("received.json")]) == 1
    assert len([key for key in gateway.keys if key.startswith("idempotency/")]) == 1
    assert len(gateway.broker.jobs) == 1


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
def test_the_marker_says_whose_turn_the_case_takes(gateway: Any, jpeg: bytes, headers: Any) -> None:
    case_id = gateway.submit(jpeg, headers=headers).json()["id"]
    opened = OpenCase.model_validate_json(gateway.store.get(open_key(case_id)))
    assert opened.line == gateway.broker.jobs[0].line
    assert opened.line.startswith("public:")
