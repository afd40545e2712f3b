"""Where the embeddings of training cases lie, and from which score on a case counts as out of distribution."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from dermis.shared.manifest import OutlierRule
from dermis.worker.core.outliers import Outliers, from_bytes, to_bytes

Floats = npt.NDArray[np.floating[Any]]
MOST_AXES = 64
KEPT = 0.95
"""Share of the variance that the axes hold, if so few do."""


def fit_outliers(
    training_embedding: Floats, calibration_embedding: Floats, *, false_alarms: float = 0.02
) -> tuple[Outliers, OutlierRule] | None:
    """Fit training embeddings [N,E].

    Of new cases like those of calibration [M,E] at most `false_alarms` will score above the threshold.

    A case without an image has an embedding of zeros and is left out. None if M is under 1 / false_alarms - 1, or
    nothing varies: no threshold could be stated.
    """
    training, calibration = (rows[np.any(rows != 0, axis=1)] for rows in (training_embedding, calibration_embedding))
    place = int(np.ceil((len(calibration) + 1) * (1 - false_alarms) - 1e-9))
    if place > len(calibration) or len(training) < 4 or not training.var(0).sum() > 0:
        return None
    most = min(MOST_AXES, len(training) // 4, training.shape[1] - 1)
    pca = PCA(n_components=most, svd_solver="auto", random_state=0).fit(np.asarray(training, np.float64))
    axes = min(int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), KEPT)) + 1, most)
    total = training.var(0, ddof=1).sum()
    rest = (total - pca.explained_variance_[:axes].sum()) / (training.shape[1] - axes)
    least = total / training.shape[1] * 1e-6
    fitted = Outliers(
        mean=pca.mean_,
        axes=pca.components_[:axes],
        variances=np.maximum(pca.explained_variance_[:axes], least),
        rest=float(max(rest, least)),
    )
    served = from_bytes(to_bytes(fitted))  # in the precision that the worker reads
    threshold = float(np.sort(served.score(calibration))[place - 1])
    return served, OutlierRule(threshold=threshold, false_alarms=false_alarms, calibrated_on=len(calibration))
