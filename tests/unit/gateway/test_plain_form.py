"""The form of a browser without scripts: taken in, answered by a page, and erased."""

import html
import json
from typing import Any

import pytest

from dermis.gateway.web.languages import LANGUAGES, condition_names, texts
from dermis.shared.case import ModelRef, Outcome, OutcomeKind, RankedCondition, RedFlag, Urgency, fact_key
from dermis.shared.stores.memory import MemoryStore
from tests.unit.gateway.test_cases import NOW

BOTH: dict[str, Any] = {"agree": "TRUE", "consent": "KEEP_FOR_IMPROVEMENT"}


def sent(gateway: Any, *images: bytes, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    """Send the form as a browser does, which names no file where none was chosen."""
    parts = [("images", ("x", image)) for image in images] or [("age_group", (None, b""))]
    return gateway.call("POST", "/cases", files=parts, data=fields, headers=headers or {})


def stored(store: MemoryStore, response: Any) -> Any:
    case_id = response.headers["location"].split("/")[2]
    return json.loads(store.get(fact_key("public", case_id, "received")))


def test_each_answer_is_a_field_and_the_result_a_page(gateway: Any, jpeg: bytes) -> None:
    answers: dict[str, Any] = {
        "warning_signs": ["NO_WARNING_SIGNS", "VERY_ILL"],
        "body_parts": ["ARM", "LEG"],
        "sex_at_birth": "",
    }
    response = sent(gateway, jpeg, age_group="AGE_30_TO_39", **answers, **BOTH)
    assert response.status_code == 303
    case = stored(gateway.store, response)
    assert case["consent"] == "KEEP_FOR_IMPROVEMENT"
    assert len(case["images"]) == 1
    report = {name: value for name, value in case["self_report"].items() if value is not None}
    answered = {"warning_signs": ["VERY_ILL"], "body_parts": ["ARM", "LEG"], "age_group": "AGE_30_TO_39"}
    assert report == {**answered, "under_18": False}
    assert [job.case_id for job in gateway.broker.jobs] == [case["case_id"]]


@pytest.mark.parametrize(
    ("age", "under_18"), [("UNDER_18", True), ("AGE_18_TO_29", False), ("AGE_UNKNOWN", None), ("", None)]
)
def test_the_age_of_the_form_says_who_is_under_18(gateway: Any, age: str, under_18: bool | None) -> None:
    case = stored(gateway.store, sent(gateway, age_group=age, warning_signs="VERY_ILL", agree="TRUE"))
    told = None if under_18 else age or None
    assert (case["self_report"]["under_18"], case["self_report"]["age_group"]) == (under_18, told)


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"warning_signs": "VERY_ILL"}, 422), ({"agree": "TRUE"}, 422), ({"agree": "TRUE", "textures": "SLIMY"}, 422)],
)
def test_what_is_wrong_is_a_page_and_nothing_is_stored(gateway: Any, fields: dict[str, Any], status: int) -> None:
    response = sent(gateway, **fields)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert (texts("en")("refusal.AGREE") in response.text) is ("agree" not in fields)
    assert gateway.keys == []


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}], ids=str)
def test_a_form_of_another_site_is_refused(gateway: Any, headers: dict[str, str]) -> None:
    response = sent(gateway, warning_signs="VERY_ILL", agree="TRUE", headers=headers)
    assert response.status_code == 403
    assert gateway.keys == []


MODEL = ModelRef(name="m", version=1, purpose="research")
RANKED = (RankedCondition(condition="eczema", name="Eczema", probability=0.7, in_prediction_set=True),)
FLAG = RedFlag(flag="VERY_ILL", text="Emergency: you feel very ill", urgency=Urgency.EMERGENCY)
ENDS: dict[str, tuple[dict[str, Any], str]] = {
    "differential.title": ({"kind": OutcomeKind.DIFFERENTIAL, "model": MODEL, "differential": RANKED}, ""),
    "demo.drawings": (
        {"kind": OutcomeKind.DIFFERENTIAL, "model": MODEL.model_copy(update={"purpose": "demo"})},
        "DEMO",
    ),
    "outcome.ABSTENTION": ({"kind": OutcomeKind.ABSTENTION, "reason": "NO_IMAGE", "red_flags": (FLAG,)}, "tel:112"),
    "outcome.REJECTION": ({"kind": OutcomeKind.REJECTION, "reason": "NO_USABLE_IMAGE"}, ""),
    "rejection.NOT_SKIN": ({"kind": OutcomeKind.REJECTION, "reason": "NOT_SKIN"}, ""),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", ENDS)
def test_the_page_says_what_came_of_the_case(gateway: Any, jpeg: bytes, key: str, language: str) -> None:
    address = sent(gateway, jpeg, warning_signs="VERY_ILL", **BOTH).headers["location"]
    case_id = address.split("/")[2]
    outcome, shown = ENDS[key]
    fact = Outcome(case_id=case_id, finished_at=NOW, **outcome)
    gateway.store.put_once(fact_key("public", case_id, "outcome"), fact.model_dump_json().encode())
    page = html.unescape(gateway.get(f"{address}?lang={language}").text)
    assert texts(language)(key) in page
    assert shown in page
    name = condition_names(language).get("Eczema", "Eczema")
    assert (name in page) is (key == "differential.title")
    assert 'http-equiv="refresh"' not in page


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("probability", "reason"), [(0.7, "because.model"), (0.1, "urgency.none")])
def test_how_soon_has_its_reason_or_says_that_there_is_none(
    gateway: Any, jpeg: bytes, language: str, probability: float, reason: str
) -> None:
    address = sent(gateway, jpeg, **BOTH).headers["location"]
    case_id = address.split("/")[2]
    ranked = tuple(each.model_copy(update={"probability": probability}) for each in RANKED)
    fact = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.DIFFERENTIAL, model=MODEL, differential=ranked)
    gateway.store.put_once(fact_key("public", case_id, "outcome"), fact.model_dump_json().encode())
    page = html.unescape(gateway.get(f"{address}?lang={language}").text)
    say = texts(language)
    chance = say("chance.about", n=7)
    words = {"name": condition_names(language).get("Eczema", "Eczema"), "chance": chance}
    assert (say("because.model", **words) in page) is (reason == "because.model")
    assert (say("urgency.none") in page) is (reason == "urgency.none")


def test_a_case_is_erased_without_scripts(gateway: Any) -> None:
    address = sent(gateway, warning_signs="VERY_ILL", **BOTH).headers["location"]
    case_id = address.split("/")[2]
    page = gateway.call("POST", f"/cases/{case_id}/erase")
    assert page.status_code == 200
    assert texts("en")("erased.title") in page.text
    assert gateway.get(address).status_code == 404
