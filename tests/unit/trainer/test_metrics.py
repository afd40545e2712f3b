"""Every measure against scikit-learn, a case worked out by hand, or a property that it must have."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from dermis.trainer import metrics as measures
from dermis.trainer.metrics import Judged

pytestmark = pytest.mark.trainer


def judged(n: int = 60, k: int = 4, seed: int = 0, *, ties: bool = False) -> Any:
    """Return perfectly calibrated probabilities with labels drawn from them."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(k, 0.6), n)
    if ties:
        probabilities = np.round(probabilities, 1) + 1e-3
        probabilities /= probabilities.sum(1, keepdims=True)
    labels = (rng.uniform(size=(n, 1)) > probabilities.cumsum(1)).sum(1).clip(0, k - 1)
    target = 0.7 * np.eye(k)[labels] + 0.3 * rng.dirichlet(np.ones(k), n)
    sets = probabilities >= 0.2
    sets[np.arange(n), probabilities.argmax(1)] = True
    answered, fold = probabilities.max(1) > 0.4, np.zeros(n, int)
    return Judged(probabilities=probabilities, labels=labels, target=target, sets=sets, answered=answered, fold=fold)


def some_weights(n: Any, seed: int = 0, rows: int = 3) -> Any:
    drawn = np.random.default_rng(seed).integers(0, 4, (rows, n)).astype(np.float32)
    return np.concatenate([np.ones((1, n), np.float32), drawn])


@pytest.mark.parametrize("ties", [False, True])
def test_figures_are_scikit_learns(ties: bool) -> None:
    made = judged(n=200, ties=ties)
    weights = some_weights(200)
    found = measures.figures(made, weights)
    said, labels = np.argsort(-made.probabilities, axis=1, kind="stable")[:, 0], made.labels
    one_hot = np.eye(4)[labels]
    for row, w in enumerate(weights):
        expected = {
            "top_1": metrics.accuracy_score(labels, said, sample_weight=w),
            "balanced_accuracy": metrics.balanced_accuracy_score(labels, said, sample_weight=w),
            "macro_precision": metrics.precision_score(labels, said, average="macro", sample_weight=w, zero_division=0),
            "macro_recall": metrics.recall_score(labels, said, average="macro", sample_weight=w),
            "macro_f1": metrics.f1_score(labels, said, average="macro", sample_weight=w),
            "macro_auroc": metrics.roc_auc_score(one_hot, made.probabilities, average="macro", sample_weight=w),
            "mean_average_precision": metrics.average_precision_score(
                one_hot, made.probabilities, average="macro", sample_weight=w
            ),
            "brier": metrics.brier_score_loss(
                labels, made.probabilities, labels=range(4), sample_weight=w, scale_by_half=False
            ),
        }
        if not ties:
            expected["top_3"] = metrics.top_k_accuracy_score(
                labels, made.probabilities, k=3, labels=range(4), sample_weight=w
            )
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value, abs=1e-6), name


@given(seed=st.integers(0, 500), n=st.integers(2, 40), ties=st.booleans())
def test_weights_are_repetitions(seed: Any, n: Any, ties: Any) -> None:
    made, weights = judged(n=n, seed=seed, ties=ties), some_weights(n, seed)
    found = measures.figures(made, weights)
    for row, w in enumerate(weights):
        if w.sum() == 0:
            continue
        repeated = made.at(np.repeat(np.arange(n), w.astype(int)))
        alone = measures.figures(repeated, np.ones((1, len(repeated)), np.float32))
        for name in found:
            if "risk_at" in name:
                continue  # an exact share may fall between two repetitions of one case
            assert found[name][row] == pytest.approx(alone[name][0], abs=1e-5, nan_ok=True), name


def test_what_says_nothing_but_its_folds_prior_ranks_nothing() -> None:
    rng = np.random.default_rng(0)
    fold, labels = np.arange(300) % 5, rng.integers(0, 4, 300)
    others = np.stack([np.bincount(labels[fold != each], minlength=4) / (fold != each).sum() for each in range(5)])
    constant = dataclasses.replace(judged(n=300), probabilities=others[fold], labels=labels, fold=fold)
    weights = some_weights(300)
    assert measures.of_ranking(constant, weights)["macro_auroc"] == pytest.approx(0.5)
    pooled = dataclasses.replace(constant, fold=np.zeros(300, int))
    assert measures.of_ranking(pooled, weights)["macro_auroc"][0] < 0.49


@given(seed=st.integers(0, 100))
def test_a_fold_alone_is_ranked_as_ever_and_folds_are_weighted_by_their_pairs(seed: Any) -> None:
    made = dataclasses.replace(judged(n=60, seed=seed), fold=np.repeat([0, 1], [20, 40]))
    positive = made.labels == 1
    area, precision = measures.ranking(made.probabilities[:, 1], positive, made.fold, np.ones((1, 60)))
    alone = []
    for here in (made.fold == 0, made.fold == 1):
        named, scores = positive[here], made.probabilities[here, 1]
        if named.any() and not named.all():
            pairs = named.sum() * (~named).sum()
            alone.append(
                (
                    metrics.roc_auc_score(named, scores),
                    pairs,
                    metrics.average_precision_score(named, scores),
                    named.sum(),
                )
            )
    if alone:
        areas, pairs, precisions, positives = np.array(alone).T
        assert area[0] == pytest.approx(np.average(areas, weights=pairs))
        assert precision[0] == pytest.approx(np.average(precisions, weights=positives))


def test_strangers_are_told_apart_as_scikit_learn_says() -> None:
    rng = np.random.default_rng(0)
    base, other = rng.normal(size=40).round(1), rng.normal(0.7, 1, 30).round(1)
    one, two = some_weights(40), some_weights(30, seed=1)
    found = measures.told_apart(base, other, one, two)
    for row in range(len(one)):
        expected = metrics.roc_auc_score(
            [0] * 40 + [1] * 30, np.r_[base, other], sample_weight=np.r_[one[row], two[row]]
        )
        assert found[row] == pytest.approx(expected)


def test_hits_and_floors_by_hand() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]])
    labels = np.array([0, 1, 1])
    target = np.array([[0.6, 0.4, 0.0], [0.0, 1.0, 0.0], [0.25, 0.5, 0.25]])
    assert measures.hits(probabilities, labels, top=1).tolist() == [True, False, False]  # of equals the first counts
    assert measures.hits(probabilities, labels, top=2).tolist() == [True, False, True]
    assert measures.soft_hits(probabilities, target, top=1).tolist() == [0.6, 0.0, 0.25]
    assert measures.soft_hits(probabilities, target, top=2).tolist() == pytest.approx([1.0, 0.0, 0.75])
    prior = np.array([0.2, 0.5, 0.3])
    assert measures.floor(labels, prior, top=1) == pytest.approx(2 / 3)
    assert measures.soft_floor(target, prior, top=1) == pytest.approx((0.4 + 1 + 0.5) / 3)


def test_calibration_error_by_hand() -> None:
    one = np.ones((1, 4))
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    assert measures.calibration_error(confidence, np.array([1, 1, 1, 0]), one)[0] == pytest.approx((0.1 + 0.1) / 4)
    assert measures.calibration_error(confidence, np.array([0.95, 0.95, 0.5, 0.6]), one)[0] == pytest.approx(0)
    assert measures.calibration_error(np.ones(3), np.ones(3, bool), np.ones((1, 3)))[0] == 0


def test_the_risk_curve_by_hand() -> None:
    confidence, wrong = np.array([0.9, 0.5, 0.7, 0.5]), np.array([False, True, True, False])
    share, risk = measures.risk_curve(confidence, wrong, np.ones((1, 4)))
    assert share[0].tolist() == [0.25, 0.5, 1, 1]  # the two of 0.5 are answered together
    assert risk[0].tolist() == [0, 0.5, 0.5, 0.5]
    assert measures.of_selection(confidence, wrong, np.ones((1, 4)))["aurc"][0] == pytest.approx(
        (0 + 0.5 + 0.5 + 0.5) / 4
    )
    assert measures.of_selection(confidence, wrong, np.ones((1, 4)))["risk_at_50_percent"][0] == 0.5


@given(seed=st.integers(0, 300))
def test_a_better_order_never_has_more_area_under_its_risk(seed: Any) -> None:
    rng = np.random.default_rng(seed)
    wrong = rng.uniform(size=50) < 0.4
    one = np.ones((1, 50))
    best = measures.of_selection(np.where(wrong, 0.0, 1.0) + rng.uniform(size=50) / 10, wrong, one)["aurc"][0]
    any_order = measures.of_selection(rng.uniform(size=50), wrong, one)["aurc"][0]
    worst = measures.of_selection(np.where(wrong, 1.0, 0.0) + rng.uniform(size=50) / 10, wrong, one)["aurc"][0]
    assert best <= any_order <= worst


def test_a_perfect_model_lands_inside_its_band_and_a_biased_one_does_not() -> None:
    rng = np.random.default_rng(0)
    inside: list[Any] = []
    biased: list[Any] = []
    soft_inside: list[Any] = []
    soft_biased: list[Any] = []
    for seed in range(60):
        made = judged(n=400, seed=seed)
        confidence = made.probabilities.max(1)
        right = measures.hits(made.probabilities, made.labels, top=1)
        one = np.ones((1, 400))
        _, high = measures.perfect_calibration_error(confidence, rng, draws=200)
        inside.append(measures.calibration_error(confidence, right, one)[0] <= high)
        bold = confidence**0.5
        _, high = measures.perfect_calibration_error(bold, rng, draws=200)
        biased.append(measures.calibration_error(bold, right, one)[0] <= high)
        mass = np.clip(confidence + 0.3 * rng.uniform(-1, 1, 400) * (1 - confidence), 0, 1)  # mean: the confidence
        for shown, verdicts in ((confidence, soft_inside), (bold, soft_biased)):
            _, high = measures.perfect_soft_calibration_error(shown, mass, rng, draws=200)
            verdicts.append(measures.calibration_error(shown, mass, one)[0] <= high)
    assert np.mean(inside) >= 0.85
    assert np.mean(biased) == 0
    assert np.mean(soft_inside) >= 0.85
    assert np.mean(soft_biased) == 0


def test_what_a_perfect_set_shows_is_what_it_shows() -> None:
    low, top = measures.perfect_coverage(0.9, np.random.default_rng(0), calibrated_on=700, n=1000)
    assert 0.86 < low < 0.89
    assert 0.91 < top < 0.94


def test_whole_groups_are_drawn() -> None:
    groups = ["a", "a", "b", "c", "c", "c"]
    weights = measures.draw_weights(groups, np.random.default_rng(0), draws=500)
    assert weights.shape == (501, 6)
    assert (weights[0] == 1).all()
    for members in ((0, 1), (3, 4, 5)):
        assert (weights[:, list(members)] == weights[:, [members[0]]]).all()
    assert (weights[:, [0, 2, 3]].sum(1) == 3).all()
    assert weights[1:].mean() == pytest.approx(1, abs=0.1)


def test_the_interval_covers_as_often_as_it_says_and_connected_cases_widen_it() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(100):
        values = np.repeat(rng.uniform(size=60) < 0.4, 3)  # three cases of one group say one thing
        groups = [str(n // 3) for n in range(180)]
        low, high = measures.interval(measures.mean(values, measures.draw_weights(groups, rng, draws=300)))
        held.append(low <= 0.4 <= high)
        alone = measures.interval(
            measures.mean(values, measures.draw_weights([str(n) for n in range(180)], rng, draws=300))
        )
        assert alone[1] - alone[0] < high - low
    assert np.mean(held) >= 0.87


def test_a_figure_without_a_value_has_no_interval() -> None:
    made = judged(n=12)
    only = dataclasses.replace(made, labels=np.zeros(12, int))
    found = measures.figures(only, some_weights(12))
    assert np.isnan(found["macro_auroc"]).all()
    assert measures.interval(found["macro_auroc"]) is None


def test_a_chance_gap_is_what_chance_gives() -> None:
    rng = np.random.default_rng(0)
    slices = ["one"] * 150 + ["other"] * 50
    seen = []
    for _ in range(200):
        values = rng.uniform(size=200) < 0.7
        seen.append(abs(values[:150].mean() - values[150:].mean()))
    mean, high = measures.chance_gap(values, [str(n) for n in range(200)], slices, rng)
    assert mean == pytest.approx(np.mean(seen), abs=0.015)
    assert 0.88 <= np.mean(np.array(seen) <= high) <= 0.99


def test_agreement_of_graders_by_hand() -> None:
    graders = [
        [{"eczema": 0.7, "acne": 0.3}, {"eczema": 1.0}],
        [{"eczema": 1.0}, {"acne": 0.6, "eczema": 0.4}],
        [{"acne": 1.0}],
        [],
    ]
    found = measures.agreement_of_graders(graders, list("abcd"), np.random.default_rng(0))
    assert found["n"] == 2
    assert found["top_1"] == 0.5
    assert found["soft"] == pytest.approx(((1 + 0.7) / 2 + (0.4 + 0.0) / 2) / 2)
    assert found["any"] == pytest.approx((1 + 0.5) / 2)
    assert found["top_1_interval"] is None  # two groups say nothing of the spread
    assert measures.agreement_of_graders([[{"acne": 1.0}]], ["a"], np.random.default_rng(0)) == {"n": 0}
