"""The texts on conditions are complete and neutral; urgency has a reason, and none where nothing gives one."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from dermis.gateway.guidance import COULD_NOT_TELL, Guidance, guidance, in_ten
from dermis.shared.case import (
    AnswerEntry,
    Failed,
    GroupedAnswer,
    ModelRef,
    Outcome,
    OutcomeKind,
    RankedCondition,
    RedFlag,
    Urgency,
)
from dermis.shared.manifest import MANIFEST_FILE, Manifest
from dermis.shared.vocabulary import RelatedCategory, SelfReport
from dermis.standalone import demo
from dermis.worker.core.red_flags import red_flags, with_growth

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


NOW = datetime(2026, 1, 2, tzinfo=UTC)
SILENT = SelfReport()
GROWTH = SelfReport(related_category=RelatedCategory.GROWTH_OR_MOLE)
KINDS = list(OutcomeKind)


def outcome(kind: OutcomeKind, *inside: str, purpose: str = "research", **more: Any) -> Outcome:
    """Return an outcome with conditions of its prediction set, each at 0.4, and Vitiligo outside of it at 0.1."""
    ranked = [*((name, 0.4) for name in inside), ("Vitiligo", 0.1)]
    return Outcome(
        case_id="case_1",
        finished_at=NOW,
        kind=kind,
        model=ModelRef(name="m", version=1, purpose=purpose),
        differential=tuple(
            RankedCondition(
                condition=name.upper(), name=name, probability=probability, in_prediction_set=probability > 0.1
            )
            for name, probability in ranked
        ),
        **more,
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
        guided = guidance().of_condition("X", name)
        assert (guided.is_general, guided.guidance.id) == (True, "GENERAL")
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


def _care(answered: Outcome) -> list[str]:
    return [care.id for care in guidance().self_care_of(answered)]


def test_self_care_is_that_of_the_prediction_set_each_once() -> None:
    answered = outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Irritant Contact Dermatitis", "Psoriasis")
    assert _care(answered) == ["ECZEMA", "PSORIASIS"]
    advice = guidance().of_outcome(answered, SelfReport())
    assert [care.id for care in advice.self_care] == ["ECZEMA", "PSORIASIS"]
    assert advice.skin_care == guidance().skin_care
    assert [link.name for link in advice.conditions[0].guidance.links] == advice.conditions[0].guidance.sources


FLAG = RedFlag(flag="GROWTH", text="Soon.", urgency=Urgency.SOON)


@pytest.mark.parametrize(
    "answered",
    [
        outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Melanoma"),
        outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Benign growth"),
        outcome(OutcomeKind.DIFFERENTIAL, "Eczema", red_flags=(FLAG,)),
        outcome(OutcomeKind.ABSTENTION, "Eczema"),
        outcome(OutcomeKind.REJECTION),
        outcome(OutcomeKind.DIFFERENTIAL, "Eczema", purpose="demo"),
    ],
    ids=["cancer", "growth", "red flag", "abstention", "rejection", "demo"],
)
def test_there_is_no_self_care_where_it_could_keep_someone_from_a_doctor_or_has_no_ground(answered: Outcome) -> None:
    assert _care(answered) == []
    assert guidance().of_outcome(answered, SelfReport()).skin_care == []


def test_a_name_may_stand_in_one_entry_only() -> None:
    doubled = guidance().model_dump()
    doubled["entries"][0]["names"] = ("ECZEMA",)
    with pytest.raises(ValidationError, match="'eczema' stands twice"):
        Guidance.model_validate(doubled)


def test_a_condition_that_is_probable_enough_says_how_soon_and_why() -> None:
    guided = guidance().of_outcome(outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Herpes Zoster"), SILENT)
    assert [each.name for each in guided.conditions] == ["Eczema", "Herpes Zoster"]
    assert guided.urgency is Urgency.TODAY
    assert guided.next_step == guidance().entry("Herpes Zoster").next_step
    (reason,) = guided.because
    assert (reason.source, reason.condition) == ("MODEL", "HERPES ZOSTER")
    assert reason.text == "it may be Herpes Zoster (about 4 in 10)"


def test_a_condition_below_the_bundles_threshold_says_nothing_of_urgency() -> None:
    both = outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Herpes Zoster", urgency_threshold=0.4)
    assert guidance().of_outcome(both, SILENT).urgency is Urgency.TODAY
    neither = both.model_copy(update={"urgency_threshold": 0.41})
    guided = guidance().of_outcome(neither, SILENT)
    assert (guided.urgency, guided.because, guided.next_step) == (None, [], COULD_NOT_TELL)
    assert [each.name for each in guided.conditions] == ["Eczema", "Herpes Zoster"], "what can't be ruled out stays"


def test_an_older_outcome_goes_by_the_threshold_that_bundles_have_by_default() -> None:
    ranked = [("Eczema", 0.79), ("Herpes Zoster", 0.21)]
    for probability, urgency in ((0.21, Urgency.TODAY), (0.19, Urgency.ROUTINE)):
        ranked[1] = ("Herpes Zoster", probability)
        conditions = tuple(
            RankedCondition(condition=name, name=name, probability=p, in_prediction_set=True) for name, p in ranked
        )
        old = outcome(OutcomeKind.DIFFERENTIAL).model_copy(update={"differential": conditions})
        assert guidance().of_outcome(old, SILENT).urgency is urgency


def test_a_condition_without_a_text_of_its_own_is_no_reason() -> None:
    guided = guidance().of_outcome(outcome(OutcomeKind.DIFFERENTIAL, "Never heard of"), SILENT)
    assert (guided.urgency, guided.because) == (None, [])


def test_a_red_flag_leads_over_conditions_that_are_less_urgent() -> None:
    flag = RedFlag(flag="F", text="Emergency: now.", urgency=Urgency.EMERGENCY)
    zoster = outcome(OutcomeKind.DIFFERENTIAL, "Herpes Zoster", red_flags=(flag,))
    guided = guidance().of_outcome(zoster, SILENT)
    assert (guided.urgency, guided.next_step) == (Urgency.EMERGENCY, "Emergency: now.")
    assert [(each.source, each.flag) for each in guided.because] == [("RED_FLAG", "F")]


SILENT_MODELS = [(OutcomeKind.ABSTENTION, "research"), (OutcomeKind.REJECTION, "research")] + [
    (kind, "demo") for kind in KINDS
]


@pytest.mark.parametrize(("kind", "purpose"), SILENT_MODELS)
def test_a_demo_an_abstention_and_a_rejection_give_no_urgency_and_no_text(kind: OutcomeKind, purpose: str) -> None:
    guided = guidance().of_outcome(outcome(kind, "Herpes Zoster", purpose=purpose), SILENT)
    assert (guided.urgency, guided.because, guided.conditions) == (None, [], [])
    assert guided.next_step == COULD_NOT_TELL
    assert "does not mean it's harmless" in COULD_NOT_TELL
    flag = RedFlag(flag="F", text="Urgent: today.")  # of a fact from before urgency was noted
    raised = outcome(kind, "Eczema", purpose=purpose, red_flags=(flag,))
    assert guidance().of_outcome(raised, SILENT).urgency is Urgency.TODAY


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("purpose", ["demo", "research"])
def test_a_reported_growth_is_at_least_soon_in_every_outcome(kind: OutcomeKind, purpose: str) -> None:
    case = outcome(kind, "Insect Bite", purpose=purpose, red_flags=red_flags(GROWTH))
    guided = guidance().of_outcome(case, GROWTH)
    assert guided.urgency is Urgency.SOON
    assert [each.source for each in guided.because] == ["ANSWERS"]
    assert "can't rule out skin cancer" in guided.because[0].text
    assert guided.next_step.startswith("Soon:")


def test_an_answer_of_a_model_of_growths_is_its_reason_where_no_growth_was_reported() -> None:
    case = outcome(OutcomeKind.DIFFERENTIAL, "Melanocytic Nevus", red_flags=with_growth(()))
    guided = guidance().of_outcome(case, SILENT)
    assert (guided.urgency, [each.source for each in guided.because]) == (Urgency.SOON, ["MODEL"])


def test_a_failure_keeps_what_the_answers_say() -> None:
    failed = Failed(case_id="case_1", attempt=1, failed_at=NOW, reason="R", detail="d", red_flags=red_flags(GROWTH))
    assert guidance().of_failure(failed, GROWTH).urgency is Urgency.SOON
    older = failed.model_copy(update={"red_flags": ()})
    assert guidance().of_failure(older, SILENT).urgency is None


@pytest.mark.parametrize(
    ("probability", "text"), [(0.004, "less than 1 in 10"), (0.58, "about 6 in 10"), (0.999, "about 9 in 10")]
)
def test_a_probability_is_told_in_tens(probability: float, text: str) -> None:
    assert in_ten(probability) == text


def test_of_an_answer_over_groups_only_named_conditions_have_texts_and_the_urgency_stays() -> None:
    plain = outcome(OutcomeKind.DIFFERENTIAL, "Eczema", "Herpes Zoster")
    entries = (
        AnswerEntry(level="CONDITION", id="ECZEMA", name="Eczema", probability=0.5, conditions=("ECZEMA",)),
        AnswerEntry(level="GROUP", id="VIRAL", name="A viral infection", probability=0.4),
    )
    answer = GroupedAnswer(level="GROUP", entries=entries, coverage=0.9)
    guided = guidance().of_outcome(plain.model_copy(update={"grouped_answer": answer}), SILENT)
    assert [each.condition for each in guided.conditions] == ["ECZEMA"]
    assert guided.urgency == guidance().of_outcome(plain, SILENT).urgency == Urgency.TODAY
