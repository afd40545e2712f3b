"""Answers are compressed for those who take that, but never events, images and what may hold a secret."""

import gzip
from datetime import UTC, datetime
from typing import Any

import pytest

from dermis.gateway.compression import LEAST_BYTES
from dermis.shared.case import Heatmap, ModelRef, Outcome, OutcomeKind, fact_key, heatmap_key, image_key
from tests.unit.gateway.conftest import Gateway, new_key

NOW = datetime(2026, 1, 2, tzinfo=UTC)
GZIP = {"Accept-Encoding": "gzip"}
MODEL = ModelRef(name="m", version=1, purpose="research")
HEATMAP = Heatmap(n=1, condition="ECZEMA", place=0)


@pytest.fixture
def finished(gateway: Gateway, png: bytes) -> str:
    case_id: str = gateway.submit(png).json()["id"]
    outcome = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.DIFFERENTIAL, model=MODEL, heatmaps=(HEATMAP,))
    gateway.store.put_once(fact_key("public", case_id, "outcome"), outcome.model_dump_json().encode())
    gateway.store.put_once(heatmap_key("public", case_id, HEATMAP, MODEL), b"h" * 5000)
    gateway.store.put_once(image_key("public", case_id, 1, "prepared"), b"i" * 5000)
    return case_id


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip", "gzip"), ("br, GZIP;q=0.5", "gzip"), ("gzip;q=0", None), ("identity", None), ("gzip;q=9", None)],
)
def test_what_is_read_is_compressed_for_those_who_take_that(
    gateway: Gateway, finished: str, accepted: str, coding: str | None
) -> None:
    for path in (f"/v1/cases/{finished}", "/v1/conditions", "/openapi.json", "/assets/app.js", "/ops/models"):
        response = gateway.get(path, headers={"Accept-Encoding": accepted})
        assert response.headers.get("content-encoding") == coding, path
        assert "Accept-Encoding" in response.headers["vary"], path
        assert len(response.content) >= LEAST_BYTES


def test_a_compressed_answer_has_a_weak_tag_that_holds(gateway: Gateway, finished: str) -> None:
    path = f"/v1/cases/{finished}"
    plain, packed = gateway.get(path, headers={"Accept-Encoding": ""}), gateway.get(path, headers=GZIP)
    assert packed.headers["etag"] == f"W/{plain.headers['etag']}"
    assert packed.json() == plain.json()
    for tag in (plain.headers["etag"], packed.headers["etag"]):
        assert gateway.get(path, headers={**GZIP, "If-None-Match": tag}).status_code == 304
    asset = gateway.get("/assets/app.js", headers=GZIP).headers["etag"]
    assert gateway.get("/assets/app.js", headers={**GZIP, "If-None-Match": asset}).status_code == 304


def test_events_images_and_small_answers_are_not_compressed(gateway: Gateway, finished: str) -> None:
    case = f"/v1/cases/{finished}"
    for path in ("/events", "/images/1", "/images/1/heatmap", "/shares"):
        response = gateway.get(case + path, headers=GZIP)
        assert (response.status_code, response.headers.get("content-encoding")) == (200, None), path


def test_no_answer_with_a_secret_is_compressed(gateway: Gateway, png: bytes) -> None:
    _, key = new_key(gateway)
    headers = {**GZIP, **key}
    case = gateway.submit(png, headers=headers, client_reference="r" * 64)
    path = f"/v1/cases/{case.json()['id']}"
    link = gateway.call("POST", f"{path}/shares", json={}, headers=headers)
    assert case.json()["client_secret"]
    assert link.json()["url"]
    for answer in (case, link):
        assert "content-encoding" not in answer.headers
    secrets = (case.json()["client_secret"], link.json()["url"].rpartition("/")[2])
    for read in (path, f"{path}/shares", "/v1/cases"):
        assert not any(secret in gateway.get(read, headers=headers).text for secret in secrets)


def test_the_page_holds_no_secret(offered: Any) -> None:
    response = offered.get("/", headers=GZIP)
    assert response.headers["content-encoding"] == "gzip"
    assert offered.get("/").cookies["dermis_session"] not in response.text
    assert "csrf" not in response.text.lower()


def test_head_says_what_get_says(gateway: Gateway, finished: str) -> None:
    path = f"/v1/cases/{finished}"
    get, head = (gateway.call(method, path, headers=GZIP) for method in ("GET", "HEAD"))
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["etag"] == get.headers["etag"]
    assert head.content == b""
    assert len(gzip.compress(get.content, 6)) < len(get.content) / 2
