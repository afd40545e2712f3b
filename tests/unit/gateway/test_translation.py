"""What the API says to people is in their language; what a language lacks is English, and the answer says so."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dermis.gateway.guidance import guidance
from dermis.gateway.http import Case
from dermis.gateway.schemas import case_of
from dermis.gateway.translation import Translation
from dermis.gateway.web.languages import LANGUAGES, condition_names, texts
from dermis.shared.case import (
    AnswerEntry,
    Assessed,
    AssessedImage,
    CaseState,
    Failed,
    GroupedAnswer,
    ModelKnowledge,
    ModelRef,
    Notice,
    Outcome,
    OutcomeKind,
    RankedCondition,
    Received,
    ReceivedImage,
    RedFlag,
    fact_key,
    failed_key,
    open_key,
)
from dermis.shared.codes import code_rows
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.vocabulary import SelfReport
from dermis.worker.core import notices
from dermis.worker.core.quality import Reason
from dermis.worker.core.red_flags import RULES
from tests.unit.gateway.conftest import Gateway

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPANISH = {"Accept-Language": "es-MX, en;q=0.5"}
OTHERS = [language for language in LANGUAGES if language != "en"]
NOTICES = tuple(each for each in vars(notices).values() if isinstance(each, Notice))
KNOWLEDGE = ModelKnowledge(kind="one of six kinds of growths of the skin, photographed close up")
BAD = QualityReport(
    verdict=Verdict.UNUSABLE,
    reasons=tuple(Reason),
    advice=tuple(f"English advice on {reason}" for reason in Reason),
    measures=None,
    policy="1",
)
OWN = "An own model's condition"
CODES = {
    "id",
    "case_id",
    "case",
    "status",
    "kind",
    "urgency",
    "source",
    "flag",
    "notice",
    "condition",
    "level",
    "conditions",
    "sources",
    "reasons",
    "reason",
    "verdict",
    "policy",
    "content_type",
    "purpose",
    "access",
    "self_care",
    "clinical_review",
    "url",
    "received_at",
    "assessed_at",
    "finished_at",
    "failed_at",
}
"""Fields whose values are the same in each language."""


def outcome_of(*names: str, **more: Any) -> Outcome:
    ranked = [
        RankedCondition(condition=f"C{n}", name=name, probability=0.4, in_prediction_set=True)
        for n, name in enumerate(names)
    ]
    values = {"kind": OutcomeKind.DIFFERENTIAL, "model": ModelRef(name="m", version=1, purpose="research")}
    return Outcome(case_id="case_1", finished_at=NOW, differential=tuple(ranked), **{**values, **more})


def state_of(
    outcome: Outcome | None = None, *, failed: Failed | None = None, report: dict[str, Any] | None = None
) -> CaseState:
    image = ReceivedImage(n=1, content_type="image/png", bytes=1, sha256="0", width=1, height=1)
    received = Received(
        case_id="case_1",
        owner="o",
        received_at=NOW,
        images=(image,),
        self_report=SelfReport.model_validate(report or {}),
    )
    assessed = Assessed(case_id="case_1", assessed_at=NOW, images=(AssessedImage(n=1, quality=BAD, phash=None),))
    return CaseState(received=received, assessed=assessed, outcome=outcome, failed=failed)


def everything() -> Iterator[CaseState]:
    """Yield cases that say all that can be said to a person."""
    entries = [guidance().general, *guidance().entries]
    yield state_of(outcome_of(*(name for entry in entries for name in entry.names), knowledge=KNOWLEDGE))
    for rule in RULES:
        flag = RedFlag(flag=rule.flag, text=rule.text, urgency=rule.urgency)
        for report in ({}, {"related_category": "GROWTH_OR_MOLE"}):
            yield state_of(outcome_of("Eczema", red_flags=(flag,), notices=NOTICES), report=report)
            failed = Failed(case_id="case_1", attempt=1, failed_at=NOW, reason="R", detail="d", red_flags=(flag,))
            yield state_of(failed=failed, report=report)
    yield state_of(outcome_of(kind=OutcomeKind.REJECTION, model=None, advice=BAD.advice))
    group = AnswerEntry(level="GROUP", id="G", name="A viral infection", probability=0.9, conditions=("ECZEMA",))
    answer = GroupedAnswer(level="GROUP", entries=(group,), coverage=0.9)
    yield state_of(outcome_of("Eczema", grouped_answer=answer))


def words(body: Any, field: str = "") -> Iterator[str]:
    """Yield what people read in a body: every text whose field is no code."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield from words(value, name)
    elif isinstance(body, list):
        for value in body:
            yield from words(value, field)
    elif isinstance(body, str) and (field not in CODES or " " in body) and body not in guidance().addresses:
        yield body


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_that_people_read_stays_english(language: str) -> None:
    same = {"m", "1", "R", ""}
    titles = {text for row in code_rows() for text in (row.system, row.code, row.display)}
    for state in everything():
        english, translation = case_of(state), Translation(language)
        case = translation.case(english)
        assert translation.headers["Content-Language"] == language
        spoken, before = (set(words(each.model_dump(mode="json", exclude={"self_report"}))) for each in (case, english))
        left = spoken & before - same - titles
        assert {each for each in left if condition_names(language).get(each) != each} == set()


def shape(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: shape(value) for name, value in body.items()}
    return [shape(each) for each in body] if isinstance(body, list) else type(body)


@pytest.mark.parametrize("language", LANGUAGES)
def test_codes_and_shape_are_the_same_in_every_language(language: str) -> None:
    for state in everything():
        english, case = case_of(state), Translation(language).case(case_of(state))
        assert shape(case.model_dump(mode="json")) == shape(english.model_dump(mode="json"))
        assert Case.model_validate(case.model_dump()) == case
        if english.guidance and case.guidance:
            assert [each.urgency for each in case.guidance.because] == [e.urgency for e in english.guidance.because]
            assert case.guidance.urgency_text == (
                texts(language)[f"urgency.{case.guidance.urgency}"] if case.guidance.urgency else None
            )
    assert Translation("en").case(english) is english


def test_what_a_language_lacks_is_english_and_the_answer_says_so() -> None:
    translation = Translation("es")
    knowledge = ModelKnowledge(kind="something of its own")
    case = translation.case(case_of(state_of(outcome_of("Eczema", OWN, knowledge=knowledge))))
    assert translation.headers["Content-Language"] == "es, en"
    assert case.guidance
    assert [(each.name, each.is_general, each.guidance.language) for each in case.guidance.conditions] == [
        ("Eccema", False, "es"),
        (OWN, True, "es"),
    ]
    assert case.outcome
    assert case.outcome.knowledge == knowledge


def test_guidance_that_a_language_lacks_names_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    translation = Translation("es")
    monkeypatch.setattr(translation, "_words", {})
    case = translation.case(case_of(state_of(outcome_of("Eczema"))))
    assert case.guidance
    assert case.guidance.general.language == case.guidance.self_care[0].language == "en"
    assert translation.headers["Content-Language"] == "es, en"


@pytest.fixture
def rejected(gateway: Gateway, png: bytes) -> str:
    case_id: str = gateway.submit(png).json()["id"]
    outcome = Outcome(case_id=case_id, finished_at=NOW, kind=OutcomeKind.REJECTION)
    gateway.store.put_once(fact_key("public", case_id, "outcome"), outcome.model_dump_json().encode())
    return case_id


def test_a_case_is_shown_in_the_language_that_is_accepted_best(gateway: Gateway, rejected: str) -> None:
    path = f"/v1/cases/{rejected}"
    english, spanish = gateway.get(path), gateway.get(path, headers=SPANISH)
    assert [each.headers["content-language"] for each in (english, spanish)] == ["en", "es"]
    assert "Accept-Language" in spanish.headers["vary"]
    assert spanish.headers["vary"] == english.headers["vary"]
    assert spanish.json()["notice"] == spanish.json()["outcome"]["notice"] == texts("es")["notice"]
    assert spanish.json()["guidance"]["next_step"] == texts("es")["urgency.none"]


def test_the_header_may_come_in_several_lines(gateway: Gateway, rejected: str) -> None:
    async def ask() -> str:
        lines = [("Accept-Language", "fr"), ("Accept-Language", "es;q=0.4")]
        async with gateway.client() as client:
            return (await client.get(f"/v1/cases/{rejected}", headers=lines)).headers["content-language"]

    assert gateway.runner.run(ask()) == "es"


def test_a_tag_is_of_one_language(gateway: Gateway, rejected: str) -> None:
    path = f"/v1/cases/{rejected}"
    english, spanish = gateway.get(path), gateway.get(path, headers=SPANISH)
    assert english.headers["etag"] != spanish.headers["etag"]
    tags = {"If-None-Match": english.headers["etag"]}
    assert gateway.get(path, headers={**SPANISH, **tags}).status_code == 200
    same = gateway.get(path, headers=tags)
    assert (same.status_code, same.headers["content-language"], same.headers["vary"]) == (304, "en", "Accept-Language")


def test_a_replay_speaks_the_language_of_the_call_that_replays(gateway: Gateway, png: bytes) -> None:
    key = {"Idempotency-Key": "k"}
    first = gateway.submit(png, headers={**key, **SPANISH})
    again = gateway.submit(png, headers=key)
    assert (first.json()["id"], again.headers["idempotent-replayed"]) == (again.json()["id"], "true")
    assert [each.headers["content-language"] for each in (first, again)] == ["es", "en"]
    assert [each.json()["notice"] for each in (first, again)] == [texts(each)["notice"] for each in ("es", "en")]


def test_events_speak_the_language_and_an_event_source_names_it(gateway: Gateway, rejected: str) -> None:
    path = f"/v1/cases/{rejected}/events"
    for answer in (gateway.get(path, headers=SPANISH), gateway.get(f"{path}?lang=es")):
        assert answer.headers["content-language"] == "es"
        notices_of = [json.loads(line[6:])["notice"] for line in answer.text.splitlines() if line.startswith("data: ")]
        assert notices_of == [texts("es")["notice"]] * 2
    assert gateway.get(f"{path}?lang=en", headers=SPANISH).headers["content-language"] == "en"
    assert gateway.get(f"{path}?lang=xx").status_code == 422


def test_facts_stay_as_they_are(gateway: Gateway, rejected: str) -> None:
    before = {key: gateway.store.get(key) for key in gateway.keys}
    gateway.get(f"/v1/cases/{rejected}", headers=SPANISH)
    assert {key: gateway.store.get(key) for key in gateway.keys} == before


def test_a_failed_case_and_an_error_say_theirs(gateway: Gateway, png: bytes) -> None:
    case_id = gateway.submit(png).json()["id"]
    failed = Failed(case_id=case_id, attempt=1, failed_at=NOW, reason="INTERNAL", detail="English")
    gateway.store.put_once(failed_key("public", case_id, 1), failed.model_dump_json().encode())
    gateway.store.delete(open_key(case_id))
    shown = gateway.get(f"/v1/cases/{case_id}", headers=SPANISH).json()
    assert shown["failure"]["detail"] == texts("es")["failure.other"]
    assert gateway.get("/v1/cases/case_x", headers=SPANISH).headers["content-language"] == "en"


def test_the_advice_on_an_image_and_the_conditions_speak_it_too(gateway: Gateway, png: bytes) -> None:
    gateway.broker.reply = BAD.model_dump_json().encode()
    report = gateway.call("POST", "/v1/images:assess", files={"image": png}, headers=SPANISH)
    assert report.json()["advice"] == [texts("es")[f"advice.{reason}"] for reason in Reason]
    sent = gateway.call("POST", "/v1/uploads", content=png, headers={**SPANISH, "Content-Type": "image/png"})
    assert sent.json()["quality"]["advice"] == report.json()["advice"]
    listed = gateway.get("/v1/conditions", headers=SPANISH)
    assert {each["guidance"]["language"] for each in listed.json()["conditions"]} == {"es"}
    for answer in (report, sent, listed):
        assert answer.headers["content-language"] == "es"
        assert "Accept-Language" in answer.headers["vary"]
