"""The probability from which a condition says how soon to have a case looked at."""

import numpy as np

from dermis.trainer.metrics import Floats

_MISS_WEIGHT = 2.0
"""To keep silent about the condition that it is weighs as much as to speak of two that it is not, squared: F2."""


def urgency_threshold(probabilities: Floats, target: Floats) -> float:
    """Return the threshold, in hundredths, with the best F2 over all pairs of case and condition; of equals the middle.

    `probabilities` [N,K] are calibrated, of cases that the model did not learn from; `target` [N,K]: their reference
    differentials. A condition counts as spoken of from the threshold on (F measure: van Rijsbergen 1979).
    """
    thresholds = np.arange(1, 100) / 100
    scores = []
    for threshold in thresholds:
        spoken = probabilities >= threshold
        right = target[spoken].sum()
        scores.append((1 + _MISS_WEIGHT**2) * right / (_MISS_WEIGHT**2 * target.sum() + spoken.sum()))
    best = np.flatnonzero(np.isclose(scores, max(scores)))
    return float(thresholds[best[len(best) // 2]])
