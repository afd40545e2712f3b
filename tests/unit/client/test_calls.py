"""Each call of the client as the API wants it, and what comes back."""

import asyncio
import inspect
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from dermis.client import ApiError, AsyncClient, Case, Client
from dermis.client.asynchronous import Api
from tests.unit.client.conftest import CASE, Gateway

DONE = CASE | {"status": "FINISHED"}


def answer(status: int = 200, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_both_clients_have_every_call() -> None:
    calls = {name for name, _ in inspect.getmembers(Api, inspect.isfunction) if not name.startswith("_")}
    assert len(calls) == 32
    assert calls <= set(dir(Client))
    assert calls <= set(dir(AsyncClient))


def test_a_case_is_submitted_as_the_api_wants_it(gateway: Gateway, image: Path) -> None:
    shot_types = ["CLOSE_UP", "AT_DISTANCE"]
    case = gateway.call(
        "submit", [image, image], shot_types=shot_types, report={"textures": ["FLAT"]}, replies=[answer(202, CASE)]
    )
    assert case == Case.model_validate(CASE)
    (request,), (body,) = gateway.asked, gateway.bodies
    assert (request.method, request.url.path) == ("POST", "/v1/cases")
    assert request.headers["Idempotency-Key"]
    assert "Prefer" not in request.headers
    assert body.count(b'name="images"; filename="arm.jpg"') == 2
    assert body.count(b"Content-Type: image/jpeg") == 2
    assert b'name="self_report"\r\n\r\n{"textures": ["FLAT"]}\r\n' in body
    assert b'name="consent"\r\n\r\nASSESS_ONLY\r\n' in body
    assert body.index(b"CLOSE_UP") < body.index(b"AT_DISTANCE")


def test_an_image_is_a_path_bytes_or_a_file(gateway: Gateway, image: Path) -> None:
    with image.open("rb") as file:
        gateway.call("submit", [str(image), b"bytes", file], replies=[answer(202, CASE)])
    (body,) = gateway.bodies
    assert body.count(b'filename="arm.jpg"') == 2
    assert body.count(b'filename="image"\r\nContent-Type: application/octet-stream\r\n\r\nbytes') == 1
    assert body.count(b"\r\n\r\njpeg\r\n") == 2


@pytest.mark.parametrize(
    ("wrong", "message"), [("gone.jpg", "gone.jpg: No such file"), (io.StringIO("text"), "open it with mode 'rb'")]
)
def test_an_image_that_cannot_be_read_is_named(gateway: Gateway, wrong: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        gateway.call("submit", [wrong], replies=[answer(202, CASE)])
    assert caught.value.reason == "IMAGE"
    assert gateway.asked == []


@pytest.mark.parametrize("status", ["FINISHED", "FAILED"])
def test_a_case_is_assessed_to_its_end(gateway: Gateway, image: Path, status: str) -> None:
    replies = [answer(202, CASE), answer(200, CASE, Retry_After="3"), answer(200, CASE | {"status": status})]
    assert gateway.call("assess", [image], replies=replies).status == status
    assert [request.url.path for request in gateway.asked] == ["/v1/cases", "/v1/cases/case_1", "/v1/cases/case_1"]
    assert {request.headers["Prefer"] for request in gateway.asked} == {"wait=20"}
    assert gateway.slept == [3]


def test_a_case_that_came_back_finished_is_not_asked_for(gateway: Gateway) -> None:
    assert gateway.call("wait", Case.model_validate(DONE), replies=[answer(500)]).status == "FINISHED"
    assert gateway.asked == []


def test_a_case_is_waited_for_by_its_id(gateway: Gateway) -> None:
    assert gateway.call("wait", "case_1", replies=[answer(200, CASE), answer(200, DONE)]).status == "FINISHED"


def test_a_case_that_takes_too_long_is_named(gateway: Gateway, image: Path) -> None:
    with pytest.raises(
        ApiError, match=r"case_1 is RECEIVED still; look again with GET http://gateway/v1/cases/case_1"
    ) as caught:
        gateway.call("assess", [image], timeout=0.05, replies=[answer(202, CASE)])
    assert caught.value.reason == "NOT_FINISHED"


def test_a_new_field_or_code_of_a_newer_gateway_is_no_error(gateway: Gateway) -> None:
    outcome = {"case_id": "case_1", "finished_at": "2026-01-02T03:04:06Z", "kind": "NEW_KIND", "new_field": {"a": 1}}
    case = gateway.call("case", "case_1", replies=[answer(200, DONE | {"outcome": outcome, "later": 1})])
    assert case.outcome.kind == "NEW_KIND"


def test_pages_are_followed_to_the_last(gateway: Gateway) -> None:
    summary = {"status": "FINISHED", "received_at": "2026-01-02T03:04:05Z"}
    replies = [
        answer(200, {"cases": [{"id": "case_1", **summary}], "next_cursor": "abc"}),
        answer(200, {"cases": [{"id": "case_2", **summary}], "next_cursor": None}),
    ]
    assert [case.id for case in gateway.call("cases", replies=replies)] == ["case_1", "case_2"]
    assert [request.url.params.get("cursor") for request in gateway.asked] == [None, "abc"]


def test_a_batch_is_made_of_a_prefix_or_of_rows(gateway: Gateway) -> None:
    batch = {
        "id": "b",
        "status": "RUNNING",
        "created_at": "2026-01-02T03:04:05Z",
        "rows": 1,
        "rows_done": 0,
        "step": 8,
        "failed": {},
    }
    reply = answer(202, batch | {"results": "/v1/batches/b/results"})
    assert gateway.call("create_batch", "gs://b/c", prefix="skin/", replies=[reply]).id == "b"
    gateway.call("create_batch", "gs://b/c", rows=b"images\na.jpg\n", replies=[reply])
    assert json.loads(gateway.bodies[0]) == {"url": "gs://b/c", "prefix": "skin/", "csv": None}
    assert (gateway.bodies[1], gateway.asked[1].headers["Content-Type"]) == (b"images\na.jpg\n", "text/csv")
    assert gateway.asked[1].url.params["url"] == "gs://b/c"


def test_a_batch_is_waited_for(gateway: Gateway) -> None:
    batch = {
        "id": "b",
        "created_at": "2026-01-02T03:04:05Z",
        "rows": 1,
        "rows_done": 0,
        "step": 8,
        "failed": {"0": "why"},
        "results": "r",
    }
    replies = [answer(200, batch | {"status": "RUNNING"}), answer(200, batch | {"status": "FINISHED"})]
    assert gateway.call("wait_for_batch", "b", replies=replies).failed == {0: "why"}
    with pytest.raises(ApiError, match="0 of 1 rows done"):
        gateway.call("wait_for_batch", "b", timeout=0, replies=[answer(200, batch | {"status": "RUNNING"})])


def test_results_of_a_batch_come_line_by_line(gateway: Gateway) -> None:
    lines = b'{"row":0,"name":"a"}\n{"row":1,"name":"b","fault":{"reason":"R","detail":"d"}}\n'
    first, second = gateway.call("batch_results", "b", replies=[httpx.Response(200, content=lines)])
    assert (first.name, first.fault, second.fault.reason) == ("a", None, "R")


CALLS: dict[str, tuple[Any, ...]] = {
    "case": ("case_1",),
    "cases": (),
    "erase": ("case_1",),
    "events": ("case_1",),
    "image": ("case_1", 1),
    "heatmap": ("case_1", 1),
    "give_feedback": ("case_1",),
    "check_image": (b"jpeg",),
    "conditions": (),
    "test_images": (),
    "test_image": ("failed",),
    "models": (),
    "evaluation": (1,),
    "promotions": (),
    "create_batch": ("file:///x",),
    "batch": ("b",),
    "batches": (),
    "batch_results": ("b",),
    "erase_batch": ("b",),
    "create_webhook": ("https://receiver.example/hook",),
    "webhooks": (),
    "delete_webhook": ("w",),
    "rotate_webhook_secret": ("w",),
    "webhook_deliveries": ("w",),
    "replay_delivery": ("w", "msg_1"),
    "upload": (b"jpeg",),
    "upload_state": ("upload_1",),
    "delete_upload": ("upload_1",),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_key_goes_with_every_call_and_a_refusal_comes_back(gateway: Gateway, name: str) -> None:
    refusal = {"reason": "SCOPE", "detail": "this needs the scope admin", "instance": "urn:uuid:1"}
    with pytest.raises(ApiError) as caught:
        gateway.call(name, *CALLS[name], replies=[answer(403, refusal)])
    assert (caught.value.reason, caught.value.status, caught.value.instance) == ("SCOPE", 403, "urn:uuid:1")
    assert [request.headers["Authorization"] for request in gateway.asked] == ["Bearer key_1.secret"]


def test_a_problem_has_its_pointers(gateway: Gateway) -> None:
    errors = [
        {"pointer": "/self_report/textures/0", "detail": "not known"},
        {"pointer": "/images/0", "detail": "too dark"},
    ]
    with pytest.raises(ApiError) as caught:
        gateway.call(
            "submit", [b""], replies=[answer(422, {"reason": "SELF_REPORT", "detail": "two faults", "errors": errors})]
        )
    assert caught.value.detail == "two faults"
    assert [each[:2] for each in caught.value.pointers] == [
        ("/self_report/textures/0", "not known"),
        ("/images/0", "too dark"),
    ]
    assert str(caught.value) == "two faults\n  /self_report/textures/0: not known\n  /images/0: too dark"


def test_a_problem_of_one_field_is_one_line(gateway: Gateway) -> None:
    problem = {
        "reason": "R",
        "detail": "image 1 is empty",
        "errors": [{"pointer": "/images/0", "detail": "image 1 is empty"}],
    }
    with pytest.raises(ApiError) as caught:
        gateway.call("submit", [b""], replies=[answer(422, problem)])
    assert str(caught.value) == "image 1 is empty (/images/0)"


@pytest.mark.parametrize(
    "reply", [httpx.Response(200, text="<html>"), answer(200, [1]), httpx.Response(404, text="no"), answer(502, [])]
)
def test_an_answer_that_is_none_of_dermis_says_so(gateway: Gateway, reply: httpx.Response) -> None:
    with pytest.raises(ApiError, match="is none of dermis; is http://gateway/v1/cases right") as caught:
        gateway.call("submit", [b"jpeg"], replies=[reply])
    assert caught.value.reason == "NOT_DERMIS"


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://gateway", "http://", "http://a:port"])
def test_a_url_that_is_none_is_named(url: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ApiError, match="write http://host:port"):
            kind(url)


def test_a_reader_may_leave_in_the_middle() -> None:
    """What was not read of a stream is let go, without a warning."""
    lines = b'{"row":0,"name":"a"}\n{"row":1,"name":"b"}\n'
    with Client(
        "http://gateway", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=lines))
    ) as client:
        for result in client.batch_results("b"):
            assert result.name == "a"
            break


def test_the_blocking_client_works_inside_a_running_loop() -> None:
    async def run() -> list[str]:
        with Client(
            "http://gateway",
            transport=httpx.MockTransport(lambda _: httpx.Response(200, content=b'{"row":0,"name":"a"}\n')),
        ) as client:
            return [result.name for result in client.batch_results("b")]

    assert asyncio.run(run()) == ["a"]
