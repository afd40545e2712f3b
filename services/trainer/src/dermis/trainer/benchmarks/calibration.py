"""Whether a benchmark's probabilities are right as often as they say: on labels, and on reference differentials."""

import numpy as np

from dermis.data.report.markdown import markdown_table
from dermis.trainer import metrics as measures
from dermis.trainer.benchmarks.cross_validation import HeldOut
from dermis.trainer.calibration.temperature import temperature
from dermis.trainer.metrics import Floats
from dermis.worker.core.differential import calibrate

MEANING = """Calibration error, after a temperature that was fitted to the reference differentials of the other folds.
Hard: whether the first condition is the case's top one; soft: what the reference differential gives to it. Beside each,
what a perfect model of these confidences would show: the mean, and the 95th percentile."""


def calibrated_by_other_folds(held_out: HeldOut, probabilities: Floats) -> Floats:
    """Return probabilities [N,K] at the temperature of the other folds' cases."""
    target = held_out.judged(probabilities).target
    whole = np.empty_like(probabilities)
    for fold in np.unique(held_out.fold):
        others = held_out.fold != fold
        whole[~others] = calibrate(probabilities[~others], temperature(probabilities[others], target[others]))
    return whole


def calibration_table(held_out: HeldOut) -> str:
    """Return a row for each contender: calibration error on labels and on differentials, each beside its band."""
    rows = []
    for name, probabilities in held_out.predictions.items():
        judged = held_out.judged(calibrated_by_other_folds(held_out, probabilities))
        first, one = judged.probabilities.argmax(1), np.ones((1, len(judged)))
        confidence, right = judged.probabilities.max(1), first == judged.labels
        mass = judged.target[np.arange(len(judged)), first]
        hard = measures.calibration_error(confidence, right, one)[0]
        soft = measures.calibration_error(confidence, mass, one)[0]
        rng = np.random.default_rng(0)
        hard_band = measures.perfect_calibration_error(confidence, rng)
        soft_band = measures.perfect_soft_calibration_error(confidence, mass, rng)
        rows.append([name, len(judged), f"{hard:.3f}", _band(hard_band), f"{soft:.3f}", _band(soft_band)])
    return markdown_table(["", "n", "hard", "a perfect model", "soft", "a perfect model"], rows)


def _band(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.3f}, 95th percentile {pair[1]:.3f}"
