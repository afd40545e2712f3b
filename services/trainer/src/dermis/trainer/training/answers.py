"""The answers branch alone, fitted to the end of its problem: multinomial logistic regression on the answers.

The problem is convex and small, so L-BFGS on all cases at once ends where steps on batches only come near to.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax
from threadpoolctl import threadpool_limits

from dermis.shared.errors import DermisError, Kind
from dermis.trainer.config import Config
from dermis.trainer.model.head import Floats
from dermis.trainer.training.batches import Cases
from dermis.trainer.training.loop import TrainedPart, TrainState, validate

MOST_ITERATIONS = 2000
TOLERANCE = 1e-7


def fit_at_once(
    part: TrainedPart,
    training: Cases,
    validation: Cases | None,
    *,
    config: Config,
    state: TrainState,
    on_epoch: Callable[[TrainState, Mapping[str, float]], None],
) -> None:
    """Fit the answers branch alone, which is one epoch."""
    metrics = {"loss": fit_answers(part, training, config)}
    state.epoch += 1
    state.total += 1
    metrics |= validate(part, validation, state, batch=config.batch) if validation else {}
    on_epoch(state, metrics)


def fit_answers(part: TrainedPart, training: Cases, config: Config) -> float:
    """Give the answers branch the weights of the least loss, in place, and return that loss.

    The loss is that of a step without images: cross-entropy to the reference differential, the cases' weights, label
    smoothing and the head's L2, which leaves the bias out. INVALID for a head or a loss whose problem isn't convex.
    """
    if config.head.answers_units or config.focal or config.mixup:
        detail = "solver lbfgs fits a linear answers branch: set head.answers_units, focal and mixup to 0, or use adamw"
        raise DermisError(Kind.INVALID, "SOLVER", detail)
    layer = part.head.get_layer("answers")
    kernel, bias = (np.asarray(weight, float) for weight in layer.get_weights())
    smooth = config.smoothing / training.target.shape[1]
    target = training.target * (1 - config.smoothing) + smooth
    problem = (np.asarray(training.features, float), target, np.asarray(training.weight, float), config.head.l2)
    with threadpool_limits(1):
        result = minimize(
            loss_and_gradient,
            np.vstack([kernel, bias]).ravel(),
            args=problem,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": MOST_ITERATIONS, "maxfun": 2 * MOST_ITERATIONS, "ftol": 1e-14, "gtol": TOLERANCE},
        )
    weights = result.x.reshape(-1, kernel.shape[1])
    layer.set_weights([weights[:-1].astype(np.float32), weights[-1].astype(np.float32)])
    return float(result.fun)


def loss_and_gradient(
    values: Floats, features: Floats, target: Floats, weight: Floats, l2: float
) -> tuple[float, np.ndarray[Any, np.dtype[np.float64]]]:
    """Return the mean loss and its gradient at kernel and bias [(F+1)*K], for features [N,F], target [N,K], weight [N].

    loss = mean(weight * cross-entropy) + l2 * sum(kernel^2).
    """
    weights = values.reshape(-1, target.shape[1])
    kernel, bias = weights[:-1], weights[-1]
    log_probabilities = log_softmax(features @ kernel + bias, axis=1)
    loss = -(weight * (target * log_probabilities).sum(1)).mean() + l2 * (kernel**2).sum()
    off = (np.exp(log_probabilities) * target.sum(1, keepdims=True) - target) * (weight / len(weight))[:, None]
    gradient = np.vstack([features.T @ off + 2 * l2 * kernel, off.sum(0)])
    return float(loss), gradient.ravel()
