"""From which probability on a condition says how soon: chosen on cases that the model did not learn from."""

from dataclasses import replace

import numpy as np
import pytest

from dermis.shared.manifest import AbstentionRule
from dermis.trainer.calibration.fit import CalibrationTargets, fit_trust
from dermis.trainer.calibration.urgency import urgency_threshold
from dermis.worker.core.differential import calibrate

pytestmark = pytest.mark.trainer


def test_a_condition_that_is_always_right_from_a_probability_on_speaks_from_there() -> None:
    probabilities = np.array([[0.7, 0.3], [0.6, 0.4], [0.42, 0.58]])
    target = np.array([[1, 0], [1, 0], [0, 1]], float)
    assert urgency_threshold(probabilities, target) == pytest.approx(0.51)  # right for all from 0.43 to 0.58


def test_a_miss_weighs_more_than_a_false_alarm() -> None:
    probabilities = np.array([[0.5, 0.5]] * 10)
    target = np.eye(2)[[0, 1] * 5]
    assert urgency_threshold(probabilities, target) <= 0.5, "it speaks of both rather than of none"
    rare = np.tile([0.9, 0.06, 0.02, 0.02], (100, 1))
    wrong = np.eye(4)[[0] * 94 + [1] * 6]
    assert urgency_threshold(rare, wrong) > 0.06, "not of what is right in six of a hundred cases"


def test_it_is_the_best_on_soft_targets_too_and_bad_models_speak_of_more() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(600, 5)) * 2
    sure = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    target = np.stack([rng.multinomial(20, row) for row in sure]) / 20
    chosen = urgency_threshold(sure, target)

    def score(threshold: float) -> float:
        spoken = sure >= threshold
        return float(5 * target[spoken].sum() / (4 * len(target) + spoken.sum()))

    assert all(score(chosen) >= score(n / 100) for n in range(1, 100))
    unsure = np.full_like(sure, 0.2)
    assert urgency_threshold(unsure, target) <= 0.2


def test_it_is_part_of_what_is_fitted_on_calibration_cases() -> None:
    raw = np.tile([0.7, 0.3], (40, 1))
    target = np.eye(2)[[0] * 40]
    wanted = CalibrationTargets(coverage=0.9, abstention=AbstentionRule(min_probability=0.1, max_set_size=2))
    embedding = np.zeros((40, 2))
    trust = fit_trust(
        replace(wanted, false_alarms=None),
        raw=raw,
        target=target,
        labels=target.argmax(1),
        groups=[None] * 40,
        embedding=embedding,
        training_embedding=embedding,
    )
    probabilities = calibrate(raw, trust.calibration.temperature)
    assert trust.urgency_threshold == urgency_threshold(probabilities, target) < probabilities.max()
    assert trust.urgency_calibrated_on == 40
