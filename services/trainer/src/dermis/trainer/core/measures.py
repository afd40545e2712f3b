"""Measures of a differential, each with what chance or a perfect model would show at the same n."""

import numpy as np
import numpy.typing as npt

from dermis.trainer.core.calibrate import Floats, Ints

Hits = npt.NDArray[np.bool_]


def hits(probabilities: Floats, labels: Ints, *, top: int) -> Hits:
    """Return bool[N]: is the condition among the `top` most probable ones; of equal ones the first counts."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return np.asarray((ranked == labels[:, None]).any(1))


def floor(labels: Ints, prior: Floats, *, top: int) -> float:
    """Return the hit rate of the best constant list, chosen by the `prior` of the training cases."""
    return float(hits(np.tile(prior, (len(labels), 1)), labels, top=top).mean())


def calibration_error(confidence: Floats, right: Hits, *, bins: int = 10) -> float:
    """Return the expected calibration error over equal-width bins (Naeini et al. 2015)."""
    where = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gaps = [abs(confidence[where == b].sum() - right[where == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(confidence))


def perfect_calibration_error(confidence: Floats, rng: np.random.Generator, *, draws: int = 1000) -> tuple[float, float]:
    """Return mean and 95th percentile of the error that perfectly calibrated confidences would show by chance."""
    errors = [calibration_error(confidence, rng.uniform(size=len(confidence)) < confidence) for _ in range(draws)]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def perfect_coverage(coverage: float, rng: np.random.Generator, *, calibrated_on: int, n: int, draws: int = 10_000) -> tuple[float, float]:
    """Return the middle 95 % of the coverage seen on n cases with an exact threshold from `calibrated_on` cases.

    The true coverage is Beta distributed (Vovk 2012), the coverage seen binomial given that.
    """
    k = int(np.floor((calibrated_on + 1) * (1 - coverage)))
    true = rng.beta(calibrated_on + 1 - k, k, draws) if k else np.ones(draws)
    low, high = np.quantile(rng.binomial(n, true) / n, [0.025, 0.975])
    return float(low), float(high)


def interval(right: Hits, rng: np.random.Generator, *, draws: int = 1000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean, cases drawn with replacement."""
    means = right[rng.integers(len(right), size=(draws, len(right)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
