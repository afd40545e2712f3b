"""The texts on conditions: every condition has one, each is complete and neutral, and the most urgent step leads."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from dermis.gateway.guidance import Guidance, guidance
from dermis.shared.case import (
    AnswerEntry,
    GroupedAnswer,
    ModelRef,
    Outcome,
    OutcomeKind,
    RankedCondition,
    RedFlag,
    Urgency,
)
from dermis.shared.manifest import MANIFEST_FILE, Manifest
from dermis.standalone import demo

ROOT = Path(__file__).parents[3]
POLICY = json.loads((ROOT / "services/data/src/dermis/data/policies/scin-grouped.json").read_text())
GROUPS = [group["name"] for group in POLICY["groups"]]
# What the policy leaves a label of its own on SCIN release 1.0.0: named by at least 20 cases.
LABELS = [
    "Acne",
    "Acute dermatitis, NOS",
    "Allergic Contact Dermatitis",
    "Drug Rash",
    "Eczema",
    "Folliculitis",
    "Granuloma annulare",
    "Herpes Simplex",
    "Herpes Zoster",
    "Hypersensitivity",
    "Impetigo",
    "Insect Bite",
    "Irritant Contact Dermatitis",
    "Leukocytoclastic Vasculitis",
    "Lichen Simplex Chronicus",
    "Lichen planus/lichenoid eruption",
    "O/E - ecchymoses present",
    "Pigmented purpuric eruption",
    "Pityriasis rosea",
    "Psoriasis",
    "Scabies",
    "Stasis Dermatitis",
    "Tinea",
    "Tinea Versicolor",
    "Urticaria",
    "Viral Exanthem",
]
# Of the 12 conditions in the table that the mapping of Fitzpatrick17k was made for, these are no label of SCIN's.
ATLAS = ["Photodermatitis", "Prurigo nodularis", "Seborrheic Dermatitis"]
MAPPED = sorted(
    {
        name
        for path in (ROOT / "services/data/src/dermis/data/mappings").glob("*.json")
        for name in json.loads(path.read_text())["attributes"]["condition"].get("values", {}).values()
    }
)
DEMO = Manifest.model_validate_json((demo.BUNDLE / MANIFEST_FILE).read_bytes())
BODIES = {"www.nhs.uk", "dermnetnz.org", "medlineplus.gov", "www.aad.org", "www.cdc.gov"}
TREATMENTS = (
    "steroid cortison antibiotic antifungal antihistamine cream ointment tablet pill dose ibuprofen paracetamol "
    "retinoid surgery laser"
)


def outcome(kind: OutcomeKind, *inside: str, flags: tuple[RedFlag, ...] = ()) -> Outcome:
    ranked = [*((name, True) for name in inside), ("Vitiligo", False)]
    return Outcome(
        case_id="case_1",
        finished_at=datetime.now(UTC),
        kind=kind,
        red_flags=flags,
        differential=tuple(
            RankedCondition(condition=name.upper(), name=name, probability=0.5, in_prediction_set=is_in)
            for name, is_in in ranked
        ),
    )


@pytest.mark.parametrize(
    "name", [*(condition.name for condition in DEMO.conditions), *GROUPS, *LABELS, *ATLAS, *MAPPED]
)
def test_every_condition_has_an_entry_of_its_own(name: str) -> None:
    entry = guidance().entry(name)
    assert entry.id != "GENERAL"
    assert guidance().entry(name.upper()) == entry


def test_what_fits_no_label_gets_the_general_entry_which_says_so() -> None:
    for name in (POLICY["other"], "something never heard of"):
        shown = guidance().of_condition("X", name)
        assert (shown.is_general, shown.guidance.id) == (True, "GENERAL")
    assert not guidance().of_condition("X", "Eczema").is_general


def test_no_clinician_has_reviewed_the_texts() -> None:
    assert guidance().clinical_review == "none"


def test_each_entry_is_complete_short_and_names_no_treatment() -> None:
    for entry in (guidance().general, *guidance().entries):
        texts = (entry.text, entry.next_step, entry.on_lighter_skin, entry.on_darker_skin)
        assert all(text.endswith(".") and len(text) < 320 for text in texts), entry.id
        assert entry.on_lighter_skin != entry.on_darker_skin
        assert not [word for word in TREATMENTS.split() if word in " ".join(texts).lower()], entry.id


def test_self_care_is_complete_and_names_no_treatment() -> None:
    for care in guidance().of_everyone():
        lines = [*care.do, *care.avoid, *care.routine]
        assert all(2 <= len(part) <= 4 for part in (care.do, care.avoid, care.routine)), care.id
        assert all(line.endswith(".") and len(line) < 110 for line in lines), care.id
        assert not [word for word in TREATMENTS.split() if word in " ".join(lines).lower().split()], care.id


def test_every_source_has_an_address_of_a_public_body() -> None:
    entries = [guidance().of_condition("X", entry.names[0]).guidance for entry in guidance().entries]
    links = [link for entry in (*entries, guidance().of_general()) for link in entry.links]
    links += [link for care in guidance().of_everyone() for link in care.links]
    assert {urlsplit(link.url).hostname for link in links} <= BODIES
    assert {link.name for link in links} == set(guidance().addresses)
    broken = guidance().model_dump()
    del broken["addresses"]["NHS, Acne"]
    with pytest.raises(ValidationError, match="'NHS, Acne' has no address"):
        Guidance.model_validate(broken)


def test_each_condition_has_self_care_but_growths_and_what_no_one_should_treat_alone() -> None:
    without = {entry.id for entry in guidance().entries if entry.self_care is None}
    assert {entry.id for entry in guidance().entries if entry.growth} == {"BENIGN_GROWTH", "CANCER_OR_PRECURSOR"}
    assert without == {
        "BENIGN_GROWTH",
        "CANCER_OR_PRECURSOR",
        "BLISTERING_DISEASE",
        "BRUISE_OR_PURPURA",
        "GRANULOMA_ANNULARE",
    }
    broken = guidance().model_dump()
    broken["entries"][0]["self_care"] = "NONE_OF_THESE"
    with pytest.raises(ValidationError, match="'NONE_OF_THESE' is not in the file"):
        Guidance.model_validate(broken)


def _care(shown: Outcome) -> list[str]:
    return [care.id for care in guidance().self_care_of(shown)]


def test_self_care_is_that_of_the_prediction_set_each_once() -> None:
    shown = outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Irritant Contact Dermatitis", "Psoriasis")
    assert _care(shown) == ["ECZEMA", "PSORIASIS"]
    told = guidance().of_outcome(shown)
    assert [care.id for care in told.self_care] == ["ECZEMA", "PSORIASIS"]
    assert told.skin_care == guidance().skin_care
    assert [link.name for link in told.conditions[0].guidance.links] == told.conditions[0].guidance.sources


FLAG = RedFlag(flag="GROWTH", text="Soon.", urgency=Urgency.SOON)
DEMO_MODEL = ModelRef(name="dermis", version=1, purpose="demo")


@pytest.mark.parametrize(
    "shown",
    [
        outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Melanoma"),
        outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Benign growth"),
        outcome(OutcomeKind.DIFFERENTIAL, "Eczema", flags=(FLAG,)),
        outcome(OutcomeKind.ABSTENTION, "Eczema"),
        outcome(OutcomeKind.REJECTION),
        outcome(OutcomeKind.DIFFERENTIAL, "Eczema").model_copy(update={"model": DEMO_MODEL}),
    ],
    ids=["cancer", "growth", "red flag", "abstention", "rejection", "demo"],
)
def test_there_is_no_self_care_where_it_could_keep_someone_from_a_doctor_or_has_no_ground(shown: Outcome) -> None:
    assert _care(shown) == []
    assert guidance().of_outcome(shown).skin_care == []


def test_a_name_may_stand_in_one_entry_only() -> None:
    doubled = guidance().model_dump()
    doubled["entries"][0]["names"] = ("ECZEMA",)
    with pytest.raises(ValidationError, match="'eczema' stands twice"):
        Guidance.model_validate(doubled)


def test_the_most_urgent_condition_of_the_set_leads() -> None:
    told = guidance().of_outcome(outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Herpes Zoster"))
    assert [each.name for each in told.conditions] == ["Eczema", "Herpes Zoster"]
    assert told.urgency is Urgency.TODAY
    assert told.next_step == guidance().entry("Herpes Zoster").next_step


def test_a_red_flag_leads_over_conditions_that_are_less_urgent() -> None:
    flag = RedFlag(flag="F", text="Emergency: now.", urgency=Urgency.EMERGENCY)
    told = guidance().of_outcome(outcome(OutcomeKind.DIFFERENTIAL, "Herpes Zoster", flags=(flag,)))
    assert (told.urgency, told.next_step) == (Urgency.EMERGENCY, "Emergency: now.")


@pytest.mark.parametrize("kind", [OutcomeKind.ABSTENTION, OutcomeKind.REJECTION])
def test_without_a_reliable_result_no_condition_is_talked_about(kind: OutcomeKind) -> None:
    told = guidance().of_outcome(outcome(kind, "Herpes Zoster"))
    assert told.conditions == []
    assert told.next_step == guidance().general.next_step
    flag = RedFlag(flag="F", text="Urgent: today.")  # of a fact from before urgency was noted
    assert guidance().of_outcome(outcome(kind, flags=(flag,))).urgency is Urgency.TODAY


def test_of_an_answer_over_groups_only_named_conditions_have_texts_and_the_urgency_stays() -> None:
    plain = outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Herpes Zoster")
    entries = (
        AnswerEntry(level="CONDITION", id="ECZEMA", name="Eczema", probability=0.5, conditions=("ECZEMA",)),
        AnswerEntry(level="GROUP", id="VIRAL", name="A viral infection", probability=0.4),
    )
    answer = GroupedAnswer(level="GROUP", entries=entries, coverage=0.9)
    shown = guidance().of_outcome(plain.model_copy(update={"grouped_answer": answer}))
    assert [each.condition for each in shown.conditions] == ["ECZEMA"]
    assert shown.urgency == guidance().of_outcome(plain).urgency == Urgency.TODAY
