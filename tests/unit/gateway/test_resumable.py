"""An upload in parts (tus 1.0.0): what came stays, each byte has one place, and the whole is an upload like any."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from dermis.gateway import resumable
from dermis.gateway.bodies import Bodies, Body
from dermis.gateway.core.parts import joined, offset_after
from dermis.gateway.problems import BusyError
from dermis.gateway.resumable import ResumableUploads
from dermis.shared.case import Received, fact_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, new_secret_id
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.uploads import UploadedImage, part_key, parts_prefix, upload_folder, upload_key
from tests.unit.gateway.conftest import MAX_IMAGE_BYTES, new_key
from tests.unit.gateway.test_uploads import submit, upload

TUS = {"Tus-Resumable": "1.0.0"}
PART = {**TUS, "Content-Type": "application/offset+octet-stream"}
REPORT = QualityReport(verdict=Verdict.USABLE, reasons=(), advice=(), measures=None, policy="1")
PUBLIC = "public"


def begin(gateway: Any, length: int | str, **headers: str) -> httpx.Response:
    response: httpx.Response = gateway.call(
        "POST", "/v1/uploads", headers={**TUS, "Upload-Length": str(length), **headers}
    )
    return response


def send(gateway: Any, place: str, offset: int | str, data: bytes, **headers: str) -> httpx.Response:
    response: httpx.Response = gateway.call(
        "PATCH", place, content=data, headers={**PART, "Upload-Offset": str(offset), **headers}
    )
    return response


def begun(gateway: Any, image: bytes, *cuts: int, **headers: str) -> str:
    """Return where an upload is of which the parts up to each of `cuts` have come."""
    place: str = begin(gateway, len(image), **headers).headers["location"]
    for start, end in zip((0, *cuts), cuts, strict=False):
        assert send(gateway, place, start, image[start:end], **headers).status_code == 204
    return place


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["reason"]


class TestProtocol:
    def test_a_server_says_what_it_speaks_to_anybody(self, gateway: Any) -> None:
        gateway.settings["keyless"] = False
        response = gateway.call("OPTIONS", "/v1/uploads")
        assert response.status_code == 204
        assert response.headers["tus-version"] == response.headers["tus-resumable"] == "1.0.0"
        assert response.headers["tus-extension"] == "creation,expiration,termination"
        assert response.headers["tus-max-size"] == str(MAX_IMAGE_BYTES)

    def test_it_begins_grows_and_becomes_the_upload_that_the_image_at_once_would_be(
        self, gateway: Any, jpeg: bytes
    ) -> None:
        gateway.broker.reply = REPORT.model_dump_json().encode()
        response = begin(gateway, len(jpeg), **{"Upload-Metadata": "filename QW5uYS5qcGc=,filetype aW1hZ2UvanBlZw=="})
        assert response.status_code == 201, response.text
        place, upload_id = response.headers["location"], response.json()["id"]
        assert place == f"/v1/uploads/{upload_id}"
        assert is_id("upload", upload_id)
        for start, end in ((0, 10), (10, 700), (700, len(jpeg))):
            answer = send(gateway, place, start, jpeg[start:end])
            assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(end)), answer.text
            head = gateway.call("HEAD", place, headers=TUS)
            assert (head.status_code, head.headers["upload-offset"]) == (200, str(end))
            assert head.headers["upload-length"] == str(len(jpeg))
            assert head.headers["cache-control"] == "no-store"
            assert head.headers["tus-resumable"] == "1.0.0"
            expires = parsedate_to_datetime(head.headers["upload-expires"])
            assert abs(expires - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=20)
        at_once = upload(gateway, jpeg).json()["id"]
        in_parts, whole = (
            UploadedImage.model_validate_json(gateway.store.get(upload_key(PUBLIC, each, "uploaded.json")))
            for each in (upload_id, at_once)
        )
        assert in_parts.model_copy(update={"upload_id": at_once}) == whole
        originals = [gateway.store.get(upload_key(PUBLIC, each, "original")) for each in (upload_id, at_once)]
        assert originals[0] == originals[1]
        assert not any(b"SECRET" in gateway.store.get(key) for key in gateway.keys)
        assert not list(gateway.store.list(parts_prefix(PUBLIC, upload_id)))
        assert not any(b"Anna" in gateway.store.get(key) for key in gateway.keys)

    def test_a_case_takes_it_and_is_the_case_of_its_image(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg, 100, len(jpeg))
        upload_id = place.rpartition("/")[2]
        answer = submit(gateway, [upload_id], {"Idempotency-Key": "k"})
        assert answer.status_code == 202, answer.text
        received = Received.model_validate_json(gateway.store.get(fact_key(PUBLIC, answer.json()["id"], "received")))
        assert received.images[0].content_type == "image/jpeg"
        assert gateway.get(place).json()["status"] == "TAKEN"
        assert gateway.submit(jpeg, headers={"Idempotency-Key": "k"}).json()["id"] == answer.json()["id"]

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({}, (422, "UPLOAD_LENGTH")),
            ({"Upload-Defer-Length": "1"}, (422, "UPLOAD_LENGTH")),
            ({"Upload-Length": "0"}, (422, "IMAGE_DAMAGED")),
            ({"Upload-Length": "-1"}, (422, "PARAMETER")),
            ({"Upload-Length": "1e3"}, (422, "PARAMETER")),
            ({"Upload-Length": "9" * 40}, (422, "PARAMETER")),
            ({"Upload-Length": str(MAX_IMAGE_BYTES + 1)}, (413, "IMAGE_TOO_LARGE")),
            ({"Upload-Length": "9" * 18}, (413, "IMAGE_TOO_LARGE")),
            ({"Upload-Length": "5", "Tus-Resumable": "0.2.2"}, (412, "TUS_VERSION")),
        ],
    )
    def test_what_can_not_begin_leaves_nothing(
        self, gateway: Any, headers: dict[str, str], expected: tuple[int, str]
    ) -> None:
        response = gateway.call("POST", "/v1/uploads", headers={**TUS, **headers})
        assert refusal(response) == expected
        assert gateway.keys == []

    @pytest.mark.parametrize(
        ("headers", "data", "expected"),
        [
            ({"Upload-Offset": "9"}, b"x", (409, "UPLOAD_OFFSET")),
            ({"Upload-Offset": "11"}, b"x", (409, "UPLOAD_OFFSET")),
            ({"Upload-Offset": "010"}, b"", (204, "")),
            ({"Upload-Offset": "-1"}, b"x", (422, "PARAMETER")),
            ({"Upload-Offset": "ten"}, b"x", (422, "PARAMETER")),
            ({}, b"x", (422, "UPLOAD_OFFSET")),
            ({"Upload-Offset": "10", "Content-Type": "image/jpeg"}, b"x", (415, "CONTENT_TYPE")),
            ({"Upload-Offset": "10", "Tus-Resumable": "1.0.1"}, b"x", (412, "TUS_VERSION")),
            ({"Upload-Offset": "10"}, bytes(100_000), (413, "UPLOAD_TOO_LONG")),
        ],
    )
    def test_a_part_that_does_not_fit_changes_nothing(
        self, gateway: Any, jpeg: bytes, headers: dict[str, str], data: bytes, expected: tuple[int, str]
    ) -> None:
        place = begun(gateway, jpeg, 10)
        before = gateway.keys
        response = gateway.call("PATCH", place, content=data, headers={**PART, **headers})
        assert (response.status_code, response.json()["reason"] if response.content else "") == expected
        assert response.headers["tus-resumable"] == "1.0.0"
        if expected[1] == "TUS_VERSION":
            assert response.headers["tus-version"] == "1.0.0"
        assert gateway.keys == before

    def test_without_the_header_of_the_protocol_nothing_is_appended(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg, 10)
        headers = {"Content-Type": PART["Content-Type"], "Upload-Offset": "10"}
        assert refusal(gateway.call("PATCH", place, content=b"x", headers=headers)) == (412, "TUS_VERSION")

    def test_more_than_the_length_in_chunks_is_cut_where_it_ends(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg)

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(1000):
                yield bytes(1000)

        assert refusal(send(gateway, place, 0, endless())) == (413, "UPLOAD_TOO_LONG")  # type: ignore[arg-type]
        offset = int(gateway.call("HEAD", place, headers=TUS).headers["upload-offset"])
        assert offset <= len(jpeg)

    def test_it_can_be_ended_and_is_gone(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg, 10)
        assert gateway.call("DELETE", place, headers=TUS).status_code == 204
        assert gateway.keys == []
        assert refusal(gateway.call("GET", place, headers=TUS)) == (404, "UPLOAD_NOT_FOUND")
        assert refusal(send(gateway, place, 10, jpeg[10:])) == (404, "UPLOAD_NOT_FOUND")
        assert gateway.keys == []


class TestState:
    def test_the_verdict_is_asked_for_once(self, gateway: Any, jpeg: bytes) -> None:
        gateway.broker.reply = REPORT.model_dump_json().encode()
        place = begun(gateway, jpeg, len(jpeg))
        assert len(gateway.broker.asked) == 1
        for _ in range(3):
            answer = gateway.get(place).json()
            assert (answer["status"], answer["quality"]["verdict"]) == ("COMPLETE", "USABLE")
            assert answer["offset"] == answer["length"] == len(jpeg)
        assert len(gateway.broker.asked) == 1

    def test_where_no_worker_was_there_the_next_look_asks_and_head_does_not(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg, len(jpeg))
        gateway.broker.reply, asked = REPORT.model_dump_json().encode(), len(gateway.broker.asked)
        gateway.call("HEAD", place, headers=TUS)
        assert len(gateway.broker.asked) == asked
        assert gateway.get(place).json()["quality"]["verdict"] == "USABLE"
        assert gateway.get(place).json()["quality"]["verdict"] == "USABLE"
        assert len(gateway.broker.asked) == asked + 1

    def test_one_that_was_sent_at_once_has_a_state_too(self, gateway: Any, jpeg: bytes) -> None:
        gateway.broker.reply = REPORT.model_dump_json().encode()
        sent = upload(gateway, jpeg)
        answer = gateway.get(sent.headers["location"])
        assert answer.json() == sent.json()
        assert answer.json()["length"] == len(jpeg)

    def test_an_unfinished_one_makes_no_case_and_says_how_to_go_on(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg, 10)
        answer = gateway.get(place).json()
        assert (answer["status"], answer["offset"], answer["quality"]) == ("UPLOADING", 10, None)
        response = submit(gateway, [place.rpartition("/")[2]])
        assert refusal(response) == (422, "UPLOAD_UNFINISHED")
        assert response.json()["errors"][0]["pointer"] == "/uploads/0"

    def test_what_is_no_image_is_refused_once_and_not_asked_for_again(self, gateway: Any) -> None:
        data = b"%PDF-1.7 " * 100
        place = begin(gateway, len(data)).headers["location"]
        assert refusal(send(gateway, place, 0, data)) == (415, "IMAGE_FORMAT")
        head = gateway.call("HEAD", place, headers=TUS)
        assert (head.status_code, head.headers["upload-offset"]) == (200, str(len(data)))
        answer = gateway.get(place).json()
        assert (answer["status"], answer["refusal"]["reason"]) == ("REFUSED", "IMAGE_FORMAT")
        assert refusal(submit(gateway, [place.rpartition("/")[2]])) == (415, "IMAGE_FORMAT")
        assert [key.rpartition("/")[2] for key in gateway.keys] == ["refused.json", "upload.json"]

    def test_after_its_hour_it_is_gone_for_every_call(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg, 10)
        gateway.clock = lambda: datetime.now(UTC) + timedelta(minutes=61)
        assert refusal(gateway.get(place)) == (404, "UPLOAD_EXPIRED")
        assert gateway.call("HEAD", place, headers=TUS).status_code == 404
        assert refusal(send(gateway, place, 10, b"x")) == (404, "UPLOAD_EXPIRED")

    @pytest.mark.parametrize("wrong", ["nothing", "upload_7zzzzzzzzzzzzzzzzzzzzzzzzz", ""])
    def test_one_that_never_was_is_nothing(self, gateway: Any, wrong: str) -> None:
        place = f"/v1/uploads/{wrong or new_secret_id('upload')}"
        assert refusal(gateway.get(place)) == (404, "UPLOAD_NOT_FOUND")
        assert refusal(send(gateway, place, 0, b"x")) == (404, "UPLOAD_NOT_FOUND")

    def test_another_owners_is_as_one_that_never_was(self, gateway: Any, jpeg: bytes) -> None:
        _, mine = new_key(gateway)
        _, others = new_key(gateway)
        place = begun(gateway, jpeg, 10, **mine)
        kept = gateway.kept
        assert refusal(gateway.get(place, headers=others)) == (404, "UPLOAD_NOT_FOUND")
        assert refusal(send(gateway, place, 10, b"x", **others)) == (404, "UPLOAD_NOT_FOUND")
        assert gateway.call("DELETE", place, headers=others).status_code == 204
        assert gateway.kept == kept
        assert send(gateway, place, 10, jpeg[10:], **mine).status_code == 204


class TestCuts:
    """What breaks a body off: a client that leaves, a gateway that is killed, a store that is away."""

    def test_what_came_before_a_client_left_stays(self, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resumable, "PART_BYTES", 100)
        uploads = ResumableUploads(store=gateway.store, clock=gateway.clock)
        state = uploads.start(1000, owner=PUBLIC)

        async def cut() -> AsyncIterator[bytes]:
            yield bytes(range(250))
            raise ClientDisconnect

        async def append() -> None:
            with _bodies().open("line", by_key=False) as body:
                with pytest.raises(ClientDisconnect):
                    await uploads.append(state, body.booked(cut()), body, owner=PUBLIC)
                assert body.bytes == 0

        gateway.runner.run(append())
        after = uploads.read(state.upload_id, owner=PUBLIC)
        assert (after.offset, after.parts) == (250, 3)
        parts = [gateway.store.get(part_key(PUBLIC, state.upload_id, start)) for start in (0, 100, 200)]
        assert b"".join(parts) == bytes(range(250))

    def test_a_fault_of_the_store_leaves_no_gap(self, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resumable, "PART_BYTES", 100)
        uploads = ResumableUploads(store=gateway.store, clock=gateway.clock)
        state = uploads.start(1000, owner=PUBLIC)
        put_once, puts = gateway.store.put_once, []

        def away_once(key: str, data: bytes, *, reserved: bool = False) -> bool:
            puts.append(key)
            if len(puts) == 2:
                raise DermisError(Kind.UNAVAILABLE, "STORE_AWAY", "the store does not answer")
            return bool(put_once(key, data, reserved=reserved))

        gateway.store.put_once = away_once

        async def whole() -> AsyncIterator[bytes]:
            yield bytes(250)

        async def append() -> None:
            with _bodies().open("line", by_key=False) as body, pytest.raises(DermisError, match="STORE_AWAY"):
                await uploads.append(state, whole(), body, owner=PUBLIC)

        gateway.runner.run(append())
        assert uploads.read(state.upload_id, owner=PUBLIC).offset == 100
        assert len(puts) == 2

    @pytest.mark.parametrize("until", ["upload", "original", "uploaded.json"])
    def test_a_gateway_that_was_killed_after_the_last_part_left_an_upload_that_head_brings_to_its_end(
        self, gateway: Any, jpeg: bytes, until: str
    ) -> None:
        place = begin(gateway, len(jpeg)).headers["location"]
        upload_id = place.rpartition("/")[2]
        put_once = gateway.store.put_once

        def killed(key: str, data: bytes, *, reserved: bool = False) -> bool:
            if (until != "upload" and key.endswith(until)) or (until == "upload" and key.endswith("original")):
                raise RuntimeError("killed")
            return bool(put_once(key, data, reserved=reserved))

        gateway.store.put_once = killed
        assert send(gateway, place, 0, jpeg).status_code == 500
        gateway.store.put_once = put_once
        assert refusal(submit(gateway, [upload_id])) == (422, "UPLOAD_UNFINISHED")
        head = gateway.call("HEAD", place, headers=TUS)
        assert (head.status_code, head.headers["upload-offset"]) == (200, str(len(jpeg)))
        assert not list(gateway.store.list(parts_prefix(PUBLIC, upload_id)))
        assert submit(gateway, [upload_id]).status_code == 202

    def test_one_that_is_deleted_while_its_last_bytes_come_stays_deleted(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg, 10)
        upload_id = place.rpartition("/")[2]
        put_once = gateway.store.put_once

        def deletes(key: str, data: bytes, *, reserved: bool = False) -> bool:
            if key.endswith("original"):
                for each in list(gateway.store.list(upload_folder(PUBLIC, upload_id))):
                    gateway.store.delete(each)
            return bool(put_once(key, data, reserved=reserved))

        gateway.store.put_once = deletes
        assert refusal(send(gateway, place, 10, jpeg[10:])) == (404, "UPLOAD_NOT_FOUND")
        assert gateway.keys == []

    def test_an_upload_that_breaks_off_too_often_ends(
        self, gateway: Any, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resumable, "MOST_PARTS", 3)
        place = begun(gateway, jpeg, 1, 2, 3)
        assert refusal(send(gateway, place, 3, jpeg[3:])) == (409, "UPLOAD_PARTS")

    def test_of_two_calls_for_one_place_one_has_it(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg, 10)
        bodies = [jpeg[10:50], jpeg[10:80], bytes(30), jpeg[10:50]]

        async def race() -> list[httpx.Response]:
            async with gateway.client() as client:
                calls = [client.patch(place, content=each, headers={**PART, "Upload-Offset": "10"}) for each in bodies]
                return list(await asyncio.gather(*calls))

        answers = gateway.runner.run(race())
        taken = {bodies[n] for n, answer in enumerate(answers) if answer.status_code == 204}
        assert len(taken) == 1
        assert {answer.status_code for answer in answers} <= {204, 409}
        assert gateway.store.get(part_key(PUBLIC, place.rpartition("/")[2], 10)) in taken

    def test_all_at_once_at_the_end_make_one_image(self, gateway: Any, jpeg: bytes) -> None:
        place = begun(gateway, jpeg, 10)

        async def race() -> list[httpx.Response]:
            headers = {**PART, "Upload-Offset": "10"}
            async with gateway.client() as client:
                return list(
                    await asyncio.gather(*(client.patch(place, content=jpeg[10:], headers=headers) for _ in range(6)))
                )

        answers = gateway.runner.run(race())
        assert 204 in {each.status_code for each in answers}
        assert {each.status_code for each in answers} <= {204, 409, 413}
        fact = json.loads(gateway.store.get(upload_key(PUBLIC, place.rpartition("/")[2], "uploaded.json")))
        assert fact["sent_sha256"] == hashlib.sha256(jpeg).hexdigest()
        assert submit(gateway, [place.rpartition("/")[2]]).status_code == 202


def test_without_room_for_the_whole_what_came_stays_and_the_next_look_takes_it_in(
    gateway: Any, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = begun(gateway, jpeg, 600)
    book = Bodies.book

    def full(bodies: Bodies, body: Body, count: int) -> None:
        if count == len(jpeg):
            raise BusyError("UPLOADS_BUSY", "full", retry_after=2)
        book(bodies, body, count)

    monkeypatch.setattr(Bodies, "book", full)
    assert refusal(send(gateway, place, 600, jpeg[600:])) == (503, "UPLOADS_BUSY")
    monkeypatch.setattr(Bodies, "book", book)
    assert gateway.call("HEAD", place, headers=TUS).headers["upload-offset"] == str(len(jpeg))
    assert gateway.get(place).json()["status"] == "COMPLETE"


@given(st.lists(st.binary(min_size=1, max_size=20)))
def test_the_fold_of_parts_is_what_was_put(parts: list[bytes]) -> None:
    starts = [sum(map(len, parts[:n])) for n in range(len(parts))]
    assert offset_after(starts, last_bytes=len(parts[-1]) if parts else 0) == sum(map(len, parts))
    assert joined(zip(starts, parts, strict=True)) == b"".join(parts)


def test_parts_behind_a_gap_are_none() -> None:
    assert joined([(0, b"abc"), (4, b"e")]) == b"abc"
    assert joined([(1, b"abc")]) == b""


def _bodies() -> Bodies:
    return Bodies(most_bytes=10**6, most_bytes_per_key=10**6, most_per_address=0, show=lambda _: None)
