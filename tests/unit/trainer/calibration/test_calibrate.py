"""Calibration: what it finds again, what it promises, and what crepes makes of the same cases."""

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.data.samples import NOT_GIVEN
from dermis.shared.manifest import AbstentionRule, Condition, ConditionGroup, FitzpatrickGroup, PredictionSets
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.trainer.calibration.calibrate import (
    abstention_rule,
    fewest,
    malignant_rule,
    prediction_sets,
    set_threshold,
)
from dermis.trainer.calibration.fit import CalibrationTargets, fit_trust
from dermis.trainer.calibration.grouped_answers import fit_grouped_answers
from dermis.trainer.calibration.temperature import temperature
from dermis.trainer.evaluation.slices import fitzpatrick_groups
from dermis.trainer.metrics import hits
from dermis.worker.core.condition_groups import grouped_answer
from dermis.worker.core.differential import calibrate, prediction_set, threshold
from tests.unit.trainer.made import predictions

pytestmark = pytest.mark.trainer


def draw(n: Any, seed: int = 0, conditions: int = 5, ambiguity: Any = None) -> Any:
    """Return perfectly calibrated probabilities and targets.

    Targets are one-hot, or with `ambiguity` soft ones whose mean is the probability.
    """
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(conditions, 0.5), n)
    if ambiguity:
        return probabilities, np.stack([rng.dirichlet(np.maximum(row, 1e-3) * ambiguity) for row in probabilities])
    labels = (rng.uniform(size=(n, 1)) > probabilities.cumsum(1)).sum(1).clip(0, conditions - 1)
    return probabilities, np.eye(conditions)[labels]


@pytest.mark.parametrize("ambiguity", [None, 3.0])
@pytest.mark.parametrize("true", [0.5, 1.0, 2.0])
def test_temperature_is_found_again(true: float, ambiguity: float | None) -> None:
    probabilities, target = draw(8000, ambiguity=ambiguity)
    assert temperature(calibrate(probabilities, 1 / true), target) == pytest.approx(true, rel=0.07)


@pytest.mark.parametrize("ambiguity", [None, 1.0, 5.0])
def test_sets_cover_as_promised(ambiguity: float | None) -> None:
    calibration, new = draw(2000, seed=1, ambiguity=ambiguity), draw(20_000, seed=2, ambiguity=ambiguity)
    least = set_threshold(*calibration, coverage=0.9)
    assert ((new[0] >= least) * new[1]).sum(1).mean() == pytest.approx(0.9, abs=0.02)


def test_threshold_is_the_kth_smallest_and_zero_where_cases_are_too_few() -> None:
    probabilities, target = np.linspace(0.1, 1.0, 10)[:, None], np.ones((10, 1))
    assert set_threshold(probabilities, target, coverage=0.9) == pytest.approx(0.1)  # floor(11 * 0.1) = 1
    assert set_threshold(probabilities, target, coverage=0.8) == pytest.approx(0.2)
    assert set_threshold(probabilities[:9], target[:9], coverage=0.9) == pytest.approx(0.1)  # floor(10 * 0.1) = 1
    assert set_threshold(probabilities[:8], target[:8], coverage=0.9) == 0.0


@given(n=st.integers(5, 60), seed=st.integers(0, 999), coverage=st.sampled_from([0.7, 0.8, 0.9]))
def test_one_hot_is_the_order_statistic(n: Any, seed: Any, coverage: Any) -> None:
    probabilities, target = draw(n, seed)
    right = np.sort(probabilities[target > 0])
    k = int(np.floor((n + 1) * (1 - coverage) + 1e-9))
    assert set_threshold(probabilities, target, coverage=coverage) == (right[k - 1] if k else 0.0)


@given(seed=st.integers(0, 999), n=st.integers(20, 80))
def test_a_higher_coverage_never_has_a_higher_threshold(seed: Any, n: Any) -> None:
    probabilities, target = draw(n, seed, ambiguity=2.0)
    sets = [set_threshold(probabilities, target, coverage=coverage) for coverage in (0.6, 0.7, 0.8, 0.9, 0.95)]
    assert sets == sorted(sets, reverse=True)


def test_each_group_has_its_own_threshold_and_a_small_one_that_of_all() -> None:
    probabilities, target = draw(400)
    groups = ["FST_I_II"] * 190 + ["FST_III_IV"] * 180 + ["FST_V_VI"] * 20 + [None] * 10
    sets = prediction_sets(probabilities, target, groups, coverage=0.9)  # type: ignore[arg-type]
    assert sets.thresholds["FST_I_II"] == pytest.approx(
        set_threshold(probabilities[:190], target[:190], coverage=0.9), abs=1e-6
    )
    assert sets.thresholds["FST_V_VI"] == pytest.approx(set_threshold(probabilities, target, coverage=0.9), abs=1e-6)
    assert sets.thresholds["FST_I_II"] != sets.thresholds["FST_III_IV"]
    assert sets.pooled == ("FST_V_VI",)
    assert sets.calibrated_on == {"FST_I_II": 190, "FST_III_IV": 180, "FST_V_VI": 20}


def test_groups_are_the_workers() -> None:
    thresholds = {group: (n + 1) / 10 for n, group in enumerate(get_args(FitzpatrickGroup))}
    sets = PredictionSets(coverage=0.9, thresholds=thresholds)
    types = (*FitzpatrickSkinType, None)
    made = predictions(n=len(types))
    cut = {**made.slices, "fitzpatrick_self": tuple(fst or NOT_GIVEN for fst in types)}
    for fst, group in zip(types, fitzpatrick_groups(dataclasses.replace(made, slices=cut)), strict=True):
        assert threshold(sets, fst) == (thresholds[group] if group else 0.1)


def test_the_fewest_cases_are_those_that_hold_the_margin() -> None:
    n = fewest(0.9)
    rng = np.random.default_rng(0)
    for size, holds in ((n, True), (n // 3, False)):
        k = int(np.floor((size + 1) * 0.1 + 1e-9))
        assert (np.quantile(rng.beta(size + 1 - k, k, 200_000), 0.05) >= 0.85 - 0.001) is np.bool_(holds)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_are_those_of_crepes(coverage: float) -> None:
    crepes = pytest.importorskip("crepes")
    calibration, new = draw(499, seed=3), draw(300, seed=4)
    bins, new_bins = (np.random.default_rng(n).integers(0, 2, size) for n, size in ((5, 499), (6, 300)))
    reference = crepes.ConformalClassifier()
    reference.fit(1 - calibration[0][calibration[1] > 0], bins=bins)
    theirs = reference.predict_set(1 - new[0], bins=new_bins, confidence=coverage, smoothing=False).astype(bool)
    names = np.array(["FST_I_II", "FST_III_IV"])
    found = prediction_sets(*calibration, list(names[bins]), coverage=coverage).thresholds  # type: ignore[arg-type, misc]
    ours = np.stack([row >= found[names[b]] - 5e-7 for row, b in zip(new[0], new_bins, strict=True)])
    assert np.array_equal(ours, theirs)
    assert (
        ours.any(1).mean() > 0.9
    )  # and the worker's sets are these, with the most probable one added where they are empty
    served = np.stack([prediction_set(row, found[names[b]]) for row, b in zip(new[0], new_bins, strict=True)])
    assert np.array_equal(served[ours.any(1)], ours[ours.any(1)])


def test_the_abstention_rule_keeps_its_risk_as_often_as_promised() -> None:
    new, target = draw(20_000, seed=999)
    wrong = ~hits(new, target.argmax(1), top=1)
    kept, answered = [], []
    for seed in range(60):
        calibration, known_target = draw(1500, seed=seed)
        rule = abstention_rule(
            calibration, known_target.argmax(1), np.ones(1500, int), max_set_size=5, top=1, risk=0.3, confidence=0.9
        )
        if rule is None:  # none claimed: nothing broken
            answered.append(0)
            continue
        kept.append(wrong[new.max(1) >= rule.min_probability].mean() <= 0.3)
        answered.append((calibration.max(1) >= rule.min_probability).mean())
        assert rule.chosen_for.answered == pytest.approx(answered[-1], abs=1e-4)
    assert np.mean(kept) >= 0.9 - 2 * np.sqrt(0.09 / 60)
    assert np.mean(answered) > 0.1


def test_no_abstention_rule_where_the_risk_can_not_be_kept() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(5), 200)
    assert (
        abstention_rule(probabilities, rng.integers(0, 5, 200), np.ones(200, int), max_set_size=5, top=1, risk=0.05)
        is None
    )
    assert (
        abstention_rule(probabilities, probabilities.argmax(1), np.full(200, 6), max_set_size=5, top=1, risk=0.3)
        is None
    )
    always = abstention_rule(probabilities, probabilities.argmax(1), np.ones(200, int), max_set_size=5, top=1, risk=0.3)
    assert always.chosen_for.answered == 1


def test_trust_is_all_of_it_together() -> None:
    raw, target = draw(1200, seed=5)
    groups = [("FST_I_II", "FST_III_IV", "FST_V_VI", None)[n % 4] for n in range(1200)]
    embedding = np.random.default_rng(0).normal(size=(1200, 12))
    by_hand = AbstentionRule(min_probability=0.1, max_set_size=5)
    calibration = {"raw": raw, "target": target, "labels": target.argmax(1), "groups": groups}
    calibration |= {"embedding": embedding[600:], "training_embedding": embedding[:600]}
    plain = fit_trust(CalibrationTargets(coverage=0.9, abstention=by_hand), **calibration)
    assert (plain.abstention, plain.outliers, plain.outlier_statistics) == (by_hand, None, None)
    assert plain.calibration.temperature == pytest.approx(1, abs=0.1)
    assert plain.prediction_sets.pooled == ()
    whole = fit_trust(CalibrationTargets(coverage=0.9, abstention=by_hand, risk=0.2, false_alarms=0.05), **calibration)
    assert whole.abstention.chosen_for.top == 3
    answered = calibrate(raw, whole.calibration.temperature).max(1) >= whole.abstention.min_probability
    assert (~hits(raw, target.argmax(1), top=3))[answered].mean() <= 0.2
    assert (whole.outlier_statistics.score(embedding[600:]) > whole.outliers.threshold).mean() <= 0.05
    assert (
        fit_trust(CalibrationTargets(coverage=0.9, abstention=by_hand, risk=1e-4), **calibration).abstention == by_hand
    )


CONDITIONS = tuple(Condition(id=f"C{n}", name=f"c{n}") for n in range(5))


def test_each_malignant_label_is_held_as_often_as_is_promised() -> None:
    (calibration, target), (new, new_target) = draw(4000, seed=3), draw(20_000, seed=4)
    rule = malignant_rule(calibration, target.argmax(1), CONDITIONS, ["c1", "c3"], coverage=0.95)
    assert rule.conditions == ("C1", "C3")
    for label in (1, 3):
        here = new_target.argmax(1) == label
        assert (new[here][:, [1, 3]].sum(1) >= rule.threshold).mean() >= 0.94


def test_a_malignant_label_with_too_few_cases_makes_every_set_hold_one() -> None:
    probabilities, target = draw(400, seed=5)
    labels = target.argmax(1)
    labels[np.flatnonzero(labels == 1)[18:]] = 0
    few = malignant_rule(probabilities, labels, CONDITIONS, ["c1", "c3"], coverage=0.95)
    assert (few.threshold, few.calibrated_on["C1"]) == (0.0, 18)
    assert malignant_rule(probabilities, labels, CONDITIONS, [], coverage=0.95) is None


def test_trust_answers_by_groups_where_a_taxonomy_is_named() -> None:
    raw, target = draw(600, seed=7)
    names = ["Eczema", "Psoriasis", "Impetigo", "Tinea", "Scabies", "Acne", "Melanoma", "Vitiligo"][: raw.shape[1]]
    conditions = [Condition(id=name.upper(), name=name) for name in names]
    wanted = CalibrationTargets(
        coverage=0.9, abstention=AbstentionRule(min_probability=0, max_set_size=9), taxonomy="scin"
    )
    inputs = {"raw": raw, "target": target, "labels": target.argmax(1), "groups": [None] * 600}
    inputs |= {"embedding": np.zeros((600, 2)), "training_embedding": np.zeros((600, 2))}
    sets = fit_trust(wanted, conditions=conditions, **inputs).grouped_answers
    assert sets is not None
    assert sets.taxonomy.startswith("scin/1 sha256:")
    assert (sets.coverage, sets.calibrated_on, sets.most_entries) == (0.9, 600, 3)
    assert {name for group in sets.groups for name in group.conditions} == {each.id for each in conditions}


def test_answers_over_groups_hold_their_coverage_of_new_cases() -> None:
    groups = [ConditionGroup(id=f"G{n}", name="", conditions=(f"C{2 * n}", f"C{2 * n + 1}")) for n in range(4)]
    conditions = [Condition(id=f"C{n}", name="") for n in range(8)]
    rng, covered = np.random.default_rng(0), []
    for _ in range(40):
        probabilities = rng.dirichlet(np.full(8, 0.5), 400)
        target = np.stack([rng.multinomial(1, row) for row in probabilities]).astype(float)
        sets = fit_grouped_answers(probabilities[:200], target[:200], conditions, groups, coverage=0.8)
        for row, drawn in zip(probabilities[200:], target[200:], strict=True):
            answer = grouped_answer(row, conditions, sets)
            covered.append(1.0 if answer is None else drawn[answer.places].sum())
    assert np.mean(covered) == pytest.approx(0.8, abs=0.02)
