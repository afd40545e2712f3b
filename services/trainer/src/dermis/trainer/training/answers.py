"""The answers branch alone, fitted to the end of its problem: multinomial logistic regression on the answers."""

from collections.abc import Callable, Mapping

import numpy as np

from dermis.shared.errors import DermisError, Kind
from dermis.trainer.config import Config
from dermis.trainer.training.batches import Cases
from dermis.trainer.training.logistic_regression import fit_logistic_regression
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
    weights, loss = fit_logistic_regression(
        np.asarray(training.features, float),
        target,
        np.asarray(training.weight, float),
        l2=config.head.l2,
        start=np.vstack([kernel, bias]),
        options={"maxiter": MOST_ITERATIONS, "maxfun": 2 * MOST_ITERATIONS, "ftol": 1e-14, "gtol": TOLERANCE},
    )
    layer.set_weights([weights[:-1].astype(np.float32), weights[-1].astype(np.float32)])
    return loss
