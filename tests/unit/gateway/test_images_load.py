"""Judging an image at once, and what happens when there is too much to do."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.gateway.core.admission import refused_for
from dermis.shared.jobs import AssessImageJob, scratch_key
from dermis.shared.report import QualityReport, Verdict
from tests.unit.gateway.conftest import new_key

REPORT = QualityReport(verdict=Verdict.USABLE, reasons=(), advice=(), measures=None, policy="1")


class TestJudging:
    def test_an_image_is_judged_and_not_kept(self, gateway: Any, jpeg: bytes) -> None:
        put_once, stored = gateway.store.put_once, {}
        gateway.store.put_once = lambda key, data, **_: (stored.update({key: data}), put_once(key, data))[1]
        gateway.broker.reply = REPORT.model_dump_json().encode()
        response = gateway.call("POST", "/v1/images:assess", files={"image": jpeg})
        assert (response.status_code, QualityReport.model_validate(response.json())) == (200, REPORT)
        (job,) = gateway.broker.asked
        assert job == AssessImageJob(scratch_id=job.scratch_id, content_type="image/jpeg", orientation=6, line=job.line)
        assert job.line.startswith("public:")
        assert b"SECRET" not in stored[scratch_key(job.scratch_id)]
        assert gateway.keys == []

    def test_without_an_answer_the_client_is_told_and_nothing_stays(self, gateway: Any, jpeg: bytes) -> None:
        response = gateway.call("POST", "/v1/images:assess", files={"image": jpeg})
        assert (response.status_code, response.json()["reason"]) == (504, "NO_ANSWER")
        gateway.broker.up = False
        response = gateway.call("POST", "/v1/images:assess", files={"image": jpeg})
        assert (response.status_code, response.json()["reason"]) == (503, "BROKER_UNAVAILABLE")
        assert gateway.keys == []

    def test_one_caller_has_so_many_judged_at_once_and_others_go_on(self, gateway: Any, jpeg: bytes) -> None:
        gateway.settings["max_judging"] = 2
        first, other = (new_key(gateway)[1] for _ in range(2))

        async def run() -> list[int]:
            go, ask, asked = asyncio.Event(), gateway.broker.ask, []

            async def slow(job: AssessImageJob, *, seconds: float) -> bytes | None:
                asked.append(job)
                await go.wait()
                reply: bytes | None = await ask(job, seconds=seconds)
                return reply

            gateway.broker.ask, gateway.broker.reply = slow, REPORT.model_dump_json().encode()
            async with gateway.client() as client:

                async def judge(key: dict[str, str]) -> int:
                    return int((await client.post("/v1/images:assess", files={"image": jpeg}, headers=key)).status_code)

                waiting = [asyncio.ensure_future(judge(key)) for key in (first, first, other)]
                while len(asked) < 3:
                    await asyncio.sleep(0.01)
                refused = await judge(first)
                go.set()
                return [refused, *[await each for each in waiting], await judge(first)]

        assert gateway.runner.run(run()) == [429, 200, 200, 200, 200]

    @pytest.mark.parametrize("reply", [b"", b"{}", b"nonsense", b'{"verdict": "FINE"}'])
    def test_an_answer_that_is_no_report_is_no_fault_of_the_callers(
        self, gateway: Any, jpeg: bytes, reply: bytes
    ) -> None:
        gateway.broker.reply = reply
        response = gateway.call("POST", "/v1/images:assess", files={"image": jpeg})
        assert (response.status_code, response.json()["reason"]) == (503, "ANSWER_BROKEN")
        assert response.headers["retry-after"]
        assert gateway.keys == []

    @pytest.mark.parametrize(
        ("files", "status", "reason", "pointer"),
        [
            ([("image", b"%PDF-1")], 415, "IMAGE_FORMAT", "/image"),
            ([("image", bytes(300_000))], 413, "IMAGE_TOO_LARGE", "/image"),
            ([("image", b"")], 422, "IMAGE_DAMAGED", "/image"),
            ([("image", b"\xff\xd8\xff"), ("image", b"\xff\xd8\xff")], 422, "IMAGE_COUNT", "/image"),
            ([("images", b"\xff\xd8\xff")], 422, "FORM_FIELD", None),
        ],
    )
    def test_refusals(self, gateway: Any, files: Any, status: int, reason: str, pointer: str | None) -> None:
        response = gateway.call("POST", "/v1/images:assess", files=[(name, ("a.jpg", data)) for name, data in files])
        problem = response.json()
        assert (response.status_code, problem["reason"]) == (status, reason)
        assert [error["pointer"] for error in problem["errors"]] == ([pointer] if pointer else [])
        assert gateway.keys == []


class TestAdmission:
    @pytest.mark.parametrize(
        ("depth", "line", "age"),
        [(1000, 20, 0), (1000, 1000, 0), (900, 1000, 0), (2000, 1, 0), (4000, 0, 0), (21, 21, 15), (5000, 300, 900)],
    )
    def test_who_fills_the_queue_is_refused(self, gateway: Any, jpeg: bytes, depth: int, line: int, age: float) -> None:
        key_id, gateway.headers = new_key(gateway)
        gateway.broker.depth, gateway.broker.lines = depth, {key_id: (line, age)}
        response = gateway.submit(jpeg)
        assert (response.status_code, response.json()["reason"]) == (503, "QUEUE_BUSY")
        assert 1 <= int(response.headers["retry-after"]) <= 30
        assert gateway.kept == []

    @pytest.mark.parametrize(
        ("depth", "line", "age"), [(999, 999, 14.9), (1999, 19, 900), (3999, 0, 0), (900, 20, 900)]
    )
    def test_others_are_not(self, gateway: Any, jpeg: bytes, depth: int, line: int, age: float) -> None:
        key_id, gateway.headers = new_key(gateway)
        gateway.broker.depth, gateway.broker.age = depth, 900
        gateway.broker.lines = {key_id: (line, age), "another": (1000, 900)}
        assert gateway.submit(jpeg).status_code == 202
        (job,) = gateway.broker.jobs
        assert job.turn_of == key_id

    def test_callers_without_a_key_have_a_line_for_each_address_which_it_does_not_show(
        self, gateway: Any, jpeg: bytes
    ) -> None:
        gateway.settings["trusted_proxies"] = 1
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
            assert gateway.submit(jpeg, headers={"X-Forwarded-For": address}).status_code == 202
        lines = [job.turn_of for job in gateway.broker.jobs]
        assert (lines[0] == lines[1], lines[0] == lines[2]) == (True, False)
        assert not any("192.0.2" in line for line in lines)

    def test_without_a_broker_cases_come_in(self, gateway: Any, jpeg: bytes) -> None:
        gateway.broker.up = False
        assert gateway.submit(jpeg).status_code == 202

    def test_known_cases_are_shown_however_busy_it_is(self, gateway: Any, jpeg: bytes) -> None:
        location = gateway.submit(jpeg).headers["location"]
        gateway.broker.depth = 5000
        assert gateway.get(location).status_code == 200

    @given(depth=st.integers(0, 10**6), line=st.integers(0, 10**6), age=st.floats(0, 10**6))
    def test_the_more_there_is_too_much_the_later(self, depth: int, line: int, age: float) -> None:
        wait = refused_for(depth=depth, line=line, line_age=age, max_depth=100, max_age=10)
        more = refused_for(depth=2 * depth, line=2 * line, line_age=2 * age, max_depth=100, max_age=10)
        assert wait is None or 1 <= wait <= (more or 0) <= 30

    @given(depth=st.integers(0, 399), age=st.floats(0, 10**6))
    def test_whose_line_is_empty_waits_for_nobody(self, depth: int, age: float) -> None:
        assert refused_for(depth=depth, line=0, line_age=age, max_depth=100, max_age=10) is None


def test_what_happens_is_counted_without_anything_personal(gateway: Any, jpeg: bytes) -> None:
    gateway.submit(jpeg)
    gateway.submit(b"%PDF", self_report='{"a": 1}')
    gateway.get("/v1/cases/" + "SECRET")
    gateway.call("BREW", "/SECRET")
    gateway.broker.depth, gateway.broker.age = 7, 1.5
    text = gateway.get("/metrics").text
    for line in (
        'dermis_gateway_requests_total{method="POST",route="/v1/cases",status="202"} 1.0',
        'dermis_gateway_requests_total{method="GET",route="/v1/cases/{case_id}",status="404"} 1.0',
        'dermis_gateway_problems_total{reason="SELF_REPORT"} 1.0',
        'dermis_gateway_cases_total{queued="True"} 1.0',
        "dermis_queue_depth 7.0",
        "dermis_queue_oldest_seconds 1.5",
    ):
        assert line in text.splitlines(), line
    assert 'method="OTHER"' in text
    assert "SECRET" not in text
