"""Rows and curves of each condition, held against scikit-learn."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.conditions import MACRO, POINTS, condition_rows, ranking_curves
from dermis.trainer.evaluation.decisions import decided
from dermis.trainer.registry.gate import N_MIN
from tests.unit.trainer.made import manifest, predictions

pytestmark = pytest.mark.trainer


@pytest.fixture(scope="module")
def made() -> Any:
    return predictions(n=400)


def rows_of(made: Any) -> Any:
    judged, _ = decided(manifest(), made)
    weights = measures.draw_weights(made.groups, np.random.default_rng(0), draws=50)
    return judged, condition_rows(manifest(), judged, weights, made.groups)


def test_a_row_is_what_scikit_learn_says_of_the_condition_against_the_rest(made: Any) -> None:
    judged, rows = rows_of(made)
    assert [row.n for row in rows] == np.bincount(judged.labels).tolist()
    for k, row in enumerate(rows):
        here, scores = judged.labels == k, judged.probabilities[:, k]
        assert row.auroc.value == pytest.approx(roc_auc_score(here, scores), abs=1e-4)
        assert row.average_precision.value == pytest.approx(average_precision_score(here, scores), abs=1e-4)
        right = (judged.probabilities[here].argmax(1) == k).mean()
        assert row.sensitivity.value == pytest.approx(right, abs=1e-4)
        assert row.auroc.interval[0] <= row.auroc.value <= row.auroc.interval[1]


def test_the_areas_of_the_curves_are_auroc_and_average_precision_of_one_fold_and_of_several(made: Any) -> None:
    folds = replace(made, fold=np.arange(len(made)) % 2)
    for each in (made, folds):
        judged, rows = rows_of(each)
        macro, *others = ranking_curves(manifest(), judged, n_min=1)
        assert (macro.of, macro.n, len(others)) == (MACRO, len(judged), len(rows))
        for row, curve in zip(rows, others, strict=True):
            assert (curve.of, curve.n) == (row.condition, row.n)
            assert len(curve.roc) == len(curve.precision_recall) == POINTS
            across, up = np.array(curve.roc).T
            assert np.trapezoid(up, across) == pytest.approx(row.auroc.value, abs=0.01)
            assert np.mean([precision for _, precision in curve.precision_recall]) == pytest.approx(
                row.average_precision.value, abs=0.01
            )
        assert macro.roc[20][1] == pytest.approx(np.mean([curve.roc[20][1] for curve in others]), abs=1e-4)


def test_a_condition_of_few_cases_has_a_row_but_no_curve(made: Any) -> None:
    judged, rows = rows_of(made)
    here = (judged.labels != 0) | (np.cumsum(judged.labels == 0) <= 5)
    few = judged.at(here)
    curves = {curve.of: curve.n for curve in ranking_curves(manifest(), few, n_min=N_MIN)}
    assert rows[0].condition not in curves
    assert curves[MACRO] == len(few)
    enough = {row.condition for row in rows[1:] if row.n >= N_MIN}
    assert enough == set(curves) - {MACRO}
    assert enough
