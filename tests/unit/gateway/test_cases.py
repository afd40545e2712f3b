"""A case over HTTP: taken in once and whole, or refused with nothing stored; shown as its facts have it."""

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dermis.shared.case import (
    Assessed,
    AssessedImage,
    Consent,
    Erased,
    Fact,
    Failed,
    OpenCase,
    Outcome,
    OutcomeKind,
    Received,
    fact_key,
    failed_key,
    image_key,
    open_key,
)
from dermis.shared.erasing import retention_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import AssessJob
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.vocabulary import SelfReport

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HUGE_PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    for name, body in (
        (b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    )
)


def put(gateway: Any, key: str, fact: Fact) -> None:
    gateway.store.put_once(key, fact.model_dump_json().encode())


def test_a_case_is_stored_queued_and_shown(gateway: Any, jpeg: bytes, png: bytes, webp: bytes) -> None:
    answers = {"textures": ["FLAT"], "age_group": "AGE_30_TO_39"}
    shots = ["CLOSE_UP", "", "AT_DISTANCE"]
    response = gateway.submit(
        jpeg, png, webp, self_report=json.dumps(answers), shot_types=shots, consent="KEEP_FOR_IMPROVEMENT"
    )
    assert response.status_code == 202, response.text
    case_id = response.json()["id"]
    assert response.headers["location"] == f"/v1/cases/{case_id}"
    assert response.headers["retry-after"] == "1"
    received = Received.model_validate_json(gateway.store.get(fact_key("public", case_id, "received")))
    assert received.self_report == SelfReport.model_validate(answers)
    assert received.consent == "KEEP_FOR_IMPROVEMENT"
    assert [image.shot_type for image in received.images] == ["CLOSE_UP", None, "AT_DISTANCE"]
    assert [(image.width, image.height, image.orientation) for image in received.images] == [(60, 40, 6)] * 3
    for image in received.images:
        original = gateway.store.get(image_key("public", case_id, image.n, "original"))
        assert (image.bytes, image.sha256) == (len(original), hashlib.sha256(original).hexdigest())
    assert OpenCase.model_validate_json(gateway.store.get(open_key(case_id))).owner == "public"
    (job,) = gateway.broker.jobs
    assert job == AssessJob(case_id=case_id, owner="public", line=job.line)
    assert len(gateway.keys) == 6
    assert not any(b"SECRET" in gateway.store.get(key) for key in gateway.keys)
    shown = gateway.get(f"/v1/cases/{case_id}")
    assert shown.json() == response.json()
    assert shown.json()["status"] == "RECEIVED"
    assert [(image["width"], image["height"]) for image in shown.json()["images"]] == [(40, 60)] * 3


def test_answers_may_all_be_left_out_and_may_come_as_a_file(gateway: Any, jpeg: bytes) -> None:
    files = [("images", ("a.jpg", jpeg)), ("self_report", ("answers.json", b'{"textures": []}'))]
    assert gateway.submit(jpeg).status_code == 202
    assert gateway.submit(jpeg, self_report="").status_code == 202
    assert gateway.call("POST", "/v1/cases", files=files).status_code == 202


def test_answers_may_come_without_an_image(gateway: Any) -> None:
    body = {"self_report": '{"warning_signs": ["VERY_ILL"], "under_18": true}'}
    response = gateway.submit(**body)
    assert response.status_code == 202
    assert response.json()["images"] == []
    stored = json.loads(gateway.store.get(f"cases/public/{response.json()['id']}/received.json"))
    assert (stored["self_report"]["warning_signs"], stored["self_report"]["under_18"]) == (["VERY_ILL"], True)
    assert [job.case_id for job in gateway.broker.jobs] == [response.json()["id"]]


def test_a_browsers_empty_file_field_is_no_image(gateway: Any, jpeg: bytes) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n' + jpeg
    body += b'\r\n--b\r\nContent-Disposition: form-data; name="images"; filename=""\r\n\r\n\r\n--b--\r\n'
    response = gateway.call(
        "POST", "/v1/cases", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert len(response.json()["images"]) == 1


def test_with_the_queue_down_a_case_is_taken_in_all_the_same(gateway: Any, jpeg: bytes) -> None:
    gateway.broker.up = False
    response = gateway.submit(jpeg)
    assert response.status_code == 202
    assert open_key(response.json()["id"]) in gateway.keys


REFUSALS: dict[str, tuple[Callable[[Any, bytes, bytes], Any], int, str, str]] = {
    "no image": (lambda g, _j, _p: g.submit(consent="ASSESS_ONLY"), 422, "IMAGE_COUNT", "/images"),
    "neither image nor answer": (lambda g, _j, _p: g.submit(self_report="{}"), 422, "IMAGE_COUNT", "/images"),
    "an age that is no word": (
        lambda g, _j, _p: g.submit(self_report='{"under_18": "yes"}'),
        422,
        "SELF_REPORT",
        "/self_report/under_18",
    ),
    "4 images": (lambda g, j, _p: g.submit(j, j, j, j), 422, "IMAGE_COUNT", "/images"),
    "too many bytes": (lambda g, j, _p: g.submit(j, j + bytes(300_000)), 413, "IMAGE_TOO_LARGE", "/images/1"),
    "a PDF named .jpg": (
        lambda g, j, _p: g.submit(j, b"%PDF-1.7 ...", names="x.jpg"),
        415,
        "IMAGE_FORMAT",
        "/images/1",
    ),
    "a truncated PNG": (lambda g, _j, p: g.submit(p[: len(p) // 2]), 422, "IMAGE_DAMAGED", "/images/0"),
    "a truncated JPEG": (lambda g, j, _p: g.submit(j[: len(j) // 2]), 422, "IMAGE_DAMAGED", "/images/0"),
    "an empty image": (lambda g, _j, _p: g.submit(b""), 422, "IMAGE_DAMAGED", "/images/0"),
    "a huge header": (lambda g, _j, _p: g.submit(HUGE_PNG), 422, "IMAGE_DIMENSIONS", "/images/0"),
    "malformed JSON": (
        lambda g, j, _p: g.submit(j, self_report='{"textures": ['),
        422,
        "SELF_REPORT_JSON",
        "/self_report",
    ),
    "deep JSON": (lambda g, j, _p: g.submit(j, self_report="[" * 60_000), 422, "SELF_REPORT_JSON", "/self_report"),
    "not UTF-8": (
        lambda g, j, _p: g.call("POST", "/v1/cases", files={"images": j, "self_report": b"\xff"}),
        422,
        "FORM_FIELD",
        "/self_report",
    ),
    "JSON of another kind": (lambda g, j, _p: g.submit(j, self_report="[1]"), 422, "SELF_REPORT", "/self_report"),
    "unknown answer": (
        lambda g, j, _p: g.submit(j, self_report='{"textures": ["FLAT", "SLIMY"]}'),
        422,
        "SELF_REPORT",
        "/self_report/textures/1",
    ),
    "unknown question": (
        lambda g, j, _p: g.submit(j, self_report='{"age/~": 1}'),
        422,
        "SELF_REPORT",
        "/self_report/age~1~0",
    ),
    "no list": (
        lambda g, j, _p: g.submit(j, self_report='{"textures": "FLAT"}'),
        422,
        "SELF_REPORT",
        "/self_report/textures",
    ),
    "unknown consent": (lambda g, j, _p: g.submit(j, consent="MAYBE"), 422, "CONSENT", "/consent"),
    "unknown shot type": (lambda g, j, _p: g.submit(j, shot_types="SIDEWAYS"), 422, "SHOT_TYPES", "/shot_types/0"),
    "too few shot types": (lambda g, j, _p: g.submit(j, j, shot_types="CLOSE_UP"), 422, "SHOT_TYPES", "/shot_types"),
    "answers twice": (lambda g, j, _p: g.submit(j, self_report=["{}", "{}"]), 422, "FORM_FIELD", "/self_report"),
    "long answers": (lambda g, j, _p: g.submit(j, self_report=" " * 70_000), 413, "FIELD_TOO_LARGE", "/self_report"),
    "unknown field": (lambda g, j, _p: g.submit(j, age="3"), 422, "FORM_FIELD", ""),
    "20 fields": (lambda g, j, _p: g.submit(j, shot_types=["CLOSE_UP"] * 20), 422, "FORM_BROKEN", ""),
    "text body": (
        lambda g, _j, _p: g.call("POST", "/v1/cases", content=b"{}", headers={"Content-Type": "text/plain"}),
        415,
        "CONTENT_TYPE",
        "",
    ),
    "no body": (lambda g, _j, _p: g.call("POST", "/v1/cases"), 415, "CONTENT_TYPE", ""),
    "no boundary": (
        lambda g, _j, _p: g.call("POST", "/v1/cases", content=b"x", headers={"Content-Type": "multipart/form-data"}),
        422,
        "FORM_BROKEN",
        "",
    ),
    "a broken form": (
        lambda g, _j, _p: g.call(
            "POST", "/v1/cases", content=b"x" * 99, headers={"Content-Type": "multipart/form-data; boundary=b"}
        ),
        422,
        "FORM_BROKEN",
        "",
    ),
    "half a form": (
        lambda g, j, _p: g.call(
            "POST",
            "/v1/cases",
            content=b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n' + j,
            headers={"Content-Type": "multipart/form-data; boundary=b"},
        ),
        422,
        "FORM_BROKEN",
        "",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_what_and_where_and_stores_nothing(gateway: Any, jpeg: bytes, png: bytes, name: str) -> None:
    send, status, reason, pointer = REFUSALS[name]
    response = send(gateway, jpeg, png)
    problem = response.json()
    assert (response.status_code, problem["status"], problem["reason"]) == (status, status, reason), problem
    assert response.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in problem["errors"]] == ([pointer] if pointer else [])
    assert problem["detail"]
    assert problem["title"]
    assert problem["instance"].startswith("urn:uuid:")
    assert gateway.keys == []
    assert gateway.broker.jobs == []


def test_an_unknown_answer_names_value_and_remedy(gateway: Any, jpeg: bytes) -> None:
    problem = gateway.submit(jpeg, self_report='{"textures": ["SLIMY"], "agegroup": 1}').json()
    details = {error["pointer"]: error["detail"] for error in problem["errors"]}
    assert "'SLIMY'" in details["/self_report/textures/0"]
    assert "FLAT" in details["/self_report/textures/0"]
    assert "did you mean age_group" in details["/self_report/agegroup"]


def test_an_image_that_is_too_large_is_named_with_a_remedy(gateway: Any, jpeg: bytes) -> None:
    detail = gateway.submit(jpeg, jpeg + bytes(300_000), names="IMG_2041.jpg").json()["detail"]
    assert detail.startswith("image 2 ('IMG_2041.jpg') holds more than 200,000 bytes: ")
    assert "megapixels" in detail


def test_a_body_that_says_it_is_too_large_is_refused_unread(gateway: Any) -> None:
    async def untouchable() -> Any:
        raise AssertionError("the body was read")
        yield b""

    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": "40000000"}
    response = gateway.call("POST", "/v1/cases", content=untouchable(), headers=headers)
    assert response.json()["reason"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize("length", ["0" * 5000, "0" * 30 + "40000000", "\u00b2", "+5"])
def test_a_length_that_is_no_plain_number_is_refused(gateway: Any, length: str) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": length.encode()}
    response = gateway.call("POST", "/v1/cases", content=b"", headers=headers)
    assert (response.status_code, response.json()["reason"]) == (413, "BODY_TOO_LARGE")


def test_a_body_without_a_length_is_refused_while_it_streams(gateway: Any) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
        while sent < 50_000_000:
            sent += 10_000
            yield bytes(10_000)

    response = gateway.call(
        "POST", "/v1/cases", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert response.status_code == 413
    assert sent < 300_000


@pytest.mark.parametrize("failing", range(5))
def test_when_storing_fails_nothing_stays_and_the_client_may_try_again(gateway: Any, jpeg: bytes, failing: int) -> None:
    put_once, calls = gateway.store.put_once, []

    def fail_at(key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG001 - the port's name
        calls.append(key)
        if len(calls) == failing + 1:
            put_once(key, data)  # the answer is lost, not the write
            raise DermisError(Kind.UNAVAILABLE, "STORE_FULL", "the store refused: no space left")
        return put_once(key, data)

    gateway.store.put_once = fail_at
    response = gateway.submit(jpeg, jpeg, jpeg)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert response.json()["reason"] == "STORE_FULL"
    assert gateway.keys == []
    assert gateway.broker.jobs == []


def test_the_marker_is_first_and_the_fact_that_makes_a_case_last(gateway: Any, jpeg: bytes) -> None:
    put_once, order = gateway.store.put_once, []
    gateway.store.put_once = lambda key, data, **_: (order.append(key), put_once(key, data))[1]
    case_id = gateway.submit(jpeg, jpeg).json()["id"]
    images = [image_key("public", case_id, n, "original") for n in (1, 2)]
    assert sorted(order[1:4]) == [*images, retention_key(Consent.ASSESS_ONLY, case_id)]
    assert [order[0], *order[4:]] == [open_key(case_id), fact_key("public", case_id, "received")]


@pytest.fixture
def case_id(gateway: Any, jpeg: bytes) -> str:
    return gateway.submit(jpeg).json()["id"]


def test_the_quality_report_is_shown_once_assessed(gateway: Any, case_id: str) -> None:
    report = QualityReport(
        verdict=Verdict.MARGINAL, reasons=("DARK",), advice=("More light",), measures=None, policy="1"
    )
    assessed = Assessed(case_id=case_id, assessed_at=NOW, images=(AssessedImage(n=1, quality=report, phash=None),))
    put(gateway, fact_key("public", case_id, "assessed"), assessed)
    shown = gateway.get(f"/v1/cases/{case_id}").json()
    assert (shown["status"], shown["images"][0]["quality"]["advice"]) == ("ASSESSED", ["More light"])


def test_an_outcome_outlives_a_failed_attempt_and_the_last_failure_counts(gateway: Any, case_id: str) -> None:
    for attempt in (1, 2):
        failed = Failed(case_id=case_id, attempt=attempt, failed_at=NOW, reason=f"R{attempt}", detail="d")
        put(gateway, failed_key("public", case_id, attempt), failed)
    shown = gateway.get(f"/v1/cases/{case_id}").json()
    assert (shown["status"], shown["failure"]["reason"], shown["outcome"]) == ("FAILED", "R2", None)
    outcome = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.REJECTION, advice=("Again",))
    put(gateway, fact_key("public", case_id, "outcome"), outcome)
    response = gateway.get(f"/v1/cases/{case_id}")
    assert (response.json()["status"], response.json()["failure"]) == ("FINISHED", None)
    assert response.json()["outcome"]["advice"] == ["Again"]
    assert "retry-after" not in response.headers


def test_a_replayed_case_is_open_again_until_its_next_attempt_ends(gateway: Any, case_id: str) -> None:
    put(
        gateway,
        failed_key("public", case_id, 1),
        Failed(case_id=case_id, attempt=1, failed_at=NOW, reason="R1", detail="d"),
    )
    gateway.store.delete(open_key(case_id))
    put(gateway, open_key(case_id), OpenCase(case_id=case_id, owner="public", opened_at=NOW, attempt=2))
    assert gateway.get(f"/v1/cases/{case_id}").json()["status"] == "RECEIVED"
    put(
        gateway,
        failed_key("public", case_id, 2),
        Failed(case_id=case_id, attempt=2, failed_at=NOW, reason="R2", detail="d"),
    )
    assert gateway.get(f"/v1/cases/{case_id}").json()["failure"]["reason"] == "R2"


@pytest.mark.parametrize("unknown", ["case_01m82q0gvyesqr15ch6d31swr4", "x", "..%2F..%2Fopen", "case_" + "z" * 26])
def test_an_unknown_case_is_not_found(gateway: Any, unknown: str) -> None:
    response = gateway.get(f"/v1/cases/{unknown}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_an_erased_case_is_not_shown(gateway: Any, case_id: str) -> None:
    put(gateway, fact_key("public", case_id, "erased"), Erased(case_id=case_id, erased_at=NOW))
    assert gateway.get(f"/v1/cases/{case_id}").json()["reason"] == "CASE_ERASED"


def test_a_get_never_lists(gateway: Any, case_id: str) -> None:
    gateway.store.list = None
    assert gateway.get(f"/v1/cases/{case_id}").status_code == 200


def test_an_unchanged_case_is_304_until_it_changes(gateway: Any, case_id: str) -> None:
    tag = gateway.get(f"/v1/cases/{case_id}").headers["etag"]
    for header in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        response = gateway.get(f"/v1/cases/{case_id}", headers={"If-None-Match": header})
        assert (response.status_code, response.content) == (304, b""), header
    put(
        gateway,
        fact_key("public", case_id, "outcome"),
        Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.REJECTION),
    )
    assert gateway.get(f"/v1/cases/{case_id}", headers={"If-None-Match": tag}).status_code == 200
