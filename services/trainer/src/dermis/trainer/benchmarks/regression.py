"""scikit-learn's logistic regression on a reference differential, as the floors and contenders use it."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from dermis.trainer.metrics import Floats


def fit_regression(
    rows: Floats, target: Floats, *, strength: float, standardised: bool = False
) -> Callable[[Floats], Floats]:
    """Fit rows [N,D] to target [N,K] and return what gives probabilities [M,K] of other rows [M,D].

    A case stands once for each condition that it names, with that weight. `strength`: inverse strength of L2.
    """
    cases, labels = np.nonzero(target)
    scaler = StandardScaler() if standardised else "passthrough"
    model = make_pipeline(scaler, LogisticRegression(C=strength, max_iter=2000))
    with threadpool_limits(1):
        model.fit(rows[cases], labels, logisticregression__sample_weight=target[cases, labels])

    def predict(tested: Floats) -> Floats:
        probabilities = np.zeros((len(tested), target.shape[1]))
        probabilities[:, model.classes_] = model.predict_proba(tested)
        return probabilities

    return predict
