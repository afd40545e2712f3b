"""Lists of cases as the API gives them, and parameters that it does not have."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dermis.shared.case import Status, fact_key
from tests.unit.gateway.conftest import Gateway


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
        assert ids(order="newest", received_before="0001-01-01T00:00:00Z") == []
        assert ids(order="newest", received_from="0001-01-01T00:00:00Z") == [second, first]
        assert ids(received_before="9999-12-31T23:59:59.999+00:00") == [first, second]
        assert ids(order="newest", received_before="9999-12-31T23:59:59Z") == [second, first]
        now = datetime.now(UTC)
        assert ids(received_from=(now - timedelta(minutes=1)).isoformat()) == [first, second]
        assert ids(received_before=(now - timedelta(minutes=1)).isoformat()) == []

    @pytest.mark.parametrize(
        ("query", "pointer", "remedy"),
        [
            ("status=DONE", "/query/status/0", "'RECEIVED', 'ASSESSED'"),
            ("order=up", "/query/order", "'oldest' or 'newest'"),
            ("received_from=2026-01-01T00:00:00", "/query/received_from", "2026-01-31T09:00:00Z"),
            ("received_from=0.5", "/query/received_from", "2026-01-31T09:00:00Z"),
            ("received_before=2026-01-01", "/query/received_before", "2026-01-31T09:00:00Z"),
            ("received_before=2026-13-01T00:00:00Z", "/query/received_before", "month"),
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
