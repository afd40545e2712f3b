"""Multinomial logistic regression on distributions over conditions, fitted to the end of its problem.

The problem is convex and small, so L-BFGS on all cases at once ends where steps on batches only come near to.
scikit-learn's has one condition a row: a case with several would stand there once for each.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax
from threadpoolctl import threadpool_limits

from dermis.trainer.metrics import Floats

Weights = npt.NDArray[np.float64]


def fit_logistic_regression(
    features: Floats,
    target: Floats,
    weight: Floats,
    *,
    l2: float | Floats,
    start: Floats,
    options: Mapping[str, float],
) -> tuple[Weights, float]:
    """Return kernel and bias [F+1,K], the bias last, of the least loss that a search from `start` [F+1,K] comes to.

    Arguments as of `loss_and_gradient`; `options`: those of SciPy's L-BFGS-B.
    """
    with threadpool_limits(1):
        result = minimize(
            loss_and_gradient,
            start.ravel(),
            args=(features, target, weight, l2),
            jac=True,
            method="L-BFGS-B",
            options=dict(options),
        )
    return np.asarray(result.x, np.float64).reshape(start.shape), float(result.fun)


def loss_and_gradient(
    values: Floats, features: Floats, target: Floats, weight: Floats, l2: float | Floats
) -> tuple[float, Weights]:
    """Return the mean loss and its gradient at kernel and bias [(F+1)*K], for features [N,F], target [N,K], weight [N].

    loss = mean(weight * cross-entropy) + sum(l2 * kernel^2); `l2`: one number, or one for each feature [F,1].
    """
    weights = values.reshape(-1, target.shape[1])
    kernel, bias = weights[:-1], weights[-1]
    log_probabilities = log_softmax(features @ kernel + bias, axis=1)
    loss = -(weight * (target * log_probabilities).sum(1)).mean() + (l2 * kernel**2).sum()
    residual = (np.exp(log_probabilities) * target.sum(1, keepdims=True) - target) * (weight / len(weight))[:, None]
    gradient = np.vstack([features.T @ residual + 2 * l2 * kernel, residual.sum(0)])
    return float(loss), gradient.ravel()
