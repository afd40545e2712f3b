"""A self-report from what a person types."""

import pytest

from dermis.shared.errors import DermisError
from dermis.shared.vocabulary import SelfReport
from dermis.standalone.core.answers import choices, from_settings, self_report, takes_several


def test_the_vocabulary_is_read_from_the_self_report() -> None:
    assert choices("sex_at_birth") == ("FEMALE", "MALE", "OTHER_OR_UNSPECIFIED")
    assert choices("textures")[0] == "RAISED_OR_BUMPY"
    assert [field for field in SelfReport.model_fields if takes_several(field)] == [
        "race_ethnicity",
        "textures",
        "body_parts",
        "condition_symptoms",
        "other_symptoms",
        "warning_signs",
    ]
    assert choices("under_18") == ("TRUE", "FALSE")
    assert self_report(from_settings(["under_18=true"]), source="").under_18 is True


def test_several_values_come_by_comma_or_by_repetition() -> None:
    answers = from_settings(["body_parts=ARM,leg", "body_parts=PALM", "sex_at_birth=female"])
    assert answers == {"body_parts": ["ARM", "LEG", "PALM"], "sex_at_birth": "FEMALE"}
    assert self_report(answers, source="--set").body_parts == ("ARM", "LEG", "PALM")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["textures"], "write key=value"),
        (["texture=FLAT"], "did you mean textures?"),
        (["textures=FLATT"], "'FLATT' is no known value; did you mean FLAT?"),
        (["condition_symptoms=itching,burnin"], "did you mean BURNING?"),
        (["sex_at_birth=FEMALE,MALE"], "takes one value, not FEMALE, MALE"),
        (["sex_at_birth=FEMALE", "sex_at_birth=MALE"], "takes one value"),
        (["sex_at_birth=42"], "use one of FEMALE, MALE, OTHER_OR_UNSPECIFIED"),
        (["sex_at_birth="], "use one of FEMALE"),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(settings: list[str], said: str) -> None:
    with pytest.raises(DermisError) as caught:
        from_settings(settings)
    assert said in caught.value.detail


def test_all_faults_come_together() -> None:
    with pytest.raises(DermisError) as caught:
        from_settings(["textures=FLATT", "itch=YES", "sex_at_birth=MALE"])
    assert caught.value.detail.count("--set") == 2


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"textures": ["FLAT", "SCALEY"]}, "a.json: /textures/1: 'SCALEY' is no known value"),
        ({"age_group": "AGE_18_TO_28"}, "did you mean AGE_18_TO_29?"),
        ({"agegroup": "AGE_18_TO_29"}, "/agegroup: 'agegroup' is no known answer; did you mean age_group?"),
        ({"textures": "FLAT"}, "give a list of values such as ['RAISED_OR_BUMPY']"),
        ({"age_group": ["AGE_18_TO_29"]}, "give one value as text"),
        ({"age_group": 18}, "give one value as text"),
        ({"textures": [None]}, "/textures/0"),
    ],
)
def test_a_wrong_answer_is_named_with_its_place(answers: dict[str, object], said: str) -> None:
    with pytest.raises(DermisError) as caught:
        self_report(answers, source="a.json")
    assert said in caught.value.detail


def test_no_answer_is_an_answer_not_given() -> None:
    assert self_report({}, source="") == SelfReport()
    assert self_report({"textures": [], "age_group": None}, source="") == SelfReport()
