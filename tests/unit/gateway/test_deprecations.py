"""What goes away is told by headers and in the OpenAPI file, from one table."""

from datetime import UTC, datetime

import pytest

from dermis.gateway import deprecations
from dermis.gateway.deprecations import Deprecation
from tests.unit.gateway.conftest import Gateway

SINCE = datetime(2027, 1, 1, tzinfo=UTC)
SUNSET = datetime(2027, 7, 1, tzinfo=UTC)
OPERATION = Deprecation(method="get", path="/v1/models", since=SINCE, sunset=SUNSET, instead="use /v2/models")
PARAMETER = Deprecation(method="get", path="/v1/cases", parameter="order", since=SINCE, instead="leave it out")
FIELD = Deprecation(method="get", path="/v1/conditions", field=("ConditionList", "model"), since=SINCE, instead="none")


@pytest.fixture
def deprecating(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setattr(deprecations, "DEPRECATIONS", (OPERATION, PARAMETER, FIELD))
    gateway.settings |= {"list_public": True}
    return gateway


def test_an_operation_that_goes_away_says_since_when_and_until_when(deprecating: Gateway) -> None:
    for method in ("GET", "HEAD"):
        headers = deprecating.call(method, "/v1/models").headers
        assert headers["deprecation"] == f"@{int(SINCE.timestamp())}"
        assert headers["sunset"] == "Thu, 01 Jul 2027 00:00:00 GMT"
        assert 'rel="deprecation"' in headers["link"]
        assert 'rel="sunset"' in headers["link"]


def test_a_parameter_is_told_of_to_who_uses_it(deprecating: Gateway) -> None:
    used, unused = deprecating.get("/v1/cases?order=newest"), deprecating.get("/v1/cases")
    assert used.headers["deprecation"] == f"@{int(SINCE.timestamp())}"
    assert "sunset" not in used.headers
    assert "deprecation" not in unused.headers


def test_a_field_is_told_of_on_answers_that_hold_it(deprecating: Gateway) -> None:
    assert "deprecation" in deprecating.get("/v1/conditions").headers
    assert "deprecation" not in deprecating.get("/livez").headers


def test_the_openapi_file_marks_the_same(deprecating: Gateway) -> None:
    described = deprecating.get("/openapi.json").json()
    operation = described["paths"]["/v1/models"]["get"]
    assert operation["deprecated"] is True
    assert "use /v2/models. It ends on 2027-07-01." in operation["description"]
    marked = [each["name"] for each in described["paths"]["/v1/cases"]["get"]["parameters"] if each.get("deprecated")]
    assert marked == ["order"]
    assert described["components"]["schemas"]["ConditionList"]["properties"]["model"]["deprecated"] is True


def test_nothing_says_that_it_goes_away_without_an_entry(gateway: Gateway) -> None:
    if not deprecations.DEPRECATIONS:
        assert "deprecation" not in gateway.get("/v1/models").headers
        assert '"deprecated"' not in gateway.get("/openapi.json").text
