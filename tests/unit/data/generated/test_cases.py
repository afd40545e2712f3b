from collections import Counter
from typing import Any

import numpy as np

from dermis.data.generated.cases import CONDITIONS, case, cases
from dermis.data.generated.skin import LOOKS
from dermis.shared.manifest import AUDIT_ONLY
from dermis.shared.vocabulary import MonkSkinTone, ScinAnswers, SelfReport

SOME = [case(7, index, longest=24) for index in range(600)]


def test_a_case_is_fixed_by_seed_and_index() -> None:
    again = list(cases(7, 5, longest=24))
    for one, other in zip(SOME, again, strict=False):
        assert one.self_report == other.self_report
        assert one.condition == other.condition
        assert all(np.array_equal(a, b) for a, b in zip(one.images, other.images, strict=True))
    assert case(8, 0).self_report != case(7, 0).self_report


def test_size_changes_nothing_else() -> None:
    small, large = case(7, 3, longest=24), case(7, 3, longest=96)
    assert (small.condition, small.self_report, small.shot_types) == (
        large.condition,
        large.self_report,
        large.shot_types,
    )
    assert max(large.images[0].shape) == 96


def test_one_to_three_images_with_shot_types() -> None:
    assert {len(one.images) for one in SOME} == {1, 2, 3}
    for one in SOME:
        assert len(one.images) == len(one.shot_types) == len(set(one.shot_types))
        assert all(image.dtype == np.uint8 and image.shape[2] == 3 and max(image.shape) == 24 for image in one.images)


def test_every_condition_and_every_tone_occurs_about_as_often_as_it_should() -> None:
    conditions = Counter(one.condition for one in SOME)
    for condition in CONDITIONS:
        assert abs(conditions[condition.name] / len(SOME) - condition.share) < 0.05
    tones = Counter(one.monk_skin_tone for one in SOME)
    assert all(tones[tone] > len(SOME) / 25 for tone in MonkSkinTone)


def test_conditions_are_drawable() -> None:
    assert {condition.name for condition in CONDITIONS} == LOOKS.keys() - {"Healthy"}
    assert {condition.mimics for condition in CONDITIONS} <= LOOKS.keys()


def test_every_question_is_answered_by_some_and_left_out_by_some() -> None:
    for name in ScinAnswers.model_fields.keys() - AUDIT_ONLY:
        answered = sum(getattr(one.self_report, name) is not None for one in SOME) / len(SOME)
        assert 0.4 < answered < 0.8, name
    assert any(one.self_report == SelfReport() for one in SOME)
    assert all(getattr(one.self_report, name) is None for one in SOME for name in AUDIT_ONLY)


def test_fitzpatrick_type_and_monk_tone_go_together_but_neither_fixes_the_other() -> None:
    pairs = {
        (one.monk_skin_tone, one.self_report.fitzpatrick_skin_type)
        for one in SOME
        if one.self_report.fitzpatrick_skin_type
    }
    types_per_tone = Counter(tone for tone, _ in pairs)
    assert min(types_per_tone.values()) >= 3
    assert ("MST1", "FST6") not in pairs


def test_answers_lean_towards_the_condition() -> None:
    def share(condition: Any, field: Any, value: Any) -> Any:
        given = [getattr(one.self_report, field) for one in SOME if one.condition == condition]
        given = [answer for answer in given if answer is not None]
        return sum(value in ([answer] if isinstance(answer, str) else answer) for answer in given) / len(given)

    assert share("Acne", "related_category", "ACNE") > 0.5
    assert share("Eczema", "related_category", "ACNE") < 0.1
    assert share("Herpes Zoster", "condition_symptoms", "PAIN") > 0.5
    assert share("Tinea", "condition_symptoms", "PAIN") < 0.2
