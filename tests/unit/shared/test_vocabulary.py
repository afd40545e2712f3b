"""The words are SCIN's; the lists here are typed from its documentation (dataset_schema.md, release 1.0.0)."""

import csv
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dermis.shared.vocabulary import (
    AgeGroup,
    BodyPart,
    ConditionDuration,
    ConditionSymptom,
    FitzpatrickSkinType,
    MonkSkinTone,
    OtherSymptom,
    RaceEthnicity,
    RelatedCategory,
    ScinAnswers,
    SelfReport,
    SexAtBirth,
    ShotType,
    Texture,
    WarningSign,
)

SCIN = {
    AgeGroup: "AGE_UNKNOWN AGE_18_TO_29 AGE_30_TO_39 AGE_40_TO_49 AGE_50_TO_59 AGE_60_TO_69 AGE_70_TO_79 "
    "AGE_80_OR_ABOVE",
    SexAtBirth: "FEMALE MALE OTHER_OR_UNSPECIFIED",
    FitzpatrickSkinType: "FST1 FST2 FST3 FST4 FST5 FST6 NONE_IDENTIFIED",
    MonkSkinTone: "MST1 MST2 MST3 MST4 MST5 MST6 MST7 MST8 MST9 MST10",
    RaceEthnicity: "AMERICAN_INDIAN_OR_ALASKA_NATIVE ASIAN BLACK_OR_AFRICAN_AMERICAN HISPANIC_LATINO_OR_SPANISH_ORIGIN "
    "MIDDLE_EASTERN_OR_NORTH_AFRICAN NATIVE_HAWAIIAN_OR_PACIFIC_ISLANDER WHITE OTHER_RACE PREFER_NOT_TO_ANSWER",
    Texture: "RAISED_OR_BUMPY FLAT ROUGH_OR_FLAKY FLUID_FILLED",
    BodyPart: "HEAD_OR_NECK ARM PALM BACK_OF_HAND TORSO_FRONT TORSO_BACK GENITALIA_OR_GROIN BUTTOCKS LEG "
    "FOOT_TOP_OR_SIDE FOOT_SOLE OTHER",
    ConditionSymptom: "BOTHERSOME_APPEARANCE BLEEDING INCREASING_SIZE DARKENING ITCHING BURNING PAIN "
    "NO_RELEVANT_EXPERIENCE",
    OtherSymptom: "FEVER CHILLS FATIGUE JOINT_PAIN MOUTH_SORES SHORTNESS_OF_BREATH NO_RELEVANT_SYMPTOMS",
    RelatedCategory: "RASH ACNE GROWTH_OR_MOLE PIGMENTARY_PROBLEM NAIL_PROBLEM HAIR_LOSS OTHER_HAIR_PROBLEM "
    "LOOKS_HEALTHY OTHER_ISSUE_DESCRIPTION",
    ConditionDuration: "ONE_DAY LESS_THAN_ONE_WEEK ONE_TO_FOUR_WEEKS ONE_TO_THREE_MONTHS THREE_TO_TWELVE_MONTHS "
    "MORE_THAN_ONE_YEAR MORE_THAN_FIVE_YEARS SINCE_CHILDHOOD UNKNOWN",
    ShotType: "CLOSE_UP AT_AN_ANGLE AT_DISTANCE",
}
SEVERAL = ("race_ethnicity", "textures", "body_parts", "condition_symptoms", "other_symptoms", "warning_signs")


@pytest.mark.parametrize("words", SCIN, ids=lambda words: words.__name__)
def test_the_words_are_scins(words: type) -> None:
    assert [word.value for word in words] == SCIN[words].split()  # type: ignore[attr-defined, index]
    assert [word.name for word in words] == SCIN[words].split()  # type: ignore[attr-defined, index]


def test_every_answer_may_be_absent() -> None:
    report = SelfReport()
    assert all(value is None for value in report.model_dump().values())
    assert SelfReport.model_validate_json("{}") == report
    assert SelfReport.model_validate(report.model_dump()) == report


@pytest.mark.parametrize("field", SEVERAL)
def test_no_box_ticked_is_an_answer_that_was_not_given(field: str) -> None:
    nothing: Any
    for nothing in ([], (), None):
        assert SelfReport.model_validate({field: nothing}) == SelfReport()
    assert SelfReport.model_validate_json(f'{{"{field}": []}}') == SelfReport()


def test_none_of_these_is_an_answer() -> None:
    report = SelfReport.model_validate(
        {"other_symptoms": ["NO_RELEVANT_SYMPTOMS"], "condition_symptoms": ["NO_RELEVANT_EXPERIENCE"]}
    )
    assert report != SelfReport()
    assert report.other_symptoms == (OtherSymptom.NO_RELEVANT_SYMPTOMS,)


def test_a_warning_sign_is_heard_next_to_none_of_these() -> None:
    none = SelfReport.model_validate({"warning_signs": ["NO_WARNING_SIGNS"]})
    assert none.warning_signs == (WarningSign.NO_WARNING_SIGNS,)
    both = SelfReport.model_validate({"warning_signs": ["NO_WARNING_SIGNS", "VERY_ILL"]})
    assert both.warning_signs == (WarningSign.VERY_ILL,)


def test_under_18_is_a_boolean_or_its_word() -> None:
    assert [SelfReport.model_validate({"under_18": value}).under_18 for value in (True, "TRUE", False, "FALSE")] == [
        True,
        True,
        False,
        False,
    ]
    for almost in ("yes", "true", 1, "1"):
        with pytest.raises(ValidationError):
            SelfReport.model_validate({"under_18": almost})


def test_an_empty_report_is_told_from_one_with_an_answer() -> None:
    assert SelfReport().is_empty
    assert SelfReport.model_validate({"textures": []}).is_empty
    assert not SelfReport(under_18=False).is_empty


def test_repeats_count_once_and_order_is_kept() -> None:
    report = SelfReport.model_validate({"body_parts": ["LEG", "ARM", "LEG"]})
    assert report.body_parts == (BodyPart.LEG, BodyPart.ARM)


@pytest.mark.parametrize("field", SelfReport.model_fields)
@pytest.mark.parametrize("value", ["NO_SUCH_WORD", "", 7, {"a": 1}, ["NO_SUCH_WORD"], [None]], ids=repr)
def test_an_unknown_word_is_refused_by_field_and_value(field: str, value: object) -> None:
    given = [value] if field in SEVERAL and isinstance(value, str) else value
    with pytest.raises(ValidationError) as fault:
        SelfReport.model_validate({field: given})
    assert {error["loc"][0] for error in fault.value.errors()} == {field}


def test_an_unknown_question_is_refused() -> None:
    with pytest.raises(ValidationError, match="favourite_colour"):
        SelfReport.model_validate({"favourite_colour": "red"})


def test_words_are_not_guessed() -> None:
    for almost in ("female", "FEMALE ", "F"):
        with pytest.raises(ValidationError):
            SelfReport.model_validate({"sex_at_birth": almost})


def test_every_answer_in_scin_is_in_the_vocabulary(real_data: Path) -> None:
    with (real_data / "scin/scin_cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    several = tuple(name for name in SEVERAL if name in ScinAnswers.model_fields)
    single = set(ScinAnswers.model_fields) - set(several) - {"monk_skin_tone"}
    for row in rows:
        answers: dict[str, object] = {field: row[field] for field in single if row[field]}
        for field in several:
            derived = "race_ethnicity_two_or_more_after_mitigation"
            ticked = [
                name for name, cell in row.items() if name.startswith(f"{field}_") and cell == "YES" and name != derived
            ]
            answers[field] = [name.removeprefix(f"{field}_").upper() for name in ticked]
        SelfReport.model_validate(answers)
        for n in (1, 2, 3):
            assert not row[f"image_{n}_shot_type"] or ShotType(row[f"image_{n}_shot_type"])
