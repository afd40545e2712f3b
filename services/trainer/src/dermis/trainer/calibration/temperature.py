"""The temperature that calibrates probabilities, fitted on cases that the model was not trained on."""

import numpy as np

from dermis.trainer.metrics import Floats
from dermis.worker.core.differential import calibrate


def temperature(probabilities: Floats, target: Floats) -> float:
    """Return the temperature with the least cross-entropy to the target, in steps of 1 % (Guo et al. 2017)."""
    grid = np.geomspace(0.25, 4.0, 279)
    losses = [-(target * np.log(calibrate(probabilities, t))).sum(1).mean() for t in grid]
    return round(float(grid[int(np.argmin(losses))]), 4)
