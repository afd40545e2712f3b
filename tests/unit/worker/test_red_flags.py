"""Red flags: from the answers alone, neutral, and silent about what was not answered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.case import Urgency
from dermis.shared.vocabulary import (
    BodyPart,
    ConditionSymptom,
    OtherSymptom,
    RelatedCategory,
    SelfReport,
    Texture,
    WarningSign,
)
from dermis.worker.core.red_flags import RULES, red_flags, with_growth


def flags(**answers: Any) -> list[str]:
    return [flag.flag for flag in red_flags(SelfReport.model_validate(answers))]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, []),
        ({"related_category": "RASH", "textures": ["FLUID_FILLED"], "condition_symptoms": ["ITCHING"]}, []),
        ({"other_symptoms": ["NO_RELEVANT_SYMPTOMS"]}, []),
        ({"other_symptoms": ["FATIGUE"], "related_category": "RASH"}, []),
        ({"related_category": "RASH", "other_symptoms": ["FEVER"]}, ["FEVER"]),
        ({"other_symptoms": ["CHILLS"]}, ["FEVER"]),
        (
            {"related_category": "RASH", "other_symptoms": ["FEVER"], "condition_symptoms": ["INCREASING_SIZE"]},
            ["FEVER_WITH_SPREADING_RASH", "FEVER"],
        ),
        ({"body_parts": ["FOOT_SOLE"], "condition_symptoms": ["DARKENING"]}, ["CHANGING_SPOT_OF_PALM_SOLE_OR_NAIL"]),
        (
            {"related_category": "NAIL_PROBLEM", "condition_symptoms": ["BLEEDING"]},
            ["CHANGING_SPOT_OF_PALM_SOLE_OR_NAIL"],
        ),
        ({"body_parts": ["FOOT_SOLE"], "condition_symptoms": ["INCREASING_SIZE"]}, []),
        ({"related_category": "RASH", "other_symptoms": ["MOUTH_SORES"]}, ["MOUTH_SORES"]),
        ({"other_symptoms": ["SHORTNESS_OF_BREATH", "MOUTH_SORES"]}, ["SHORTNESS_OF_BREATH", "MOUTH_SORES"]),
        ({"related_category": "RASH", "other_symptoms": ["JOINT_PAIN"]}, ["RASH_WITH_JOINT_PAIN"]),
        ({"other_symptoms": ["JOINT_PAIN"]}, []),
        ({"related_category": "GROWTH_OR_MOLE"}, ["GROWTH"]),
        ({"related_category": "GROWTH_OR_MOLE", "condition_symptoms": ["BLEEDING"]}, ["CHANGING_GROWTH"]),
        ({"related_category": "GROWTH_OR_MOLE", "condition_symptoms": ["INCREASING_SIZE"]}, ["CHANGING_GROWTH"]),
        ({"related_category": "GROWTH_OR_MOLE", "condition_symptoms": ["DARKENING"]}, ["CHANGING_GROWTH"]),
        ({"related_category": "ACNE", "condition_symptoms": ["BLEEDING", "INCREASING_SIZE"]}, []),
        (
            {"other_symptoms": ["FEVER"], "condition_symptoms": ["PAIN"], "textures": ["FLUID_FILLED"]},
            ["FEVER_WITH_PAINFUL_BLISTERS", "FEVER"],
        ),
        (
            {"condition_symptoms": ["BURNING"], "textures": ["FLUID_FILLED"], "body_parts": ["HEAD_OR_NECK"]},
            ["PAINFUL_BLISTERS_ON_THE_HEAD"],
        ),
        ({"condition_symptoms": ["BURNING"], "textures": ["FLUID_FILLED"], "body_parts": ["LEG"]}, []),
        ({"warning_signs": ["NO_WARNING_SIGNS"]}, []),
        ({"warning_signs": ["SHORTNESS_OF_BREATH"]}, ["SHORTNESS_OF_BREATH"]),
        ({"warning_signs": ["SWOLLEN_FACE_OR_TONGUE"]}, ["SWOLLEN_FACE_OR_TONGUE"]),
        ({"warning_signs": ["VERY_ILL"]}, ["VERY_ILL"]),
        ({"warning_signs": ["MOUTH_SORES"], "other_symptoms": ["MOUTH_SORES"]}, ["MOUTH_SORES"]),
        ({"warning_signs": ["FAST_SPREADING"]}, ["FAST_SPREADING"]),
        ({"warning_signs": ["FEVER_WITH_RASH"]}, ["FEVER"]),
        ({"warning_signs": ["FEVER_WITH_RASH", "FAST_SPREADING"]}, ["FEVER_WITH_SPREADING_RASH", "FEVER"]),
        (
            {"warning_signs": ["FAST_SPREADING"], "related_category": "RASH", "other_symptoms": ["CHILLS"]},
            ["FEVER_WITH_SPREADING_RASH", "FEVER"],
        ),
        ({"under_18": True}, ["UNDER_18"]),
        ({"under_18": False}, []),
        ({"under_18": True, "related_category": "GROWTH_OR_MOLE"}, ["GROWTH", "UNDER_18"]),
    ],
)
def test_answers_raise_these_flags(answers: dict[str, Any], expected: list[str]) -> None:
    assert flags(**answers) == expected


def test_every_rule_can_be_raised_and_cites_its_source() -> None:
    everything = red_flags(
        SelfReport(
            textures=tuple(Texture),
            body_parts=tuple(BodyPart),
            condition_symptoms=tuple(ConditionSymptom),
            other_symptoms=tuple(OtherSymptom),
            warning_signs=tuple(WarningSign),
            under_18=True,
            related_category=RelatedCategory.GROWTH_OR_MOLE,
        )
    )
    raised = (
        {flag.flag for flag in everything}
        | set(flags(related_category="GROWTH_OR_MOLE"))
        | set(flags(warning_signs=["FAST_SPREADING"]))
        | set(
            flags(
                related_category="RASH", other_symptoms=["JOINT_PAIN", "FEVER"], condition_symptoms=["INCREASING_SIZE"]
            )
        )
    )
    assert raised == {rule.flag for rule in RULES}
    assert len({rule.flag for rule in RULES}) == len(RULES)
    assert all("." in rule.source and "(" in rule.source for rule in RULES)


def test_texts_say_how_urgent_and_name_no_condition_or_treatment() -> None:
    for rule in RULES:
        assert rule.text.startswith({"EMERGENCY": "Emergency: ", "TODAY": "Urgent: ", "SOON": "Soon: "}[rule.urgency])
        assert not any(
            word in rule.text.lower()
            for word in ("cancer", "melanoma", "shingles", "infection", "cream", "medicine", "antibiotic")
        )
    urgency = ["Emergency", "Urgent", "Soon"]
    assert [rule.text.split(":")[0] for rule in RULES] == sorted(
        (rule.text.split(":")[0] for rule in RULES), key=urgency.index
    )


several = {
    "textures": st.lists(st.sampled_from(list(Texture))),
    "body_parts": st.lists(st.sampled_from(list(BodyPart))),
    "condition_symptoms": st.lists(st.sampled_from(list(ConditionSymptom))),
    "other_symptoms": st.lists(st.sampled_from(list(OtherSymptom))),
    "warning_signs": st.lists(st.sampled_from(list(WarningSign))),
}


@given(
    less=st.fixed_dictionaries(several),
    more=st.fixed_dictionaries(several),
    category=st.sampled_from([None, *RelatedCategory]),
)
def test_a_further_answer_never_takes_a_flag_away_but_for_one_that_covers_it(
    less: dict[str, list[str]], more: dict[str, list[str]], category: RelatedCategory | None
) -> None:
    both = {name: less[name] + more[name] for name in several}
    covered_by = {rule.flag: rule.covered_by for rule in RULES}
    kept = set(flags(**both, related_category=category))
    assert all({flag, covered_by[flag]} & kept for flag in flags(**less, related_category=category))


def test_a_flag_that_covers_another_is_as_urgent() -> None:
    urgency = {rule.flag: rule.urgency for rule in RULES}
    order = list(Urgency)
    assert all(order.index(urgency[rule.covered_by]) <= order.index(rule.urgency) for rule in RULES if rule.covered_by)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, ["GROWTH"]),
        ({"related_category": "GROWTH_OR_MOLE"}, ["GROWTH"]),
        ({"related_category": "GROWTH_OR_MOLE", "condition_symptoms": ["BLEEDING"]}, ["CHANGING_GROWTH"]),
        ({"other_symptoms": ["FEVER"]}, ["FEVER", "GROWTH"]),
    ],
)
def test_a_model_of_growths_always_calls_for_a_look_and_says_it_once(
    answers: dict[str, Any], expected: list[str]
) -> None:
    raised = with_growth(red_flags(SelfReport.model_validate(answers)))
    assert [flag.flag for flag in raised] == expected
