"""An image that is sent ahead of its case: kept for its owner for an hour, taken once, never lost on the way."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dermis.shared.case import Received, fact_key, image_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, made_at
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.uploads import UploadedImage, upload_key
from tests.unit.gateway.conftest import MAX_IMAGE_BYTES, new_key

KEY = {"Idempotency-Key": "k"}
REPORT = QualityReport(verdict=Verdict.USABLE, reasons=(), advice=(), measures=None, policy="1")
BYTES = {"Content-Type": "application/octet-stream"}


def upload(gateway: Any, image: bytes, **headers: str) -> httpx.Response:
    response: httpx.Response = gateway.call("POST", "/v1/uploads", content=image, headers=BYTES | headers)
    return response


def uploaded(gateway: Any, *images: bytes, **headers: str) -> list[str]:
    return [upload(gateway, image, **headers).json()["id"] for image in images]


def submit(gateway: Any, ids: list[str], headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    form = [("uploads", (None, each)) for each in ids]
    response: httpx.Response = gateway.call("POST", "/v1/cases", files=form, data=fields, headers=headers or {})
    return response


def problem(response: httpx.Response) -> tuple[int, str, str]:
    body = response.json()
    return response.status_code, body["reason"], body["errors"][0]["pointer"]


def images_in(gateway: Any) -> list[str]:
    return [key for key in gateway.keys if key.startswith("uploads/") and not key.endswith(".json")]


class TestSending:
    @pytest.mark.parametrize("content_type", ["image/jpeg", "application/octet-stream", "image/heic; x=y"])
    def test_it_is_kept_without_metadata_judged_and_kept_for_an_hour(
        self, gateway: Any, jpeg: bytes, content_type: str
    ) -> None:
        gateway.broker.reply = REPORT.model_dump_json().encode()
        response = gateway.call("POST", "/v1/uploads", content=jpeg, headers={"Content-Type": content_type})
        assert response.status_code == 201, response.text
        body = response.json()
        assert is_id("upload", body["id"])
        assert QualityReport.model_validate(body["quality"]) == REPORT
        assert datetime.fromisoformat(body["expires_at"]) == made_at(body["id"]) + timedelta(hours=1)
        assert gateway.keys == [
            upload_key("public", body["id"], "original"),
            upload_key("public", body["id"], "quality.json"),
            upload_key("public", body["id"], "uploaded.json"),
        ]
        assert not any(b"SECRET" in gateway.store.get(key) for key in gateway.keys)

    @pytest.mark.parametrize("up", [True, False])
    def test_it_is_kept_although_no_worker_judges_it(self, gateway: Any, jpeg: bytes, up: bool) -> None:
        gateway.broker.up = up
        response = upload(gateway, jpeg)
        assert (response.status_code, response.json()["quality"]) == (201, None)
        gateway.broker.up = True
        assert submit(gateway, [response.json()["id"]]).status_code == 202

    @pytest.mark.parametrize(
        ("body", "content_type", "expected"),
        [
            (b"%PDF-1.7 ...", "image/jpeg", (415, "IMAGE_FORMAT", "/body")),
            (b"", "image/jpeg", (422, "IMAGE_DAMAGED", "/body")),
            (bytes(MAX_IMAGE_BYTES + 1), "image/jpeg", (413, "IMAGE_TOO_LARGE", "/body")),
        ],
    )
    def test_what_is_no_image_is_refused_and_nothing_stays(
        self, gateway: Any, body: bytes, content_type: str, expected: tuple[int, str, str]
    ) -> None:
        response = gateway.call("POST", "/v1/uploads", content=body, headers={"Content-Type": content_type})
        assert problem(response) == expected
        assert gateway.keys == []

    def test_a_form_is_refused_with_what_to_send(self, gateway: Any, jpeg: bytes) -> None:
        response = gateway.call("POST", "/v1/uploads", files={"image": jpeg})
        assert (response.status_code, response.json()["reason"]) == (415, "CONTENT_TYPE")
        assert "application/octet-stream" in response.json()["detail"]

    @pytest.mark.parametrize("part", ["original", "uploaded.json"])
    def test_one_that_breaks_off_leaves_nothing(self, gateway: Any, jpeg: bytes, part: str) -> None:
        put_once = gateway.store.put_once

        def broken(key: str, data: bytes, *, reserved: bool = False) -> bool:
            put_once(key, data, reserved=reserved)
            if key.endswith(part):
                raise DermisError(Kind.UNAVAILABLE, "STORE_AWAY", "the store does not answer")
            return True

        gateway.store.put_once = broken
        assert upload(gateway, jpeg).status_code == 503
        assert gateway.keys == []

    def test_it_can_be_deleted_by_its_owner_alone(self, gateway: Any, jpeg: bytes) -> None:
        _, mine = new_key(gateway)
        _, others = new_key(gateway)
        (upload_id,) = uploaded(gateway, jpeg, **mine)
        kept = gateway.kept
        for each in (upload_id, "nothing"):
            assert gateway.call("DELETE", f"/v1/uploads/{each}", headers=others).status_code == 204
        assert gateway.kept == kept
        assert gateway.call("DELETE", f"/v1/uploads/{upload_id}", headers=mine).status_code == 204
        assert gateway.kept == []


class TestTaking:
    def test_a_case_of_uploads_is_the_case_of_their_images(
        self, gateway: Any, jpeg: bytes, png: bytes, webp: bytes
    ) -> None:
        shots = ["CLOSE_UP", "", "AT_DISTANCE"]
        by_ids = submit(gateway, uploaded(gateway, jpeg, png, webp), shot_types=shots)
        by_images = gateway.submit(jpeg, png, webp, shot_types=shots)
        assert by_ids.status_code == by_images.status_code == 202, by_ids.text
        cases = [
            Received.model_validate_json(gateway.store.get(fact_key("public", each.json()["id"], "received")))
            for each in (by_ids, by_images)
        ]
        assert cases[0].images == cases[1].images
        for image in cases[0].images:
            copy = gateway.store.get(image_key("public", cases[0].case_id, image.n, "original"))
            assert hashlib.sha256(copy).hexdigest() == image.sha256
        assert images_in(gateway) == []

    def test_without_its_upload_the_case_stands(self, gateway: Any, jpeg: bytes) -> None:
        ids = uploaded(gateway, jpeg)
        case_id = submit(gateway, ids).json()["id"]
        gateway.call("DELETE", f"/v1/uploads/{ids[0]}")
        assert gateway.get(f"/v1/cases/{case_id}").status_code == 200
        assert image_key("public", case_id, 1, "original") in gateway.keys

    def test_one_that_is_unknown_anothers_over_or_taken_is_refused_by_its_place(
        self, gateway: Any, jpeg: bytes
    ) -> None:
        _, mine = new_key(gateway)
        (first,) = uploaded(gateway, jpeg)
        (others,) = uploaded(gateway, jpeg, **mine)
        over = "upload_01h00000000000000000000000"
        for wrong, reason in (
            ("", "UPLOAD_NOT_FOUND"),
            ("../" + first, "UPLOAD_NOT_FOUND"),
            ("upload_7zzzzzzzzzzzzzzzzzzzzzzzzz", "UPLOAD_NOT_FOUND"),
            (others, "UPLOAD_NOT_FOUND"),
            (over, "UPLOAD_EXPIRED"),
        ):
            assert problem(submit(gateway, [first, wrong])) == (422, reason, "/uploads/1")
        assert submit(gateway, [first]).status_code == 202
        assert problem(submit(gateway, [first])) == (422, "UPLOAD_USED", "/uploads/0")
        assert len([key for key in gateway.keys if key.endswith("received.json")]) == 1

    def test_images_and_uploads_or_too_many_are_refused(self, gateway: Any, jpeg: bytes) -> None:
        (first,) = uploaded(gateway, jpeg)
        both = [("images", ("a.jpg", jpeg)), ("uploads", (None, first))]
        assert problem(gateway.call("POST", "/v1/cases", files=both)) == (422, "IMAGES_AND_UPLOADS", "/uploads")
        assert problem(submit(gateway, [first] * 4)) == (422, "IMAGE_COUNT", "/uploads")
        assert images_in(gateway) == [upload_key("public", first, "original")]

    def test_a_refused_form_takes_none(self, gateway: Any, jpeg: bytes) -> None:
        ids = uploaded(gateway, jpeg)
        assert submit(gateway, ids, consent="MAYBE").status_code == 422
        assert submit(gateway, ids).status_code == 202

    def test_what_can_not_be_deleted_keeps_no_case_from_its_answer(self, gateway: Any, jpeg: bytes) -> None:
        ids = uploaded(gateway, jpeg)

        def away(key: str, **_: Any) -> None:
            raise DermisError(Kind.UNAVAILABLE, "STORE_AWAY", key)

        gateway.store.delete = away
        assert submit(gateway, ids).status_code == 202


class TestSentAgain:
    def test_it_is_the_same_case_by_uploads_by_others_of_the_same_images_and_by_the_images(
        self, gateway: Any, jpeg: bytes
    ) -> None:
        ids = uploaded(gateway, jpeg)
        answers = [
            submit(gateway, ids, KEY),
            submit(gateway, ids, KEY),
            submit(gateway, uploaded(gateway, jpeg), KEY),
            gateway.submit(jpeg, headers=KEY),
        ]
        assert {each.status_code for each in answers} == {202}
        assert len({each.json()["id"] for each in answers}) == 1
        assert len(gateway.broker.jobs) == 1
        assert images_in(gateway) == []

    def test_other_uploads_under_the_same_key_are_refused(self, gateway: Any, jpeg: bytes, png: bytes) -> None:
        ids = uploaded(gateway, jpeg)
        submit(gateway, ids, KEY)
        for other in (uploaded(gateway, png), ids + ids):
            assert submit(gateway, other, KEY).json()["reason"] == "IDEMPOTENCY_KEY_REUSED"
        assert submit(gateway, ids, KEY, consent="KEEP_FOR_IMPROVEMENT").status_code == 422

    @pytest.mark.parametrize("at", ["idempotency/", "images/1/original", "received.json"])
    def test_one_that_broke_off_is_brought_to_its_end_by_the_next(self, gateway: Any, jpeg: bytes, at: str) -> None:
        ids = uploaded(gateway, jpeg)
        broken: list[str] = []
        put_once = gateway.store.put_once

        def breaks_off(key: str, data: bytes, *, reserved: bool = False) -> bool:
            if at in key and not broken:
                broken.append(key)
                raise DermisError(Kind.UNAVAILABLE, "STORE_AWAY", "the store does not answer")
            return bool(put_once(key, data, reserved=reserved))

        gateway.store.put_once = breaks_off
        assert submit(gateway, ids, KEY).status_code == 503
        again = submit(gateway, ids, KEY)
        assert again.status_code == 202
        assert [key for key in gateway.keys if key.endswith("received.json")] == [
            fact_key("public", again.json()["id"], "received")
        ]

    def test_equal_requests_at_once_make_one_case(self, gateway: Any, jpeg: bytes) -> None:
        ids = uploaded(gateway, jpeg)

        async def race() -> list[httpx.Response]:
            form = [("uploads", (None, each)) for each in ids]
            async with gateway.client() as client:
                return list(
                    await asyncio.gather(*(client.post("/v1/cases", files=form, headers=KEY) for _ in range(8)))
                )

        answers = gateway.runner.run(race())
        assert {each.status_code for each in answers} == {202}, [each.text for each in answers]
        assert len({each.json()["id"] for each in answers}) == 1

    def test_after_an_erasure_it_makes_no_case_of_what_is_gone(self, gateway: Any, jpeg: bytes) -> None:
        ids = uploaded(gateway, jpeg)
        case_id = submit(gateway, ids, KEY).json()["id"]
        gateway.call("DELETE", f"/v1/cases/{case_id}")
        assert problem(submit(gateway, ids, KEY)) == (422, "UPLOAD_USED", "/uploads/0")
        assert not [key for key in gateway.keys if key.endswith(("original", "received.json"))]


def test_a_profile_that_may_name_a_person_goes_with_its_upload(gateway: Any) -> None:
    fact = UploadedImage(
        upload_id="upload_01k9x4q7e8f3rtw5m2c6b0dvza",
        content_type="image/jpeg",
        width=1,
        height=1,
        has_profile=True,
        sent_sha256="",
    )
    for part, data in (("original", b"i"), ("profile", b"p"), ("uploaded.json", fact.model_dump_json().encode())):
        gateway.store.put_once(upload_key("public", fact.upload_id, part), data)  # type: ignore[arg-type]
    gateway.call("DELETE", f"/v1/uploads/{fact.upload_id}")
    assert gateway.keys == []


def test_the_gateways_own_clock_ends_what_the_sweep_has_not_deleted(gateway: Any, jpeg: bytes) -> None:
    (upload_id,) = uploaded(gateway, jpeg)
    gateway.clock = lambda: datetime.now(UTC) + timedelta(minutes=61)
    assert problem(submit(gateway, [upload_id])) == (422, "UPLOAD_EXPIRED", "/uploads/0")
    gateway.clock = lambda: datetime.now(UTC) + timedelta(minutes=59)
    assert submit(gateway, [upload_id]).status_code == 202


def test_nothing_of_an_upload_but_ids_and_numbers_is_in_its_fact(gateway: Any, jpeg: bytes) -> None:
    (upload_id,) = uploaded(gateway, jpeg)
    fact = json.loads(gateway.store.get(upload_key("public", upload_id, "uploaded.json")))
    assert set(fact) == set(UploadedImage.model_fields)
    assert fact["sent_sha256"] == hashlib.sha256(jpeg).hexdigest()


class TestJson:
    """A case as one JSON object, for whoever uploaded the images before."""

    def test_it_is_the_case_of_the_same_form(self, gateway: Any, jpeg: bytes, png: bytes) -> None:
        body = {
            "uploads": uploaded(gateway, jpeg, png),
            "shot_types": ["CLOSE_UP", None],
            "self_report": {"related_category": "RASH", "body_parts": ["ARM"]},
            "consent": "KEEP_FOR_IMPROVEMENT",
        }
        response = gateway.call("POST", "/v1/cases", json=body, headers=KEY)
        assert response.status_code == 202, response.text
        case = response.json()
        assert [image["shot_type"] for image in case["images"]] == ["CLOSE_UP", None]
        assert case["self_report"]["related_category"] == "RASH"
        again = gateway.call("POST", "/v1/cases", json=dict(reversed(body.items())), headers=KEY)
        assert (again.json()["id"], again.headers["idempotent-replayed"]) == (case["id"], "true")
        assert "idempotent-replayed" not in response.headers
        received = Received.model_validate_json(gateway.store.get(fact_key("public", case["id"], "received")))
        assert received.consent == "KEEP_FOR_IMPROVEMENT"

    def test_answers_alone_need_no_upload(self, gateway: Any) -> None:
        body = {"self_report": {"warning_signs": ["VERY_ILL"]}}
        assert gateway.call("POST", "/v1/cases", json=body).status_code == 202

    @pytest.mark.parametrize(
        ("body", "status", "reason", "pointer"),
        [
            ({}, 422, "IMAGE_COUNT", "/images"),
            ([], 422, "BODY", ""),
            ({"images": []}, 422, "BODY", "/images"),
            ({"uploads": "upload_x"}, 422, "BODY", "/uploads"),
            ({"uploads": ["upload_x"]}, 422, "UPLOAD_NOT_FOUND", "/uploads/0"),
            ({"uploads": ["a", "b", "c", "d"]}, 422, "IMAGE_COUNT", "/uploads"),
            ({"self_report": {"body_parts": ["TOE"]}}, 422, "SELF_REPORT", "/self_report/body_parts/0"),
            ({"self_report": {"x": "y" * 70_000}}, 413, "BODY_TOO_LARGE", ""),
        ],
    )
    def test_a_refusal_says_what_and_where(
        self, gateway: Any, body: Any, status: int, reason: str, pointer: str
    ) -> None:
        response = gateway.call("POST", "/v1/cases", json=body)
        got = response.json()
        place = got["errors"][0]["pointer"] if got["errors"] else ""
        assert (response.status_code, got["reason"], place) == (status, reason, pointer)
        assert gateway.kept == []
