"""Whether clinicians may read a case is its person's word: kept with it, marked before it, gone with it."""

from typing import Any

import pytest

from dermis.gateway.settings import GatewaySettings
from dermis.gateway.web.languages import LANGUAGES, texts
from dermis.shared.api_keys import make_key, put_key
from dermis.shared.case import Received, fact_key
from dermis.shared.erasing import RetentionMark
from dermis.shared.errors import DermisError, Kind
from dermis.shared.reviews import SECOND_READ_PREFIX, second_read_key
from tests.unit.gateway.conftest import ALL, NOW, new_key

ANSWERS = {"warning_signs": ["VERY_ILL"]}


def markers(gateway: Any) -> list[str]:
    return [key for key in gateway.keys if key.startswith(SECOND_READ_PREFIX)]


def received(gateway: Any, case_id: str, owner: str = "public") -> Received:
    return Received.model_validate_json(gateway.store.get(fact_key(owner, case_id, "received")))


@pytest.mark.parametrize(("value", "agreed"), [("true", True), ("false", False), ("", False), (None, False)])
def test_a_form_says_it_and_without_a_word_it_is_no(gateway: Any, jpeg: bytes, value: str | None, agreed: bool) -> None:
    fields = {} if value is None else {"second_read": value}
    case_id = gateway.submit(jpeg, **fields).json()["id"]
    assert received(gateway, case_id).second_read is agreed
    assert markers(gateway) == ([second_read_key(case_id)] if agreed else [])


def test_a_json_body_says_it_and_the_marker_names_the_owner(gateway: Any) -> None:
    owner, who = new_key(gateway)
    for agreed in (True, False):
        body = {"self_report": ANSWERS, "second_read": agreed}
        case_id = gateway.call("POST", "/v1/cases", json=body, headers=who).json()["id"]
        assert received(gateway, case_id, owner).second_read is agreed
    (key,) = markers(gateway)
    assert RetentionMark.model_validate_json(gateway.store.get(key)).owner == owner


@pytest.mark.parametrize("value", ["yes", "1", "TRUE!"])
def test_another_word_is_refused_by_its_field(gateway: Any, jpeg: bytes, value: str) -> None:
    response = gateway.submit(jpeg, second_read=value)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/second_read")
    body = {"self_report": ANSWERS, "second_read": value}
    response = gateway.call("POST", "/v1/cases", json=body)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/second_read")


def test_nobody_reads_what_a_test_key_sends(gateway: Any, jpeg: bytes) -> None:
    key, token = make_key(name="test", scopes=ALL, at=NOW, livemode=False)
    put_key(gateway.store, key)
    case_id = gateway.submit(jpeg, second_read="true", headers={"Authorization": f"Bearer {token}"}).json()["id"]
    assert received(gateway, case_id, key.owner).second_read
    assert markers(gateway) == []


def test_the_marker_comes_before_the_case_and_goes_with_it(gateway: Any, jpeg: bytes) -> None:
    put_once, order = gateway.store.put_once, []

    def noted(key: str, data: bytes, *, reserved: bool = False) -> bool:
        order.append(key)
        return bool(put_once(key, data, reserved=reserved))

    gateway.store.put_once = noted
    case_id = gateway.submit(jpeg, second_read="true").json()["id"]
    assert order.index(second_read_key(case_id)) < order.index(fact_key("public", case_id, "received"))
    assert gateway.call("DELETE", f"/v1/cases/{case_id}").status_code == 204
    assert markers(gateway) == []


def test_an_undone_case_takes_it_along(gateway: Any, jpeg: bytes) -> None:
    put_once = gateway.store.put_once

    def broken(key: str, data: bytes, *, reserved: bool = False) -> bool:
        if key.endswith("received.json"):
            assert markers(gateway)
            raise DermisError(Kind.UNAVAILABLE, "STORE_AWAY", "the store does not answer")
        return bool(put_once(key, data, reserved=reserved))

    gateway.store.put_once = broken
    assert gateway.submit(jpeg, second_read="true").status_code == 503
    assert markers(gateway) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_asks_where_there_are_clinicians_who_read(
    gateway: Any, jpeg: bytes, language: str, tmp_path: Any
) -> None:
    box, privacy = texts(language)("consent.second_read"), texts(language)("privacy.seen.second_read")
    assert box not in gateway.get(f"/?lang={language}").text
    assert privacy not in gateway.get(f"/privacy?lang={language}").text
    (tmp_path / "secret").write_text("s" * 32)
    gateway.settings |= {
        "oidc_issuer": "https://login.example.org",
        "oidc_client_id": "dermis",
        "oidc_client_secret_file": tmp_path / "secret",
    }
    assert box in gateway.get(f"/?lang={language}").text
    assert privacy in gateway.get(f"/privacy?lang={language}").text
    response = gateway.call(
        "POST", "/cases", files=[("images", ("x", jpeg))], data={"agree": "TRUE", "second_read": "true"}
    )
    assert received(gateway, response.headers["location"].split("/")[2]).second_read


@pytest.mark.parametrize(
    ("issuer", "taken"),
    [
        ("https://login.example.org/realms/clinic", True),
        ("http://127.0.0.1:9400", True),
        ("http://localhost:9400", True),
        ("http://login.example.org", False),
        ("https://user@login.example.org", False),
        ("https://login.example.org?x=1", False),
        ("login.example.org", False),
        ("https://[", False),
    ],
)
def test_an_issuer_speaks_tls_or_is_this_machine(issuer: str, taken: bool, tmp_path: Any) -> None:
    values = {"store_url": "file:///x", "oidc_client_id": "x", "oidc_client_secret_file": tmp_path / "secret"}
    if taken:
        assert GatewaySettings(**values, oidc_issuer=issuer).offers_second_read
        with pytest.raises(ValueError, match="set all three"):
            GatewaySettings(store_url="file:///x", oidc_issuer=issuer)
    else:
        with pytest.raises(ValueError, match="not taken"):
            GatewaySettings(**values, oidc_issuer=issuer)
