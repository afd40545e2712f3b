"""Calibration, ranking, prediction sets and abstention."""

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.case import OutcomeKind
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import (
    AbstentionRule,
    Calibration,
    Condition,
    ConditionGroup,
    GroupedAnswers,
    Knowledge,
    MalignantRule,
    Manifest,
    OutlierRule,
    PredictionSets,
    TextureRule,
)
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.worker.core.differential import calibrate, decide, prediction_set, rank, threshold

THRESHOLDS = {"FST_I_II": 0.3, "FST_III_IV": 0.2, "FST_V_VI": 0.1}


def manifest(
    *, temperature: float = 1, min_probability: float = 0, max_set_size: int = 9, k: int = 4, **sets: Any
) -> Manifest:
    return Manifest(
        version=1,
        purpose="demo",
        image_size=64,
        conditions=tuple(Condition(id=f"c{i}", name=f"Condition {i}") for i in range(k)),
        feature_schema="sha256:x",
        embedding_size=4,
        cam_size=(2, 2),
        calibration=Calibration(temperature=temperature),
        prediction_sets=PredictionSets(coverage=0.9, thresholds=sets or THRESHOLDS),
        abstention=AbstentionRule(min_probability=min_probability, max_set_size=max_set_size),
        files={},
    )


@st.composite
def distributions(draw: st.DrawFn) -> npt.NDArray[np.float64]:
    weights = np.array(draw(st.lists(st.floats(0, 1), min_size=2, max_size=12).filter(lambda w: sum(w) > 0.01)))
    return weights / weights.sum()


@given(p=distributions())
def test_temperature_1_changes_nothing(p: npt.NDArray[np.float64]) -> None:
    np.testing.assert_allclose(calibrate(p, 1), p, atol=1e-9)


@given(p=distributions(), temperature=st.floats(0.2, 5))
def test_calibration_keeps_the_order_and_sums_to_1(p: npt.NDArray[np.float64], temperature: float) -> None:
    calibrated = calibrate(p, temperature)
    assert calibrated.sum() == pytest.approx(1)
    assert (np.diff(calibrated[np.argsort(p)]) >= -1e-15).all()


@given(p=distributions(), low=st.floats(0.2, 1), high=st.floats(1, 5))
def test_a_higher_temperature_never_makes_the_first_more_probable(
    p: npt.NDArray[np.float64], low: float, high: float
) -> None:
    assert calibrate(p, high).max() <= calibrate(p, low).max() + 1e-12


def test_calibration_is_softmax_of_log_p_over_temperature() -> None:
    np.testing.assert_allclose(calibrate(np.array([0.8, 0.2]), 2), np.sqrt([0.8, 0.2]) / np.sqrt([0.8, 0.2]).sum())


@given(p=distributions())
def test_ties_keep_the_manifest_s_order(p: npt.NDArray[np.float64]) -> None:
    order = rank(p.round(1))
    for one, other in itertools.pairwise(order):
        assert (-p.round(1)[one], one) < (-p.round(1)[other], other)


@given(p=distributions(), low=st.floats(0, 1), high=st.floats(0, 1))
def test_sets_grow_as_thresholds_fall_and_are_never_empty(p: npt.NDArray[np.float64], low: float, high: float) -> None:
    low, high = sorted((low, high))
    small, large = prediction_set(p, high), prediction_set(p, low)
    assert (large | ~small).all()
    assert small[rank(p)[0]]


@pytest.mark.parametrize(
    ("fitzpatrick", "expected"),
    [
        ("FST1", 0.3),
        ("FST2", 0.3),
        ("FST3", 0.2),
        ("FST4", 0.2),
        ("FST5", 0.1),
        ("FST6", 0.1),
        ("NONE_IDENTIFIED", 0.1),
        (None, 0.1),
    ],
)
def test_the_threshold_follows_the_self_reported_group(fitzpatrick: str | None, expected: float) -> None:
    sets = PredictionSets(coverage=0.9, thresholds=THRESHOLDS)
    assert threshold(sets, FitzpatrickSkinType(fitzpatrick) if fitzpatrick else None) == expected


def test_a_group_without_a_threshold_gets_the_lowest() -> None:
    sets = PredictionSets(coverage=0.9, thresholds={"FST_I_II": 0.3, "FST_III_IV": 0.2})
    assert threshold(sets, FitzpatrickSkinType.FST6) == 0.2
    assert threshold(PredictionSets(coverage=0.9, thresholds={}), FitzpatrickSkinType.FST6) == 0


def test_a_differential_lists_every_condition_most_probable_first() -> None:
    decision = decide(np.array([0.1, 0.6, 0.05, 0.25], np.float32), manifest(), FitzpatrickSkinType.FST3)
    assert (decision.kind, decision.reason) == (OutcomeKind.DIFFERENTIAL, None)
    assert [(c.condition, c.name, c.in_prediction_set) for c in decision.differential] == [
        ("c1", "Condition 1", True),
        ("c3", "Condition 3", True),
        ("c0", "Condition 0", False),
        ("c2", "Condition 2", False),
    ]
    assert sum(c.probability for c in decision.differential) == pytest.approx(1)


def test_the_calibrated_probabilities_are_what_is_shown_and_judged() -> None:
    p = np.array([0.7, 0.1, 0.1, 0.1])
    decision = decide(p, manifest(temperature=4, min_probability=0.5), None)
    assert decision.differential[0].probability == pytest.approx(calibrate(p, 4)[0])
    assert decision.kind is OutcomeKind.ABSTENTION
    assert decide(p, manifest(min_probability=0.5), None).kind is OutcomeKind.DIFFERENTIAL


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"min_probability": 0.41}, "LOW_PROBABILITY"),
        ({"max_set_size": 2}, "LARGE_PREDICTION_SET"),
        ({"min_probability": 0.4}, None),
    ],
)
def test_an_abstention_keeps_the_differential_and_says_why(rule: dict[str, Any], reason: str | None) -> None:
    decision = decide(np.array([0.4, 0.3, 0.2, 0.1]), manifest(**rule), FitzpatrickSkinType.FST4)
    assert decision.reason == reason
    assert decision.kind is (OutcomeKind.ABSTENTION if reason else OutcomeKind.DIFFERENTIAL)
    assert len(decision.differential) == 4


@pytest.mark.parametrize(("score", "reason"), [(0.46, "OUT_OF_DISTRIBUTION"), (0.45, None), (None, None)])
def test_a_case_of_unusual_texture_gets_no_answer(score: float | None, reason: str | None) -> None:
    rule = TextureRule(threshold=0.45, false_alarms=0.03, calibrated_on=460)
    knowing = manifest().model_copy(update={"textures": rule})
    assert decide(np.array([0.4, 0.3, 0.2, 0.1]), knowing, None, texture_score=score).reason == reason


@pytest.mark.parametrize(("score", "reason"), [(2.6, "OUT_OF_DISTRIBUTION"), (2.5, None), (None, None)])
def test_a_stranger_is_abstained_on_whatever_its_probability(score: float | None, reason: str | None) -> None:
    rule = OutlierRule(threshold=2.5, false_alarms=0.02, calibrated_on=100)
    knowing = manifest().model_copy(update={"outliers": rule})
    p = np.array([0.97, 0.01, 0.01, 0.01])
    assert decide(p, knowing, None, outlier_score=score).reason == reason
    assert (
        decide(p, manifest(), None, outlier_score=score).reason is None
    )  # a bundle without the rule goes on as before


def test_coverage_is_not_claimed_for_a_group_that_was_pooled() -> None:
    sets = PredictionSets(coverage=0.9, thresholds=THRESHOLDS, pooled=("FST_V_VI",))  # type: ignore[arg-type]
    small = manifest().model_copy(update={"prediction_sets": sets})
    p = np.array([0.4, 0.3, 0.2, 0.1])
    assert decide(p, small, FitzpatrickSkinType.FST6).coverage is None
    assert decide(p, small, FitzpatrickSkinType.FST1).coverage == 0.9
    assert decide(p, small, None).coverage == 0.9
    assert decide(p, manifest(), FitzpatrickSkinType.FST6).coverage == 0.9


@pytest.mark.parametrize(
    "values", [[0.5, 0.5], [np.nan, 0.5, 0.3, 0.2], [-0.1, 0.5, 0.3, 0.3], [0, 0, 0, 0], [[0.25] * 4]]
)
def test_what_is_no_probability_for_each_condition_is_our_fault(values: list[Any]) -> None:
    with pytest.raises(DermisError) as caught:
        decide(np.array(values), manifest(), None)
    assert (caught.value.kind, caught.value.reason) == (Kind.INTERNAL, "MODEL_OUTPUT")


MEASURED = Knowledge(kind="growths", measured_on={"FST_I_II": 280, "FST_III_IV": 72, "FST_V_VI": 3})


@pytest.mark.parametrize(
    ("fitzpatrick", "reason"),
    [
        (None, None),
        ("NONE_IDENTIFIED", None),
        ("FST1", None),
        ("FST4", None),
        ("FST5", "NOT_MEASURED_FOR_GROUP"),
        ("FST6", "NOT_MEASURED_FOR_GROUP"),
    ],
)
def test_a_group_that_was_not_measured_gets_no_answer_unless_it_is_asked_for(
    fitzpatrick: str | None, reason: str | None
) -> None:
    knowing = manifest().model_copy(update={"knowledge": MEASURED})
    skin_type = FitzpatrickSkinType(fitzpatrick) if fitzpatrick else None
    row = np.array([0.7, 0.2, 0.05, 0.05])
    assert decide(row, knowing, skin_type).reason == reason
    assert decide(row, knowing, skin_type, answer_unmeasured=True).reason is None
    assert decide(row, manifest(), skin_type).reason is None


def test_a_group_counts_as_measured_from_the_needed_cases_on() -> None:
    assert MEASURED.not_measured == ("FST_V_VI",)
    assert Knowledge(kind="x").not_measured == ("FST_I_II", "FST_III_IV", "FST_V_VI")


@given(row=distributions(), least=st.floats(0, 1))
def test_a_set_holds_a_malignant_condition_wherever_they_reach_the_threshold(
    row: npt.NDArray[np.float64], least: float
) -> None:
    rule = MalignantRule(conditions=("c0", "c2"), threshold=least, coverage=0.95, calibrated_on={})
    of = manifest(k=len(row)).model_copy(update={"malignant": rule})
    malignant = {"c0", "c2"} & {condition.id for condition in of.conditions}
    answered = decide(row, of, None).differential
    mass = sum(ranked.probability for ranked in answered if ranked.condition in malignant)
    held = {ranked.condition for ranked in answered if ranked.in_prediction_set} & malignant
    if mass > least + 1e-9:
        assert held
    without = {r.condition for r in decide(row, manifest(k=len(row)), None).differential if r.in_prediction_set}
    assert without <= {r.condition for r in answered if r.in_prediction_set}


def in_groups(**changes: Any) -> Manifest:
    groups = (
        ConditionGroup(id="G", name="A group", conditions=("c0",)),
        ConditionGroup(id="H", name="Another", conditions=("c1",)),
    )
    sets = GroupedAnswers(coverage=0.9, threshold=0.8, calibrated_on=100, groups=groups)
    return manifest(**changes).model_copy(update={"grouped_answers": sets.model_copy(update={"largest_share": 0.5})})


def test_a_bundle_with_groups_answers_by_them_whatever_the_set_and_the_first_probability_are() -> None:
    decision = decide(np.array([0.5, 0.4, 0.06, 0.04]), in_groups(min_probability=0.9, max_set_size=1), None)
    assert decision.kind is OutcomeKind.DIFFERENTIAL
    assert decision.grouped_answer is not None
    assert [(entry.level, entry.id, entry.conditions) for entry in decision.grouped_answer.entries] == [
        ("CONDITION", "c0", ("c0",)),
        ("CONDITION", "c1", ("c1",)),
    ]
    assert decision.grouped_answer.coverage == 0.9
    assert sum(entry.probability for entry in decision.grouped_answer.entries) == pytest.approx(0.9)


def test_a_bundle_with_groups_abstains_where_none_is_sure_enough() -> None:
    sure = in_groups()
    assert sure.grouped_answers is not None
    strict = sure.model_copy(update={"grouped_answers": sure.grouped_answers.model_copy(update={"threshold": 0.99})})
    decision = decide(np.array([0.4, 0.3, 0.2, 0.1]), strict, None)
    assert (decision.kind, decision.reason) == (OutcomeKind.ABSTENTION, "NO_ANSWER_SURE_ENOUGH")
    assert decision.grouped_answer is None
    assert len(decision.differential) == 4


def test_a_bundle_without_groups_answers_as_before() -> None:
    assert decide(np.array([0.5, 0.4, 0.06, 0.04]), manifest(), None).grouped_answer is None
