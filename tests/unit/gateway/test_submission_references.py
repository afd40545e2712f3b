"""A case is found again by what its client calls it; the name lies in no key and goes with its case."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dermis.shared.case import Received, fact_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.references import REFERENCES_PREFIX, reference_key
from tests.unit.gateway.conftest import new_key

ANSWERS = {"warning_signs": ["VERY_ILL"]}
NAME = "visit-7:left.arm"


def submit(gateway: Any, name: str | None, who: dict[str, str], **headers: str) -> str:
    body = {"self_report": ANSWERS} | ({"client_reference": name} if name is not None else {})
    response = gateway.call("POST", "/v1/cases", json=body, headers=who | headers)
    assert response.status_code == 202, response.text
    assert response.json()["client_reference"] == (name or None)
    return str(response.json()["id"])


def ids_of(gateway: Any, name: str, who: dict[str, str], **query: str) -> list[str]:
    response = gateway.get("/v1/cases", params={"client_reference": name, **query}, headers=who)
    assert response.status_code == 200, response.text
    return [case["id"] for case in response.json()["cases"]]


def index_of(gateway: Any) -> list[str]:
    return [key for key in gateway.keys if key.startswith(REFERENCES_PREFIX)]


def test_it_is_kept_shown_and_finds_its_cases_by_order_state_time_and_page(gateway: Any) -> None:
    owner, who = new_key(gateway)
    _, other = new_key(gateway)
    ids = [submit(gateway, NAME, who) for _ in range(3)]
    submit(gateway, "another", who)
    submit(gateway, None, who)
    theirs = submit(gateway, NAME, other)
    assert ids_of(gateway, NAME, who) == sorted(ids)
    assert ids_of(gateway, NAME, who, order="newest") == sorted(ids)[::-1]
    assert ids_of(gateway, NAME, who, status="FINISHED") == []
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert ids_of(gateway, NAME, who, received_from=later) == []
    assert ids_of(gateway, NAME, other) == [theirs]
    assert ids_of(gateway, "nobody", who) == []
    for order in ("oldest", "newest"):
        paged, cursor = [], ""
        while cursor is not None:
            query = {"client_reference": NAME, "limit": 2, "order": order, "cursor": cursor}
            page = gateway.get("/v1/cases", params=query, headers=who).json()
            paged += [case["id"] for case in page["cases"]]
            cursor = page["next_cursor"]
        assert sorted(paged) == sorted(ids)
    assert gateway.get(f"/v1/cases/{ids[0]}", headers=who).json()["client_reference"] == NAME
    fact = Received.model_validate_json(gateway.store.get(fact_key(owner, ids[0], "received")))
    assert fact.client_reference == NAME


def test_a_form_may_name_it_too(gateway: Any, jpeg: bytes) -> None:
    _, who = new_key(gateway)
    case_id = gateway.submit(jpeg, headers=who, client_reference=NAME).json()["id"]
    assert ids_of(gateway, NAME, who) == [case_id]
    assert gateway.submit(jpeg, headers=who, client_reference="").json()["client_reference"] is None


@pytest.mark.parametrize("wrong", ["a b", "x" * 65, "ä", "a/b", "../x"])
def test_another_form_of_it_is_refused_by_its_field(gateway: Any, wrong: str) -> None:
    body = {"self_report": ANSWERS, "client_reference": wrong}
    response = gateway.call("POST", "/v1/cases", json=body)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/client_reference")
    assert wrong not in response.text
    _, who = new_key(gateway)
    asked = gateway.get("/v1/cases", params={"client_reference": wrong}, headers=who)
    assert (asked.status_code, asked.json()["errors"][0]["pointer"]) == (422, "/query/client_reference")


def test_it_goes_with_its_case_and_stands_in_no_key_and_no_log(
    gateway: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    owner, who = new_key(gateway)
    case_id, stays = submit(gateway, NAME, who), submit(gateway, NAME, who)
    assert index_of(gateway) == sorted(reference_key(owner, NAME, each) for each in (case_id, stays))
    assert not any(NAME in key or "visit" in key for key in gateway.keys)
    assert gateway.call("DELETE", f"/v1/cases/{case_id}", headers=who).status_code == 204
    assert index_of(gateway) == [reference_key(owner, NAME, stays)]
    assert ids_of(gateway, NAME, who) == [stays]
    assert "visit" not in capsys.readouterr().out


def test_the_index_stands_before_the_case_and_an_undone_case_takes_it_along(gateway: Any) -> None:
    owner, who = new_key(gateway)
    put_once, order = gateway.store.put_once, []

    def broken(key: str, data: bytes, *, reserved: bool = False) -> bool:
        order.append(key)
        if key.endswith("received.json"):
            raise DermisError(Kind.UNAVAILABLE, "STORE_AWAY", "the store does not answer")
        return bool(put_once(key, data, reserved=reserved))

    gateway.store.put_once = broken
    body = {"self_report": ANSWERS, "client_reference": NAME}
    assert gateway.call("POST", "/v1/cases", json=body, headers=who).status_code == 503
    assert any(key.startswith(f"{REFERENCES_PREFIX}{owner}/") for key in order)
    assert index_of(gateway) == []


def test_the_marker_of_a_half_stored_case_names_it(gateway: Any) -> None:
    owner, who = new_key(gateway)
    case_id = submit(gateway, NAME, who, **{"Idempotency-Key": "k"})
    marker = json.loads(gateway.store.get(f"open/{case_id}"))
    assert marker["reference"] == reference_key(owner, NAME, case_id)
    again = {"self_report": ANSWERS, "client_reference": "other"}
    answer = gateway.call("POST", "/v1/cases", json=again, headers={**who, "Idempotency-Key": "k"})
    assert answer.json()["reason"] == "IDEMPOTENCY_KEY_REUSED"
    assert submit(gateway, NAME, who, **{"Idempotency-Key": "k"}) == case_id
