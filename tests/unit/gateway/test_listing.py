"""Cases by order, state and time: every page once, whatever the window that it came from."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.gateway.core.listing import ANY_CASE, Filter, Order
from dermis.gateway.pipeline import CasePipeline
from dermis.shared.case import Status, fact_key
from dermis.shared.ids import first_id, made_at, new_id
from dermis.shared.stores.memory import MemoryStore
from tests.unit.gateway.conftest import Gateway

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def pipeline_of(ages: list[float]) -> tuple[CasePipeline, list[str]]:
    """A store with a case of each age in minutes, and their ids, the oldest first."""
    store = MemoryStore()
    ids = sorted(
        first_id("case", NOW - timedelta(minutes=age))[:-10] + new_id("case")[-10:] for age in ages
    )  # with other random bits, so that two of one millisecond differ
    for case_id in ids:
        store.put_once(fact_key("public", case_id, "received"), b"")
        store.put_once(f"cases/public/{case_id}/images/1/original", b"")
    return CasePipeline(store=store, clock=lambda: NOW), ids


def pages(pipeline: CasePipeline, order: Order, size: int, wanted: Filter) -> Iterator[str]:
    after = ""
    while page := pipeline.page(owner="public", after=after, size=size, order=order, wanted=wanted):
        yield from (each.case_id for each in page)
        after = page[-1].case_id


AGES = st.lists(st.floats(-60, 3e6), max_size=12)


@given(AGES, st.integers(1, 5))
def test_the_newest_first_is_the_oldest_first_turned_round(ages: list[float], size: int) -> None:
    pipeline, ids = pipeline_of(ages)
    assert list(pages(pipeline, Order.OLDEST, size, ANY_CASE)) == ids
    assert list(pages(pipeline, Order.NEWEST, size, ANY_CASE)) == ids[::-1]


@given(AGES, st.floats(0, 3e6), st.floats(0, 3e6), st.sampled_from(Order), st.integers(1, 3))
def test_a_stretch_of_time_holds_what_was_received_in_it(
    ages: list[float], start: float, end: float, order: Order, size: int
) -> None:
    pipeline, ids = pipeline_of(ages)
    wanted = Filter(start=NOW - timedelta(minutes=start), end=NOW - timedelta(minutes=end))
    expected = [each for each in ids if wanted.start <= made_at(each) < wanted.end]  # type: ignore[operator]
    assert list(pages(pipeline, order, size, wanted)) == expected[:: 1 if order == Order.OLDEST else -1]


def test_a_page_of_new_cases_reads_few_of_many_old_ones() -> None:
    pipeline, ids = pipeline_of([*(1e5 + n for n in range(300)), *(n / 10 for n in range(5))])
    listing, read = pipeline.store.list, []

    def counted(prefix: str, *, after: str = "") -> Iterator[str]:
        for key in listing(prefix, after=after):
            read.append(key)
            yield key

    pipeline.store.list = counted  # type: ignore[method-assign]
    page = pipeline.page(owner="public", after="", size=5, order=Order.NEWEST)
    assert [each.case_id for each in page] == ids[:-6:-1]
    assert len(read) <= 10


class TestRoute:
    @pytest.fixture(autouse=True)
    def listed(self, gateway: Gateway) -> None:
        gateway.settings["list_public"] = True

    def test_newest_first_page_by_page(self, gateway: Gateway, jpeg: bytes) -> None:
        ids = [gateway.submit(jpeg).json()["id"] for _ in range(5)]
        params: dict[str, Any] = {"order": "newest", "limit": 2}
        got: list[str] = []
        while True:
            page = gateway.get("/v1/cases", params=params).json()
            got += [each["id"] for each in page["cases"]]
            if page["next_cursor"] is None:
                break
            params["cursor"] = page["next_cursor"]
        assert got == ids[::-1]

    def test_by_state_and_time(self, gateway: Gateway, jpeg: bytes) -> None:
        first, second = (gateway.submit(jpeg).json()["id"] for _ in range(2))
        gateway.store.put_once(fact_key("public", first, "assessed"), b"")

        def ids(**params: Any) -> list[str]:
            return [each["id"] for each in gateway.get("/v1/cases", params=params).json()["cases"]]

        assert ids(status=Status.ASSESSED) == [first]
        assert ids(status=[Status.ASSESSED, Status.RECEIVED]) == [first, second]
        now = datetime.now(UTC)
        assert ids(received_from=(now - timedelta(minutes=1)).isoformat()) == [first, second]
        assert ids(received_before=(now - timedelta(minutes=1)).isoformat()) == []

    @pytest.mark.parametrize(
        ("query", "pointer", "remedy"),
        [
            ("status=DONE", "/query/status/0", "'RECEIVED', 'ASSESSED'"),
            ("order=up", "/query/order", "'oldest' or 'newest'"),
            ("received_from=2026-01-01T00:00:00", "/query/received_from", "timezone"),
            ("stauts=FINISHED", "/query/stauts", "did you mean status?"),
            ("x=1&cursor=", "/query/x", "use cursor, limit, order"),
        ],
    )
    def test_what_is_no_filter_is_refused_in_words(
        self, gateway: Gateway, query: str, pointer: str, remedy: str
    ) -> None:
        response = gateway.get(f"/v1/cases?{query}")
        (error,) = response.json()["errors"]
        assert (response.status_code, error["pointer"]) == (422, pointer)
        assert remedy in error["detail"]


def test_a_route_without_parameters_takes_none(gateway: Gateway, jpeg: bytes) -> None:
    response = gateway.call("POST", "/v1/cases?wait=20", files={"images": jpeg})
    assert (response.status_code, response.json()["detail"]) == (422, "'wait': no such parameter; leave it out")
    assert gateway.kept == []
