"""Losses and class weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from dermis.trainer.model.head import Floats

Loss = Callable[[Any, Any], Any]
"""loss(target [B,K], logits [B,K]) -> [B]."""


def cross_entropy(*, focal_gamma: float = 0.0, label_smoothing: float = 0.0) -> Loss:
    """Return the cross-entropy to soft targets, here reference differentials: loss(target [B,K], logits [B,K]) -> [B].

    Focal loss (Lin et al. 2017): each condition weighs (1 - p)^focal_gamma. Label smoothing (Szegedy et al. 2016): that
    share of the target is spread evenly over all K conditions.
    """

    def loss(target: Any, logits: Any) -> Any:
        smoothed = target * (1 - label_smoothing) + label_smoothing / target.shape[-1]
        log_probabilities = ops.log_softmax(ops.cast(logits, "float32"))
        focal = (1 - ops.exp(log_probabilities)) ** focal_gamma if focal_gamma else 1.0
        return -ops.sum(smoothed * focal * log_probabilities, axis=-1)

    return loss


def class_weights(target: Floats, *, beta: float = 0.99) -> Floats:
    """Return a weight per case [N], mean 1, for targets [N,K]: rare conditions weigh more.

    A condition weighs the inverse of its effective number of cases, (1 - beta^n) / (1 - beta) (Cui et al. 2019).
    """
    effective = (1 - beta ** np.maximum(target.sum(0), 1e-9)) / (1 - beta)
    weights: Floats = target @ (1 / effective)
    normalised: Floats = weights / weights.mean()
    return normalised
