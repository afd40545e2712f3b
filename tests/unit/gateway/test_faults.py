"""What a person reads when something fails: a page in their language; a program reads problem details."""

import html
from typing import Any

import pytest

from dermis.gateway.web.languages import LANGUAGES, texts
from dermis.shared.ids import new_id

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
OPEN = {"Accept": BROWSER}


def _foreign(gateway: Any, _jpeg: bytes, _patch: Any) -> Any:
    return gateway.call("POST", "/v1/cases", headers=OPEN | {"Sec-Fetch-Site": "cross-site"})


def _too_large(gateway: Any, _jpeg: bytes, _patch: Any) -> Any:
    return gateway.submit(bytes(300_000), headers=OPEN)


def _too_often(gateway: Any, _jpeg: bytes, _patch: Any) -> Any:
    gateway.settings["keyless_rate_per_minute"] = 1
    gateway.get("/v1/conditions")
    return gateway.get("/v1/conditions", headers=OPEN)


def _broken(gateway: Any, _jpeg: bytes, patch: pytest.MonkeyPatch) -> Any:
    def fail(*_arguments: Any, **_named: Any) -> Any:
        raise RuntimeError("a name of a person")

    patch.setattr(gateway.store, "get", fail)
    return gateway.get(f"/v1/cases/{new_id('case')}", headers=OPEN)


def _down(gateway: Any, jpeg: bytes, _patch: Any) -> Any:
    gateway.broker.up = False
    return gateway.call("POST", "/v1/images:assess", files=[("image", ("a.jpg", jpeg, "image/jpeg"))], headers=OPEN)


REASONS = {413: "IMAGE_TOO_LARGE", 429: "RATE_LIMIT"}
"""Those that the page has words of their own for."""
FAULTS = {
    403: _foreign,
    404: lambda gateway, _jpeg, _patch: gateway.get("/nothing", headers=OPEN),
    405: lambda gateway, _jpeg, _patch: gateway.call("DELETE", "/privacy", headers=OPEN),
    413: _too_large,
    429: _too_often,
    500: _broken,
    503: _down,
}


@pytest.mark.parametrize("status", FAULTS)
def test_each_fault_has_a_page_of_its_own(
    status: int, gateway: Any, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    response = FAULTS[status](gateway, jpeg, monkeypatch)
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    shown = html.unescape(response.text)
    assert texts("en")(f"fault.{status}.title") in shown
    assert texts("en")(f"refusal.{REASONS[status]}" if status in REASONS else f"fault.{status}.text") in shown
    assert "a name of a person" not in shown


def test_a_fault_without_a_page_of_its_own_gets_the_general_one(gateway: Any) -> None:
    response = gateway.get("/ops/models/dermis/abc", headers=OPEN)
    assert response.status_code == 422
    assert html.unescape(texts("en")("fault.other.text")) in html.unescape(response.text)


def test_what_a_fault_says_is_no_part_of_the_page(gateway: Any) -> None:
    assert "<script>" not in gateway.get("/%3Cscript%3Ex", headers=OPEN).text


@pytest.mark.parametrize("accept", [BROWSER, "text/html", "text/html;q=0.8, application/json;q=0.5"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_browser_gets_a_page_and_its_language(gateway: Any, language: str, accept: str) -> None:
    response = gateway.get("/nothing", headers={"Accept": accept, "Accept-Language": language})
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    assert {"Accept", "Accept-Language"} <= {each.strip() for each in response.headers["vary"].split(",")}
    assert texts(language)("fault.404.title") in response.text
    assert "urn:uuid:" in response.text


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/json", "application/problem+json, text/html;q=0.5", "text/html;q=2", "text/html;q=nan", ""],
)
def test_a_program_gets_problem_details(gateway: Any, accept: str) -> None:
    response = gateway.get("/nothing", headers={"Accept": accept})
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["vary"] == "Accept"
    assert response.json()["reason"] == "NOT_FOUND"
