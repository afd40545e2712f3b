"""A case's report as FHIR: what a clinic may take it for, and what it must never say."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid5
from xml.etree import ElementTree

import pytest
from fhirclient.models.bundle import Bundle
from hypothesis import given
from hypothesis import strategies as st

from dermis.gateway.core.fhir.document import document_of
from dermis.gateway.core.fhir.facts import NextStep, ReportFacts
from dermis.gateway.core.fhir.self_report import QUESTIONS
from dermis.gateway.core.fhir.terminology import NAMESPACE, Concept
from dermis.shared.case import (
    NOT_A_MEDICAL_DEVICE,
    Consent,
    Failed,
    ModelRef,
    Outcome,
    OutcomeKind,
    RankedCondition,
    Received,
    ReceivedImage,
    RedFlag,
    Urgency,
)
from dermis.shared.codes import ICD_11, Code
from dermis.shared.reviews import Adjudication, Review, ReviewedCondition
from dermis.shared.vocabulary import Gradable, SelfReport
from tests.support.closed_cases import START, random_facts

Json = dict[str, Any]
PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "fhir.md"
CASE = "case_01k9x4q7e8f3rtw5m2c6b0dvza"
PSORIASIS = Code(system=ICD_11, code="EA90", display="Psoriasis")
YES = Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT
IMAGE = ReceivedImage(n=1, content_type="image/heic", bytes=9, sha256="0" * 64, width=4, height=3)
RECEIVED = Received(
    case_id=CASE,
    owner="key_01k9x4q7e8f3rtw5m2c6b0dvza",
    received_at=START,
    images=(IMAGE,),
    self_report=SelfReport.model_validate({"textures": ["FLAT", "FLUID_FILLED"], "under_18": False}),
    client_reference="visit-7",
)
OUTCOME = Outcome(
    case_id=CASE,
    finished_at=START,
    kind=OutcomeKind.DIFFERENTIAL,
    differential=(
        RankedCondition(
            condition="PSORIASIS", name="Psoriasis", probability=0.75, in_prediction_set=True, codes=(PSORIASIS,)
        ),
        RankedCondition(condition="ODD", name="Odd <thing>", probability=0.25, in_prediction_set=False),
    ),
    coverage=0.9,
    red_flags=(RedFlag(flag="FEVER", text="See a doctor today.", urgency=Urgency.TODAY),),
    model=ModelRef(name="scin", version=3, purpose="research"),
    images_used=(1,),
)
FACTS = ReportFacts(
    received=RECEIVED,
    outcome=OUTCOME,
    photos={1: b"photo"},
    manifest_sha256="ab" * 32,
    advice=NextStep(urgency=Urgency.TODAY, because=("you report fever",), next_step="See a doctor today."),
)


def as_json(facts: ReportFacts) -> Json:
    report: Json = json.loads(document_of(facts).model_dump_json(by_alias=True))
    return report


def resources(report: Json, kind: str) -> list[Json]:
    return [each["resource"] for each in report["entry"] if each["resource"]["resourceType"] == kind]


def one(report: Json, kind: str) -> Json:
    (resource,) = resources(report, kind)
    return resource


def observation(report: Json, code: str) -> Json:
    (resource,) = (each for each in resources(report, "Observation") if each["code"]["coding"][0]["code"] == code)
    return resource


def review(reader: str, *labels: str, gradable: Gradable = YES) -> Review:
    conditions = tuple(ReviewedCondition(label=label, confidence=5 - k) for k, label in enumerate(labels))
    return Review(case_id=CASE, reader=reader, read_at=START, gradable=gradable, conditions=conditions)


class TestAnyCase:
    @given(st.integers(0, 2**40))
    def test_it_is_read_strictly_by_another_hand_as_it_was_written(self, seed: int) -> None:
        report = as_json(random_facts(seed))
        assert Bundle(report, strict=True).as_json() == report

    @given(st.integers(0, 2**40))
    def test_it_is_final_by_agreeing_or_adjudicating_readers_alone_who_then_sign_it(self, seed: int) -> None:
        facts = random_facts(seed)
        report = as_json(facts)
        composition, diagnosis = one(report, "Composition"), one(report, "DiagnosticReport")
        final = diagnosis["status"] == "final"
        assert final == (facts.adjudication is not None or (len(facts.reviews) > 1 and bool(facts.verdict)))
        assert final == (composition["status"] == "final") == ("attester" in composition)
        assert final == ("performer" in diagnosis) == ("resultsInterpreter" in diagnosis)
        for each in resources(report, "Observation"):
            assert each["status"] == "preliminary" or (final and "performer" in each)

    @given(st.integers(0, 2**40))
    def test_nothing_of_it_passes_for_an_answer_about_a_person_where_it_is_a_demo_s_or_a_test_s(
        self, seed: int
    ) -> None:
        facts = random_facts(seed)
        report = as_json(facts)
        model = facts.outcome.model if facts.outcome else None
        test = not facts.received.livemode or (model is not None and model.purpose == "demo")
        for resource in [report, *(each["resource"] for each in report["entry"])]:
            codes = [label["code"] for label in resource.get("meta", {}).get("security", ())]
            assert codes == (["HTEST"] if test else [])
        assert ("DEMO OR TEST DATA" in one(report, "Composition")["title"]) == test
        starts = ("DEMO:", "TEST DATA:")
        assert one(report, "DiagnosticReport")["conclusion"].startswith(starts) == test
        assert all(each["note"][0]["text"].startswith(starts) for each in resources(report, "Observation") if test)

    @given(st.integers(0, 2**40))
    def test_what_people_read_is_well_formed_and_says_that_it_is_no_medical_device(self, seed: int) -> None:
        report = as_json(random_facts(seed))
        composition, diagnosis = one(report, "Composition"), one(report, "DiagnosticReport")
        texts = [composition["text"], diagnosis["text"], *(each["text"] for each in composition["section"])]
        for text in texts:
            assert {each.tag for each in ElementTree.fromstring(text["div"]).iter()} <= {  # noqa: S314 - our own
                "{http://www.w3.org/1999/xhtml}div",
                "{http://www.w3.org/1999/xhtml}p",
            }
        assert all(NOT_A_MEDICAL_DEVICE in each for each in (texts[0]["div"], texts[2]["div"], diagnosis["conclusion"]))

    @given(st.integers(0, 2**40))
    def test_a_person_is_no_more_than_the_client_s_reference(self, seed: int) -> None:
        facts = random_facts(seed)
        report = as_json(facts)
        shown = facts.received.client_reference if facts.shows_reference else None
        people = resources(report, "Patient")
        assert [person["identifier"][0]["value"] for person in people] == ([shown] if shown else [])
        for person in [*people, *resources(report, "PractitionerRole")]:
            assert set(person) <= {"resourceType", "id", "meta", "identifier", "code"}
        if not shown:
            reason = "masked" if facts.received.client_reference else "unknown"
            (extension,) = one(report, "DiagnosticReport")["subject"]["extension"]
            assert extension["valueCode"] == reason
            assert "visit-7" not in json.dumps(report)

    @given(st.integers(0, 2**40))
    def test_the_only_extension_is_the_standard_s_own(self, seed: int) -> None:
        urls = set(_extensions(as_json(random_facts(seed))))
        assert urls <= {"http://hl7.org/fhir/StructureDefinition/data-absent-reason"}

    @given(st.integers(0, 2**40))
    def test_the_same_facts_make_the_same_bytes(self, seed: int) -> None:
        first, second = (document_of(random_facts(seed)).model_dump_json(by_alias=True) for _ in range(2))
        assert first == second


def _extensions(value: Any) -> Any:
    if isinstance(value, dict):
        yield from (each["url"] for each in value.get("extension", ()))
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _extensions(each)


class TestPage:
    """docs/how-to/fhir.md tells receivers what our own codes mean."""

    def test_it_has_every_concept_and_the_name_of_every_code_system(self) -> None:
        page = PAGE.read_text(encoding="utf-8")
        assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE)) == set(Concept)
        names = re.findall(r"`([a-z/-]+)`", page.partition("## Codes of our own")[2].partition("| code")[0])
        names += [f"self-report/{name}" for name in QUESTIONS]
        owners = ("public", RECEIVED.owner)
        described = {f"urn:uuid:{uuid5(NAMESPACE, name)}" for name in names}
        described |= {f"urn:uuid:{uuid5(NAMESPACE, f'client-references/{owner}')}" for owner in owners}
        assert str(NAMESPACE) in page
        used = {each for seed in range(60) for each in _systems(as_json(random_facts(seed)))}
        assert used <= described

    def test_its_example_is_read_strictly_by_another_hand(self) -> None:
        (example,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        assert Bundle(json.loads(example), strict=True).as_json() == json.loads(example)


def _systems(value: Any) -> Any:
    if isinstance(value, dict):
        yield from (value["system"] for _ in range(1) if str(value.get("system", "")).startswith("urn:uuid:"))
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _systems(each)


class TestAnswer:
    def test_a_differential_is_whole_with_codes_and_text_and_names_the_model(self) -> None:
        report = as_json(FACTS)
        answer = observation(report, "differential")
        assert [(each["code"]["text"], each["valueQuantity"]["value"]) for each in answer["component"]] == [
            ("Psoriasis", 0.75),
            ("Odd <thing>", 0.25),
        ]
        first, second = (each["code"]["coding"] for each in answer["component"])
        assert first[0] == {"system": ICD_11, "code": "EA90", "display": "Psoriasis"}
        assert [each["code"] for each in second] == ["ODD"]
        inside = observation(report, "prediction-set")["component"]
        assert [each["code"]["text"] for each in inside if each.get("valueBoolean")] == ["Psoriasis"]
        model = next(each for each in resources(report, "Device") if "version" in each)
        assert model["deviceName"] == [{"name": "scin", "type": "model-name"}]
        assert [each["value"] for each in model["version"]] == ["3", "ab" * 32]
        assert answer["device"] == {"reference": f"urn:uuid:{model['id']}"}

    @pytest.mark.parametrize(
        ("kind", "reason", "absent"),
        [
            (OutcomeKind.ABSTENTION, "OUT_OF_DISTRIBUTION", "unknown"),
            (OutcomeKind.ABSTENTION, "UNDER_18", "not-performed"),
            (OutcomeKind.REJECTION, None, "not-performed"),
        ],
    )
    def test_where_there_is_none_it_says_why_in_the_standard_s_place(
        self, kind: OutcomeKind, reason: str | None, absent: str
    ) -> None:
        outcome = OUTCOME.model_copy(update={"kind": kind, "reason": reason, "advice": ("Move closer.",)})
        report = as_json(replace(FACTS, outcome=outcome))
        answer = observation(report, "answer")
        assert [each["code"] for each in answer["dataAbsentReason"]["coding"]] == [
            absent,
            *([reason] if reason else []),
        ]
        assert {"text": "Move closer."} in answer["note"]
        assert one(report, "DiagnosticReport")["status"] == "preliminary"

    def test_probabilities_beside_an_abstention_say_that_they_are_not_to_be_relied_on(self) -> None:
        outcome = OUTCOME.model_copy(update={"kind": OutcomeKind.ABSTENTION, "reason": "LOW_PROBABILITY"})
        (note,) = observation(as_json(replace(FACTS, outcome=outcome)), "differential")["note"]
        assert "abstained" in note["text"]

    def test_a_failed_case_has_a_cancelled_report_with_its_red_flags(self) -> None:
        failed = Failed(
            case_id=CASE, attempt=1, failed_at=START, reason="INTERNAL", detail="it broke", red_flags=OUTCOME.red_flags
        )
        report = as_json(replace(FACTS, outcome=None, failed=failed))
        assert one(report, "DiagnosticReport")["status"] == "cancelled"
        assert observation(report, "answer")["dataAbsentReason"]["coding"][0]["code"] == "error"
        assert observation(report, "red-flag")["valueCodeableConcept"]["text"] == "See a doctor today."

    def test_urgency_is_a_code_or_says_that_nothing_tells_how_soon(self) -> None:
        assert observation(as_json(FACTS), "urgency")["valueCodeableConcept"]["coding"][0]["code"] == "TODAY"
        silent = observation(as_json(replace(FACTS, advice=NextStep(urgency=None, next_step="Ask."))), "urgency")
        assert silent["dataAbsentReason"]["text"] == "Ask."

    def test_a_machine_s_answer_is_no_conclusion_in_codes(self) -> None:
        assert "conclusionCode" not in one(as_json(FACTS), "DiagnosticReport")


class TestReadings:
    def test_two_readers_who_agree_make_it_final_with_their_condition_as_its_conclusion(self) -> None:
        reviews = (review("reader_a", "Psoriasis", "Eczema"), review("reader_b", "Psoriasis"))
        report = as_json(replace(FACTS, reviews=reviews))
        diagnosis = one(report, "DiagnosticReport")
        assert diagnosis["status"] == "final"
        assert [each["text"] for each in diagnosis["conclusionCode"]] == ["Psoriasis"]
        readers = [each["identifier"][0]["value"] for each in resources(report, "PractitionerRole")]
        assert readers == ["reader_a", "reader_b"]

    @pytest.mark.parametrize(
        "reviews",
        [
            (review("reader_a", "Psoriasis"),),
            (review("reader_a", "Psoriasis"), review("reader_b", "Eczema")),
            (review("reader_a", "Psoriasis"), review("reader_b", gradable=Gradable.NO_IMAGE_QUALITY_INSUFFICIENT)),
        ],
        ids=["one", "of other conditions", "of other quality"],
    )
    def test_one_reader_or_readers_who_disagree_leave_it_preliminary(self, reviews: tuple[Review, ...]) -> None:
        report = as_json(replace(FACTS, reviews=reviews))
        assert one(report, "DiagnosticReport")["status"] == "preliminary"
        assert "attester" not in one(report, "Composition")
        assert all(each["status"] == "preliminary" for each in resources(report, "Observation"))

    def test_readers_agree_on_what_both_are_most_sure_of_and_the_report_concludes_no_more(self) -> None:
        first, second = review("reader_a", "Psoriasis", "Eczema"), review("reader_b", "Eczema", "Psoriasis")
        equal = [each.model_copy(update={"confidence": 5}) for each in first.conditions]
        reviews = (first.model_copy(update={"conditions": tuple(equal)}), second)
        diagnosis = one(as_json(replace(FACTS, reviews=reviews)), "DiagnosticReport")
        assert diagnosis["status"] == "final"
        assert [each["text"] for each in diagnosis["conclusionCode"]] == ["Eczema"]

    def test_an_adjudication_stands_over_reviews_that_disagree(self) -> None:
        reviews = (review("reader_a", "Psoriasis"), review("reader_b", "Eczema"))
        adjudication = Adjudication(
            **review("reader_c", "Eczema").model_dump(exclude={"seconds", "model"}), readers=("reader_a", "reader_b")
        )
        report = as_json(replace(FACTS, reviews=reviews, adjudication=adjudication))
        finals = [each for each in resources(report, "Observation") if each["status"] == "final"]
        assert [each["text"] for each in one(report, "DiagnosticReport")["conclusionCode"]] == ["Eczema"]
        assert len(finals) == 1


class TestWhatWasSent:
    def test_every_question_of_the_self_report_stands_in_the_questionnaire(self) -> None:
        assert set(QUESTIONS) == set(SelfReport.model_fields)

    def test_answers_are_the_response_to_the_questionnaire_in_it_and_no_answer_has_no_item(self) -> None:
        response = one(as_json(FACTS), "QuestionnaireResponse")
        (questionnaire,) = response["contained"]
        assert response["questionnaire"] == f"#{questionnaire['id']}"
        answers = {item["linkId"]: item["answer"] for item in response["item"]}
        assert set(answers) == {"textures", "under_18"}
        assert [each["valueCoding"]["code"] for each in answers["textures"]] == ["FLAT", "FLUID_FILLED"]
        assert answers["under_18"] == [{"valueBoolean": False}]
        options = {
            item["linkId"]: [each["valueCoding"] for each in item.get("answerOption", ())]
            for item in questionnaire["item"]
        }
        assert all(each["valueCoding"] in options["textures"] for each in answers["textures"])

    def test_a_photo_is_attached_with_its_size_and_digest_or_says_that_it_is_not_there(self) -> None:
        content = one(as_json(FACTS), "Media")["content"]
        assert content == {
            "contentType": "image/jpeg",
            "data": "cGhvdG8=",
            "size": 5,
            "hash": "7rNdMxvdzd/bsKbRb2QSC7ATVv0=",
            "title": "Photo 1",
        }
        missing = one(as_json(replace(FACTS, photos={})), "Media")["content"]
        assert set(missing) == {"title"}

    def test_what_was_not_agreed_to_is_denied(self) -> None:
        provision = one(as_json(FACTS), "Consent")["provision"]
        assert provision["type"] == "deny"
        assert [each["purpose"][0]["code"] for each in provision["provision"]] == ["PATRQT"]
        received = RECEIVED.model_copy(update={"second_read": True, "consent": Consent.KEEP_FOR_IMPROVEMENT})
        wider = one(as_json(replace(FACTS, received=received)), "Consent")["provision"]
        assert [each["purpose"][0]["code"] for each in wider["provision"]] == ["PATRQT", "HQUALIMP", "TREAT"]
