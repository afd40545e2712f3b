"""Who runs the server and what becomes of a person's photos, as the pages say it by the settings."""

import html
from typing import Any

import pytest
from pydantic import ValidationError

from dermis.gateway.settings import GatewaySettings
from dermis.gateway.web.languages import LANGUAGES, texts
from dermis.gateway.web.operator import operator_of


def page(gateway: Any, path: str, language: str = "en") -> str:
    return html.unescape(gateway.get(f"{path}?lang={language}").text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_person_agrees_with_who_runs_the_server(gateway: Any, language: str) -> None:
    gateway.settings["operator"] = "Skin <Clinic> of Ulm"
    text = texts(language)
    assert text("consent.agree", operator="Skin <Clinic> of Ulm") in page(gateway, "/", language)
    assert "Skin <Clinic>" not in gateway.get("/").text
    assert text("operator.runs", operator="Skin <Clinic> of Ulm") in page(gateway, "/privacy", language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_where_nobody_is_named_the_pages_say_so(gateway: Any, language: str) -> None:
    text = texts(language)
    assert text("consent.agree", operator=text("operator.unnamed")) in page(gateway, "/", language)
    assert text("privacy.nobody") in page(gateway, "/privacy", language)
    assert text("privacy.no_contact") in page(gateway, "/privacy", language)


@pytest.mark.parametrize(
    ("contact", "address"),
    [
        ("skin@clinic.example", "mailto:skin@clinic.example"),
        ("+49 (731) 123-45", "tel:+4973112345"),
        ("https://clinic.example/contact", "https://clinic.example/contact"),
        ("at the desk, room 3", None),
        ("javascript:alert(1)", None),
        ("a@b.c?bcc=everyone@d.e", None),
        ("", None),
    ],
)
def test_a_contact_is_a_link_where_a_browser_can_follow_it(gateway: Any, contact: str, address: str | None) -> None:
    gateway.settings["contact"] = contact
    assert operator_of(GatewaySettings(**gateway.settings)).contact_address == address
    shown = page(gateway, "/privacy")
    assert contact in shown
    assert ('href="javascript' in shown) is False
    assert address is None or f'href="{address}"' in shown


def test_the_operators_own_notice_is_linked_and_must_be_an_address(gateway: Any) -> None:
    gateway.settings["privacy_url"] = "https://clinic.example/privacy"
    assert 'href="https://clinic.example/privacy"' in page(gateway, "/privacy")
    with pytest.raises(ValidationError, match="privacy_url"):
        GatewaySettings(**gateway.settings | {"privacy_url": "javascript:alert(1)"})


@pytest.mark.parametrize(
    ("days", "english", "spanish"),
    [
        (30, "after 30 days", "a los 30 días"),
        (0, "kept until you erase it", "se guarda hasta que usted lo borre"),
    ],
)
def test_the_privacy_page_says_how_long_by_the_settings(gateway: Any, days: float, english: str, spanish: str) -> None:
    gateway.settings |= {"retention_days": days, "improvement_retention_days": 77, "session_days": 41}
    for language, end, other in (("en", english, "after 77 days"), ("es", spanish, "a los 77 días")):
        shown = page(gateway, "/privacy", language)
        assert end in shown
        assert other in shown
        assert texts(language)("privacy.cookies", n=41) in shown


def test_no_page_of_a_person_leads_to_operators_pages(gateway: Any) -> None:
    for path in ("/", "/cases/case_x", "/privacy", "/nothing"):
        shown = gateway.get(path, headers={"Accept": "text/html"}).text
        assert "/ops" not in shown
        assert 'href="/openapi' not in shown
        assert 'href="/privacy"' in shown


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/models", "/ops/models"),
        ("/models/dermis/1?data=ab&lang=es", "/ops/models/dermis/1?data=ab&lang=es"),
        ("/compare?first=dermis/1&second=dermis/2", "/ops/compare?first=dermis/1&second=dermis/2"),
        ("/data", "/ops/data"),
        ("/system", "/ops/system"),
        ("/models/%0d%0aSet-Cookie:x/1", "/ops/models/%0D%0ASet-Cookie%3Ax/1"),
    ],
)
def test_an_old_address_leads_to_the_new_one(gateway: Any, old: str, new: str) -> None:
    response = gateway.get(old)
    assert (response.status_code, response.headers["location"]) == (308, new)
