from typing import get_args

import numpy as np
import pytest

from dermis.shared.manifest import FitzpatrickGroup, PredictionSets
from dermis.shared.vocabulary import FitzpatrickSkinType, SelfReport
from dermis.trainer.core import measures
from dermis.trainer.core.calibrate import group_thresholds, set_threshold, temperature
from dermis.trainer.core.samples import Sample
from dermis.trainer.core.sources import slices
from dermis.trainer.inputs import fitzpatrick_groups
from dermis.worker.core.differential import calibrate, threshold


def draw(n, seed=0, conditions=5):
    """Return perfectly calibrated probabilities and labels drawn from them."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(conditions, 0.5), n)
    labels = (rng.uniform(size=(n, 1)) > probabilities.cumsum(1)).sum(1).clip(0, conditions - 1)
    return probabilities, labels


@pytest.mark.parametrize("true", [0.5, 1.0, 2.0])
def test_temperature_is_found_again(true):
    probabilities, labels = draw(20_000)
    assert temperature(calibrate(probabilities, 1 / true), labels) == pytest.approx(true, rel=0.05)


def test_sets_cover_as_promised():
    known, new = draw(2000, seed=1), draw(20_000, seed=2)
    least = set_threshold(*known, coverage=0.9)
    covered = new[0][np.arange(20_000), new[1]] >= least
    assert covered.mean() == pytest.approx(0.9, abs=0.02)


def test_threshold_is_the_kth_smallest_and_zero_where_cases_are_too_few():
    probabilities = np.linspace(0.1, 1.0, 10)[:, None]
    labels = np.zeros(10, int)
    assert set_threshold(probabilities, labels, coverage=0.9) == pytest.approx(0.1)  # floor(11 * 0.1) = 1
    assert set_threshold(probabilities, labels, coverage=0.8) == pytest.approx(0.2)
    assert set_threshold(probabilities[:8], labels[:8], coverage=0.9) == 0.0


def test_each_group_has_its_own_threshold_and_a_small_one_that_of_all():
    probabilities, labels = draw(300)
    groups = ["FST_I_II"] * 150 + ["FST_III_IV"] * 140 + [None] * 10
    found = group_thresholds(probabilities, labels, groups, coverage=0.9)
    assert found["FST_I_II"] == pytest.approx(set_threshold(probabilities[:150], labels[:150], coverage=0.9), abs=1e-6)
    assert found["FST_V_VI"] == pytest.approx(set_threshold(probabilities, labels, coverage=0.9), abs=1e-6)
    assert found["FST_I_II"] != found["FST_III_IV"]


def test_groups_are_the_workers():
    thresholds = {group: (n + 1) / 10 for n, group in enumerate(get_args(FitzpatrickGroup))}
    sets = PredictionSets(coverage=0.9, thresholds=thresholds)
    reports = tuple(SelfReport(fitzpatrick_skin_type=fst) for fst in (*FitzpatrickSkinType, None))
    samples = [
        Sample(id=str(n), group=str(n), images=(), report=report, target={}, top=None, slices=slices(report, 0))
        for n, report in enumerate(reports)
    ]
    for report, group in zip(reports, fitzpatrick_groups(samples), strict=True):
        assert threshold(sets, report.fitzpatrick_skin_type) == (thresholds[group] if group else 0.1)


def test_hits_and_floor_by_hand():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]])
    labels = np.array([0, 1, 1])
    assert measures.hits(probabilities, labels, top=1).tolist() == [True, False, False]  # of equals the first counts
    assert measures.hits(probabilities, labels, top=2).tolist() == [True, False, True]
    assert measures.floor(labels, np.array([0.2, 0.5, 0.3]), top=1) == pytest.approx(2 / 3)


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    assert measures.calibration_error(confidence, np.array([True, True, True, False])) == pytest.approx((0.1 + 0.1) / 4)
    assert measures.calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_what_a_perfect_model_shows_is_what_it_shows():
    rng = np.random.default_rng(0)
    probabilities, _ = draw(500)
    mean, high = measures.perfect_calibration_error(probabilities.max(1), rng, draws=300)
    seen = []
    for seed in range(100):
        sample, labels = draw(500, seed=seed)
        seen.append(measures.calibration_error(sample.max(1), measures.hits(sample, labels, top=1)))
    assert np.mean(seen) == pytest.approx(mean, abs=0.005)
    assert 0.85 < np.mean(np.array(seen) <= high) <= 1
    low, top = measures.perfect_coverage(0.9, rng, calibrated_on=700, n=1000)
    assert 0.86 < low < 0.89
    assert 0.91 < top < 0.94


def test_interval_holds_the_mean_and_shrinks_with_n():
    rng = np.random.default_rng(0)
    few, many = (measures.interval(rng.uniform(size=n) < 0.7, rng) for n in (50, 5000))
    assert few[0] < 0.7 < few[1]
    assert many[1] - many[0] < 0.2 * (few[1] - few[0])
