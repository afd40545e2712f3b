"""An image is sent in pieces, goes on where it was cut, and ends by the verdict, the deadline or the caller."""

import json
from typing import Any

import httpx
import pytest

from dermis.client import ApiError, ImageUpload
from tests.unit.client.conftest import CASE, Gateway, Reply

PHOTO = b"0123456789"
REPORT = {"verdict": "USABLE", "reasons": [], "advice": [], "measures": None, "policy": "p"}
LINK = {"client_secret": "link"}  # pragma: allowlist secret


def state(offset: int, status: str = "UPLOADING", code: int = 200, **fields: Any) -> httpx.Response:
    body = {"id": "upload_1", "expires_at": "2026-01-02T03:04:05Z", "quality": None, "refusal": None}
    return httpx.Response(code, json=body | {"status": status, "offset": offset, "length": 10, **fields})


def taken(offset: int) -> httpx.Response:
    return httpx.Response(204, headers={"Upload-Offset": str(offset)})


def problem(status: int, reason: str) -> httpx.Response:
    return httpx.Response(status, json={"reason": reason, "detail": "d"})


def calls(gateway: Gateway) -> list[tuple[str, str | None, bytes]]:
    pairs = zip(gateway.asked, gateway.bodies, strict=True)
    return [(request.method, request.headers.get("Upload-Offset"), body) for request, body in pairs]


def upload(gateway: Gateway, *replies: Reply, **named: Any) -> ImageUpload:
    done: ImageUpload = gateway.call("upload", PHOTO, piece_bytes=4, replies=replies, **named)
    return done


def test_an_image_goes_up_in_pieces_and_comes_back_judged(gateway: Gateway) -> None:
    offsets: list[int | None] = []
    replies = [state(0, code=201), taken(4), taken(8), taken(10), state(10, "COMPLETE", quality=REPORT)]
    done = upload(gateway, *replies, on_progress=lambda each: offsets.append(each.offset))
    assert (done.id, done.status, done.quality and done.quality.verdict) == ("upload_1", "COMPLETE", "USABLE")
    assert calls(gateway) == [
        ("POST", None, b""),
        ("PATCH", "0", b"0123"),
        ("PATCH", "4", b"4567"),
        ("PATCH", "8", b"89"),
        ("GET", None, b""),
    ]
    assert offsets == [0, 4, 8, 10]
    assert gateway.asked[0].headers["Upload-Length"] == "10"
    assert {request.headers["Tus-Resumable"] for request in gateway.asked} == {"1.0.0"}


@pytest.mark.parametrize("cut", [httpx.ReadError("cut"), problem(408, "SLOW"), httpx.Response(502, text="<html>")])
def test_a_piece_that_was_cut_goes_on_where_the_gateway_has_come(gateway: Gateway, cut: Reply) -> None:
    done = upload(gateway, state(0), cut, state(3), taken(7), taken(10), state(10, "COMPLETE"))
    assert done.status == "COMPLETE"
    assert [call for call in calls(gateway) if call[0] == "PATCH"] == [
        ("PATCH", "0", b"0123"),
        ("PATCH", "3", b"3456"),
        ("PATCH", "7", b"789"),
    ]
    assert gateway.slept == [0.2]


def test_a_gateway_that_has_come_further_is_followed(gateway: Gateway) -> None:
    upload(gateway, state(0), problem(409, "UPLOAD_OFFSET"), state(9), taken(10), state(10, "COMPLETE"))
    assert calls(gateway)[3] == ("PATCH", "9", b"9")


def test_a_lost_answer_to_the_last_piece_sends_nothing_twice(gateway: Gateway) -> None:
    done = upload(gateway, state(8), httpx.ReadError("cut"), state(10, "COMPLETE"))
    assert done.status == "COMPLETE"
    assert [method for method, _, _ in calls(gateway)] == ["POST", "PATCH", "GET"]


def test_a_bad_network_is_borne_until_the_deadline(gateway: Gateway) -> None:
    with pytest.raises(ApiError) as caught:
        upload(gateway, state(0), httpx.ReadError("cut"), timeout=2)
    assert caught.value.reason == "NO_ANSWER"
    assert gateway.slept[:5] == [0.2, 0.2, 0.4, 0.8, 0.4], "a piece once, its state four times, and so on"


def test_a_busy_gateway_is_asked_again_when_it_says_so(gateway: Gateway) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "2"})
    upload(gateway, busy, state(8), busy, taken(10), state(10, "COMPLETE"))
    assert gateway.slept == [2, 2]


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(gateway: Gateway) -> None:
    with pytest.raises(ApiError) as caught:
        upload(gateway, state(0), httpx.Response(429, headers={"Retry-After": "20"}), timeout=3)
    assert (caught.value.status, gateway.slept) == (429, [])


def test_an_upload_of_before_is_resumed_by_its_id(gateway: Gateway) -> None:
    upload(gateway, state(7), taken(10), state(10, "COMPLETE"), resume="upload_1")
    assert [method for method, _, _ in calls(gateway)] == ["GET", "PATCH", "GET"]
    assert calls(gateway)[1] == ("PATCH", "7", b"789")


def test_another_image_than_that_of_before_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ApiError, match="is of 9 bytes, the image has 10") as caught:
        upload(gateway, state(7, length=9), resume="upload_1")
    assert caught.value.reason == "IMAGE"


@pytest.mark.parametrize("reason", ["UPLOAD_NOT_FOUND", "UPLOAD_EXPIRED"])
def test_an_upload_that_is_not_there_is_the_documented_error(gateway: Gateway, reason: str) -> None:
    with pytest.raises(ApiError) as caught:
        upload(gateway, problem(404, reason), resume="upload_1")
    assert (caught.value.reason, caught.value.status) == (reason, 404)


@pytest.mark.parametrize("lost", [True, False])
def test_what_is_no_image_is_refused_even_where_the_answer_was_lost(gateway: Gateway, lost: bool) -> None:
    refused = state(10, "REFUSED", refusal={"reason": "IMAGE_FORMAT", "detail": "a PDF"})
    with pytest.raises(ApiError, match=r"a PDF|d") as caught:
        upload(gateway, state(8), *([httpx.ReadError("cut"), refused] if lost else [problem(415, "IMAGE_FORMAT")]))
    assert caught.value.reason == "IMAGE_FORMAT"


def test_who_hears_of_progress_may_end_it(gateway: Gateway) -> None:
    def stop(_: ImageUpload) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upload(gateway, state(0), on_progress=stop)
    assert len(gateway.asked) == 1


def test_a_proxy_that_drops_the_offset_is_named(gateway: Gateway) -> None:
    with pytest.raises(ApiError, match="without Upload-Offset") as caught:
        upload(gateway, state(0), httpx.Response(204))
    assert caught.value.reason == "NOT_DERMIS"


def test_a_case_takes_uploads_as_json(gateway: Gateway) -> None:
    reply = httpx.Response(202, json=CASE | LINK)
    case = gateway.call(
        "submit", uploads=["upload_1"], report={"textures": ["FLAT"]}, client_reference="a-1", replies=[reply]
    )
    assert case.model_dump(include=set(LINK)) == LINK
    assert json.loads(gateway.bodies[0]) == {
        "uploads": ["upload_1"],
        "self_report": {"textures": ["FLAT"]},
        "shot_types": [],
        "consent": "ASSESS_ONLY",
        "client_reference": "a-1",
    }


def test_images_and_uploads_together_are_for_the_gateway_to_refuse(gateway: Gateway) -> None:
    with pytest.raises(ApiError) as caught:
        gateway.call("submit", [b"jpeg"], uploads=["upload_1"], replies=[problem(422, "IMAGES_AND_UPLOADS")])
    assert caught.value.reason == "IMAGES_AND_UPLOADS"
    assert b'name="uploads"\r\n\r\nupload_1\r\n' in gateway.bodies[0]
