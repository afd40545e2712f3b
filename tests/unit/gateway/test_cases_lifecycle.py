"""Waiting, following, sending again, listing, erasing."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.gateway.core.listing import after, cursor
from dermis.gateway.core.prefer import wait_seconds
from dermis.shared.case import (
    Assessed,
    CaseState,
    Erased,
    Failed,
    OpenCase,
    Outcome,
    OutcomeKind,
    Received,
    Status,
    fact_key,
    failed_key,
    image_key,
    open_key,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id
from dermis.shared.jobs import AssessJob
from dermis.shared.listing import fold_keys
from dermis.shared.ports import BlobConflict, BlobNotFound

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def assessed(case_id: str) -> Assessed:
    return Assessed(case_id=case_id, assessed_at=NOW, images=())


def outcome(case_id: str) -> Outcome:
    return Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.REJECTION)


def put(gateway: Any, case_id: str, name: str, fact: Any) -> None:
    gateway.store.put_once(fact_key("public", case_id, name), fact.model_dump_json().encode())  # type: ignore[arg-type]


def working(gateway: Any, *, seconds: float = 0.05) -> Callable[[AssessJob], Any]:
    """Return a worker that takes a while and announces what it finds."""

    async def work(job: AssessJob) -> None:
        for name, fact in (("assessed", assessed), ("outcome", outcome)):
            await asyncio.sleep(seconds)
            put(gateway, job.case_id, name, fact(job.case_id))
            await gateway.broker.announce(job.case_id, name)

    return work


async def somebody_waits(gateway: Any) -> None:
    while not gateway.hub._waiting:
        await asyncio.sleep(0.01)


def events(response: httpx.Response) -> list[tuple[int, str, dict[str, Any]]]:
    got = []
    for block in response.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            got.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return got


@pytest.fixture
def case_id(gateway: Any, jpeg: bytes) -> str:
    got: str = gateway.submit(jpeg).json()["id"]
    return got


class TestWaiting:
    @pytest.mark.parametrize("fed", [True, False], ids=["news", "looking"])
    def test_who_prefers_to_wait_gets_the_finished_case(
        self, gateway: Any, jpeg: bytes, monkeypatch: pytest.MonkeyPatch, fed: bool
    ) -> None:
        monkeypatch.setattr("dermis.gateway.hub._WITH_NEWS_S", 60)
        gateway.hub.fed = fed
        gateway.broker.worker = working(gateway)
        start = time.monotonic()
        response = gateway.submit(jpeg, headers={"Prefer": "respond-async, wait=10"})
        assert (response.status_code, response.json()["status"]) == (200, "FINISHED")
        assert response.headers["preference-applied"] == "wait=10"
        assert response.headers["location"] == f"/v1/cases/{response.json()['id']}"
        assert time.monotonic() - start < 5

    def test_the_wait_is_bounded_and_ends_with_what_is_known(self, gateway: Any, jpeg: bytes) -> None:
        gateway.settings["max_wait_seconds"] = 0.1
        start = time.monotonic()
        response = gateway.submit(jpeg, headers={"Prefer": "wait=1000"})
        assert (response.status_code, response.json()["status"], response.headers["retry-after"]) == (
            202,
            "RECEIVED",
            "1",
        )
        assert time.monotonic() - start < 5

    def test_a_get_waits_too(self, gateway: Any, case_id: str) -> None:
        async def both() -> httpx.Response:
            async with gateway.client() as client:
                asking = asyncio.ensure_future(client.get(f"/v1/cases/{case_id}", headers={"Prefer": "wait=10"}))
                await working(gateway)(AssessJob(case_id=case_id, owner="public"))
                return await asking

        gateway.hub.fed = True
        assert gateway.runner.run(both()).json()["status"] == "FINISHED"

    def test_nobody_is_kept_when_the_process_ends(self, gateway: Any, case_id: str) -> None:
        async def both() -> httpx.Response:
            async with gateway.client() as client:
                asking = asyncio.ensure_future(client.get(f"/v1/cases/{case_id}", headers={"Prefer": "wait=10"}))
                await somebody_waits(gateway)
                gateway.hub.stop()
                return await asyncio.wait_for(asking, 5)

        gateway.hub.fed = True
        assert gateway.runner.run(both()).json()["status"] == "RECEIVED"

    def test_nobody_is_waited_for_who_has_left(self, gateway: Any, case_id: str) -> None:
        async def leaves() -> float:
            messages = [{"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}]

            async def receive() -> Any:
                return messages.pop(0) if len(messages) > 1 else messages[0]

            async def send(_message: Any) -> None: ...

            path = f"/v1/cases/{case_id}"
            scope = {
                "type": "http",
                "method": "GET",
                "path": path,
                "query_string": b"",
                "headers": [(b"prefer", b"wait=20")],
            }
            begun = time.monotonic()
            await asyncio.wait_for(gateway.client()._transport.app(scope, receive, send), 10)
            return time.monotonic() - begun

        assert gateway.runner.run(leaves()) < 5
        assert not gateway.hub._waiting

    def test_no_listener_stays_behind(self, gateway: Any, jpeg: bytes) -> None:
        gateway.broker.worker = working(gateway, seconds=0)
        gateway.submit(jpeg, headers={"Prefer": "wait=5"})
        assert gateway.hub._waiting == {}

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            (None, 0),
            ("", 0),
            ("wait=5", 5),
            ("Wait = 7", 7),
            ('wait="3"', 3),
            ("respond-async,wait=99", 30),
            ("await=5", 0),
            ("wait=x", 0),
            ("wait=-1", 0),
        ],
    )
    def test_the_header_is_read(self, header: str | None, seconds: float) -> None:
        assert wait_seconds(header, most=30) == seconds


class TestEvents:
    def test_each_fact_is_an_event_in_order_and_the_stream_ends_with_the_case(self, gateway: Any, case_id: str) -> None:
        async def both() -> httpx.Response:
            async with gateway.client() as client:
                asking = asyncio.ensure_future(client.get(f"/v1/cases/{case_id}/events"))
                await working(gateway)(AssessJob(case_id=case_id, owner="public"))
                return await asking

        gateway.hub.fed = True
        response = gateway.runner.run(both())
        assert response.headers["content-type"].startswith("text/event-stream")
        got = events(response)
        assert [(ordinal, name) for ordinal, name, _ in got] == [(1, "received"), (2, "assessed"), (1000, "outcome")]
        assert [data["status"] for _, _, data in got] == ["RECEIVED", "ASSESSED", "FINISHED"]
        assert got[-1][2] == gateway.get(f"/v1/cases/{case_id}").json()

    def test_who_comes_late_gets_each_event_as_it_was(self, gateway: Any, case_id: str) -> None:
        put(gateway, case_id, "assessed", assessed(case_id))
        put(gateway, case_id, "outcome", outcome(case_id))
        assert [data["status"] for _, _, data in events(gateway.get(f"/v1/cases/{case_id}/events"))] == [
            "RECEIVED",
            "ASSESSED",
            "FINISHED",
        ]

    def test_who_comes_back_gets_only_what_is_new_and_is_told_when_nothing_will_be(
        self, gateway: Any, case_id: str
    ) -> None:
        put(gateway, case_id, "assessed", assessed(case_id))
        put(gateway, case_id, "outcome", outcome(case_id))
        again = gateway.get(f"/v1/cases/{case_id}/events", headers={"Last-Event-ID": "2"})
        assert [name for _, name, _ in events(again)] == ["outcome"]
        assert gateway.get(f"/v1/cases/{case_id}/events", headers={"Last-Event-ID": "1000"}).status_code == 204
        for strange in ("\u00b2", "9" * 5000, "-1", "1e3"):
            assert (
                len(events(gateway.get(f"/v1/cases/{case_id}/events", headers={"Last-Event-ID": strange.encode()})))
                == 3
            )

    def test_a_failed_attempt_ends_it(self, gateway: Any, case_id: str) -> None:
        failed = Failed(case_id=case_id, attempt=1, failed_at=NOW, reason="R", detail="d")
        gateway.store.put_once(failed_key("public", case_id, 1), failed.model_dump_json().encode())
        assert [(n, name) for n, name, _ in events(gateway.get(f"/v1/cases/{case_id}/events"))] == [
            (1, "received"),
            (3, "failed"),
        ]

    def test_erasing_ends_it(self, gateway: Any, case_id: str) -> None:
        async def both() -> httpx.Response:
            async with gateway.client() as client:
                asking = asyncio.ensure_future(client.get(f"/v1/cases/{case_id}/events"))
                await somebody_waits(gateway)
                assert (await client.delete(f"/v1/cases/{case_id}")).status_code == 204
                return await asking

        gateway.hub.fed = True
        assert events(gateway.runner.run(both()))[-1] == (1001, "erased", {"id": case_id, "status": "ERASED"})

    def test_a_stream_is_bounded(self, gateway: Any, case_id: str) -> None:
        gateway.settings["stream_seconds"] = 0.1
        assert [name for _, name, _ in events(gateway.get(f"/v1/cases/{case_id}/events"))] == ["received"]

    def test_no_case_no_events(self, gateway: Any) -> None:
        assert gateway.get(f"/v1/cases/{new_id('case')}/events").status_code == 404


class TestSendingAgain:
    def test_the_same_key_and_case_is_one_case_and_one_job(self, gateway: Any, jpeg: bytes) -> None:
        first, second = (gateway.submit(jpeg, headers={"Idempotency-Key": "k-1"}, self_report="{}") for _ in range(2))
        assert (first.status_code, second.status_code) == (202, 202)
        assert first.json() == second.json()
        assert len(gateway.broker.jobs) == 1
        put(gateway, first.json()["id"], "outcome", outcome(first.json()["id"]))
        third = gateway.submit(jpeg, headers={"Idempotency-Key": "k-1"}, self_report="{}")
        assert (third.status_code, third.json()["status"]) == (200, "FINISHED")

    def test_the_same_key_with_another_case_is_refused(self, gateway: Any, jpeg: bytes, png: bytes) -> None:
        gateway.submit(jpeg, headers={"Idempotency-Key": "k-1"})
        before = gateway.keys
        for other in ({"self_report": '{"textures":["FLAT"]}'}, {"consent": "KEEP_FOR_IMPROVEMENT"}):
            assert (
                gateway.submit(jpeg, headers={"Idempotency-Key": "k-1"}, **other).json()["reason"]
                == "IDEMPOTENCY_KEY_REUSED"
            )
        assert gateway.submit(jpeg, png, headers={"Idempotency-Key": "k-1"}).status_code == 422
        assert (
            gateway.submit(png, headers={"Idempotency-Key": "k-1"}).json()["errors"][0]["pointer"]
            == "/header/Idempotency-Key"
        )
        assert gateway.keys == before

    def test_other_keys_are_other_cases(self, gateway: Any, jpeg: bytes) -> None:
        ids = {
            gateway.submit(jpeg, headers=headers).json()["id"]
            for headers in ({"Idempotency-Key": "a"}, {"Idempotency-Key": "b"}, {}, {})
        }
        assert len(ids) == 4

    def test_what_is_refused_takes_no_key(self, gateway: Any, jpeg: bytes) -> None:
        assert gateway.submit(jpeg[:99], headers={"Idempotency-Key": "k"}).status_code == 422
        assert gateway.keys == []
        assert gateway.submit(jpeg, headers={"Idempotency-Key": "k"}).status_code == 202
        assert (
            gateway.submit(jpeg, headers={"Idempotency-Key": "k" * 256}).json()["errors"][0]["pointer"]
            == "/header/idempotency-key"
        )

    @pytest.mark.parametrize("failing", range(6))
    def test_one_that_broke_off_is_brought_to_its_end(self, gateway: Any, jpeg: bytes, failing: int) -> None:
        put_once, calls = gateway.store.put_once, []

        def fail_at(key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG001 - the port's name
            calls.append(key)
            if len(calls) == failing + 1:
                raise DermisError(Kind.UNAVAILABLE, "STORE_FULL", "the store refused")
            return bool(put_once(key, data))

        gateway.store.put_once = fail_at
        assert gateway.submit(jpeg, headers={"Idempotency-Key": "k"}).status_code == 503
        assert not [key for key in gateway.keys if key.endswith("received.json")]
        response = gateway.submit(jpeg, headers={"Idempotency-Key": "k"})
        assert response.status_code == 202
        assert gateway.get(response.headers["location"]).status_code == 200
        assert len({key.split("/")[2] for key in gateway.keys if key.startswith("cases/")}) == 1
        assert len(gateway.broker.jobs) == 1

    def test_many_at_once_are_one_case(self, gateway: Any, jpeg: bytes) -> None:
        async def all_at_once() -> list[httpx.Response]:
            async with gateway.client() as client:
                calls = (
                    client.post("/v1/cases", files={"images": jpeg}, headers={"Idempotency-Key": "k"})
                    for _ in range(12)
                )
                return await asyncio.gather(*calls)

        responses = gateway.runner.run(all_at_once())
        assert {response.status_code for response in responses} == {202}
        assert len({response.json()["id"] for response in responses}) == 1
        assert len(gateway.broker.jobs) == 1

    @pytest.mark.parametrize("before", ["images/1/original", "received.json"])
    def test_one_that_comes_to_its_end_after_the_case_was_erased_leaves_nothing_of_it(
        self, gateway: Any, jpeg: bytes, before: str
    ) -> None:
        async def overtaken() -> httpx.Response:
            reached, erased = asyncio.Event(), threading.Event()
            put_once, loop = gateway.store.put_once, asyncio.get_running_loop()

            def late(key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG001 - the port's name
                if key.endswith(before) and not reached.is_set():
                    loop.call_soon_threadsafe(reached.set)
                    erased.wait(5)
                return bool(put_once(key, data))

            gateway.store.put_once = late
            async with gateway.client() as client:
                slow = asyncio.ensure_future(
                    client.post("/v1/cases", files={"images": jpeg}, headers={"Idempotency-Key": "k"})
                )
                await reached.wait()
                fast = await client.post("/v1/cases", files={"images": jpeg}, headers={"Idempotency-Key": "k"})
                assert (await client.delete(fast.headers["location"])).status_code == 204
                erased.set()
                return await slow

        response = gateway.runner.run(overtaken())
        assert (response.status_code, response.json()["reason"]) == (404, "CASE_ERASED")
        assert [key.partition("/")[0] for key in gateway.keys] == ["cases", "open"]
        assert [key for key in gateway.keys if key.endswith("/erased.json")]

    def test_one_whose_half_stored_image_is_another_one_is_not_taken_for_stored(
        self, gateway: Any, jpeg: bytes
    ) -> None:
        put_once = gateway.store.put_once

        def breaking_off(key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG001 - the port's name
            if key.endswith("received.json"):
                raise DermisError(Kind.UNAVAILABLE, "STORE_FULL", "the store refused")
            return bool(put_once(key, b"of an earlier release" if key.endswith("original") else data))

        gateway.store.put_once = breaking_off
        assert gateway.submit(jpeg, headers={"Idempotency-Key": "k"}).status_code == 503
        gateway.store.put_once = put_once
        assert gateway.submit(jpeg, headers={"Idempotency-Key": "k"}).status_code == 409
        assert gateway.broker.jobs == []

    def test_a_key_whose_record_goes_while_it_is_read_is_taken_anew(self, gateway: Any, jpeg: bytes) -> None:
        first = gateway.submit(jpeg, headers={"Idempotency-Key": "k"})
        put_once, get = gateway.store.put_once, gateway.store.get
        reads: list[Any] = []

        def early(key: str) -> bytes:
            if key.startswith("idempotency/") and not reads:
                reads.append(key)
                raise BlobNotFound(key)  # an equal request's is put only now
            return bytes(get(key))

        gateway.store.get = early

        def erasing(key: str, data: bytes, *, reserved: bool = False) -> bool:  # noqa: ARG001 - the port's name
            try:
                return bool(put_once(key, data))
            except BlobConflict:
                if key.startswith("idempotency/"):
                    gateway.store.delete(key)
                raise

        gateway.store.put_once = erasing
        second = gateway.submit(jpeg, headers={"Idempotency-Key": "k"})
        assert second.status_code == 202
        assert second.json()["id"] != first.json()["id"]


class TestErasing:
    def test_nothing_stays_but_a_tombstone_and_a_marker_for_the_sweep(
        self, gateway: Any, jpeg: bytes, png: bytes
    ) -> None:
        case_id = gateway.submit(jpeg, png, headers={"Idempotency-Key": "k"}).json()["id"]
        put(gateway, case_id, "assessed", assessed(case_id))
        gateway.store.put_once(image_key("public", case_id, 1, "prepared"), b"x")
        put(gateway, case_id, "outcome", outcome(case_id))
        gateway.store.delete(open_key(case_id))
        assert gateway.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
        assert gateway.keys == [fact_key("public", case_id, "erased"), open_key(case_id)]
        assert OpenCase.model_validate_json(gateway.store.get(open_key(case_id))).case_id == case_id
        assert gateway.get(f"/v1/cases/{case_id}").json()["reason"] == "CASE_ERASED"

    def test_the_tombstone_comes_first(self, gateway: Any, case_id: str) -> None:
        store, order = gateway.store, []
        for name in ("put_once", "delete"):
            call = getattr(store, name)
            setattr(
                store,
                name,
                lambda key, *data, call=call, name=name, **more: (order.append((name, key)), call(key, *data, **more))[
                    1
                ],
            )
        gateway.call("DELETE", f"/v1/cases/{case_id}")
        assert ("put_once", fact_key("public", case_id, "erased")) in order
        assert [name for name, _ in order] == sorted((name for name, _ in order), reverse=True)

    def test_it_can_be_done_again_and_finishes_what_broke_off(self, gateway: Any, case_id: str) -> None:
        delete = gateway.store.delete

        def fail(_key: str) -> None:
            raise DermisError(Kind.UNAVAILABLE, "STORE_UNAVAILABLE", "the store refused")

        gateway.store.delete = fail
        assert gateway.call("DELETE", f"/v1/cases/{case_id}").status_code == 503
        assert gateway.get(f"/v1/cases/{case_id}").status_code == 404
        gateway.store.delete = delete
        for _ in range(2):
            assert gateway.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
        assert gateway.keys == [fact_key("public", case_id, "erased"), open_key(case_id)]

    def test_a_late_write_of_a_worker_goes_with_the_next_erase(self, gateway: Any, case_id: str) -> None:
        gateway.call("DELETE", f"/v1/cases/{case_id}")
        put(gateway, case_id, "assessed", assessed(case_id))
        assert gateway.get(f"/v1/cases/{case_id}").status_code == 404
        gateway.call("DELETE", f"/v1/cases/{case_id}")
        assert len(gateway.keys) == 2

    @pytest.mark.parametrize("name", ["received.json", "assessed.json", "failed/1.json", "idempotency.json"])
    def test_a_case_of_which_something_is_broken_can_be_erased_and_the_log_says_what(
        self, gateway: Any, jpeg: bytes, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        case_id = gateway.submit(jpeg, headers={"Idempotency-Key": "k"}).json()["id"]
        key = f"cases/public/{case_id}/{name}"
        gateway.store.delete(key)
        gateway.store.put_once(key, b'{"SECRET')
        response = gateway.get(f"/v1/cases/{case_id}")
        if name != "idempotency.json":
            assert (response.status_code, response.json()["reason"]) == (500, "FACT_BROKEN")
            log = capsys.readouterr()
            assert key in log.out + log.err
            assert "SECRET" not in log.out + log.err + response.text
        assert gateway.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
        assert list(gateway.store.list("cases/")) == [fact_key("public", case_id, "erased")]

    def test_what_never_was_is_not_found(self, gateway: Any) -> None:
        for unknown in (new_id("case"), "x"):
            assert gateway.call("DELETE", f"/v1/cases/{unknown}").status_code == 404
        assert gateway.keys == []


class TestListing:
    def test_it_is_off_for_cases_without_a_key(self, gateway: Any, case_id: str) -> None:
        response = gateway.get("/v1/cases")
        assert (response.status_code, response.json()["reason"]) == (403, "LISTING_OFF")
        assert case_id not in response.text

    def test_pages_hold_every_case_once_in_order_with_its_state(self, gateway: Any, jpeg: bytes) -> None:
        gateway.settings["list_public"] = True
        ids = [gateway.submit(jpeg).json()["id"] for _ in range(7)]
        put(gateway, ids[1], "assessed", assessed(ids[1]))
        put(gateway, ids[2], "outcome", outcome(ids[2]))
        gateway.call("DELETE", f"/v1/cases/{ids[3]}")
        gateway.store.put_once(image_key("public", new_id("case"), 1, "original"), b"half-stored")
        got, cursor_, pages = [], "", 0
        while cursor_ is not None:
            page = gateway.get("/v1/cases", params={"limit": 2, "cursor": cursor_}).json()
            got += [(case["id"], case["status"]) for case in page["cases"]]
            cursor_, pages = page["next_cursor"], pages + 1
        status = {ids[1]: "ASSESSED", ids[2]: "FINISHED"}
        assert got == [(each, status.get(each, "RECEIVED")) for each in ids if each != ids[3]]
        assert pages == 3
        case = gateway.get(f"/v1/cases/{ids[0]}").json()
        listed = gateway.get("/v1/cases").json()["cases"][0]
        times = [datetime.fromisoformat(case["received_at"]) for case in (case, listed)]
        assert abs((times[0] - times[1]).total_seconds()) < 0.1

    @pytest.mark.parametrize(
        ("query", "pointer"),
        [
            ("cursor=abc", "/query/cursor"),
            ("limit=0", "/query/limit"),
            ("limit=101", "/query/limit"),
            ("limit=x", "/query/limit"),
        ],
    )
    def test_what_no_page_gave_is_refused(self, gateway: Any, query: str, pointer: str) -> None:
        gateway.settings["list_public"] = True
        response = gateway.get(f"/v1/cases?{query}")
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, pointer)

    @given(st.text(max_size=60))
    def test_a_cursor_is_ours_or_none(self, text: str) -> None:
        got = after(text)
        assert got is None or cursor(got) == text
        case_id = new_id("case")
        assert after(cursor(case_id)) == case_id

    @given(st.sets(st.sampled_from(["received", "assessed", "outcome", "failed", "erased"])))
    def test_the_state_by_names_is_the_state_by_facts(self, names: set[str]) -> None:
        case_id = new_id("case")
        keys = sorted(
            f"p/{case_id}/failed/1.json" if name == "failed" else f"p/{case_id}/{name}.json" for name in names
        )
        got = fold_keys(keys, prefix="p/")
        state = CaseState(
            received=RECEIVED if "received" in names else None,
            assessed=assessed(case_id) if "assessed" in names else None,
            outcome=outcome(case_id) if "outcome" in names else None,
            failed=Failed(case_id=case_id, attempt=1, failed_at=NOW, reason="R", detail="d")
            if "failed" in names
            else None,
            erased=Erased(case_id=case_id, erased_at=NOW) if "erased" in names else None,
        )
        expected = state.status if state.received and state.status is not Status.ERASED else None
        assert [each.status for each in got] == ([expected] if expected else [])


RECEIVED = Received.model_validate(
    {
        "case_id": "case_01m82q0gvyesqr15ch6d31swr4",
        "owner": "public",
        "received_at": NOW,
        "images": [{"n": 1, "content_type": "image/png", "bytes": 1, "sha256": "", "width": 1, "height": 1}],
        "self_report": {},
    }
)
