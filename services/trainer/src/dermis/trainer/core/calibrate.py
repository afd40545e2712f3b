"""Calibration: temperature and the thresholds of prediction sets, from cases that the model was not trained on."""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from dermis.shared.manifest import FitzpatrickGroup
from dermis.worker.core.differential import calibrate

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
FEWEST = 50


def temperature(probabilities: Floats, labels: Ints) -> float:
    """Return the temperature with the least log loss, in steps of 1 % (Guo et al. 2017); probabilities [N,K]."""
    grid = np.geomspace(0.25, 4.0, 279)
    rows = np.arange(len(labels))
    losses = [-np.log(calibrate(probabilities, t)[rows, labels]).mean() for t in grid]
    return round(float(grid[int(np.argmin(losses))]), 4)


def set_threshold(probabilities: Floats, labels: Ints, *, coverage: float) -> float:
    """Return the threshold at which sets hold the condition in `coverage` of new cases (LAC, Sadinle et al. 2019).

    The k-th smallest probability given to the right condition, k = floor((N + 1)(1 - coverage)); 0 where N is too small.
    """
    right = np.sort(probabilities[np.arange(len(labels)), labels])
    k = int(np.floor((len(right) + 1) * (1 - coverage)))
    return float(right[k - 1]) if k > 0 else 0.0


def group_thresholds(
    probabilities: Floats, labels: Ints, groups: Sequence[FitzpatrickGroup | None], *, coverage: float
) -> dict[FitzpatrickGroup, float]:
    """Return a threshold for each group from its own cases; where these are fewer than `FEWEST`, from all."""
    thresholds = {}
    for group in get_args(FitzpatrickGroup):
        here = np.array([other == group for other in groups])
        if here.sum() < FEWEST:
            here[:] = True
        thresholds[group] = round(set_threshold(probabilities[here], labels[here], coverage=coverage), 6)
    return thresholds
