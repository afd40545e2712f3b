"""Losses and class weights."""

from typing import Any

import numpy as np
from keras import ops

from dermis.trainer.model.head import Floats


def soft_loss(focal: float = 0.0, smoothing: float = 0.0) -> Any:
    """Return loss(target [B,K], logits [B,K]) -> [B]: cross-entropy to the reference differential.

    `focal` > 0 weighs each condition by (1 - p)^focal (Lin et al. 2017); `smoothing` moves that share of the target to all alike.
    """

    def loss(target: Any, logits: Any) -> Any:
        soft = target * (1 - smoothing) + smoothing / target.shape[-1]
        logs = ops.log_softmax(ops.cast(logits, "float32"))
        weights = (1 - ops.exp(logs)) ** focal if focal else 1.0
        return -ops.sum(soft * weights * logs, axis=-1)

    return loss


def balanced_weights(target: Floats, *, beta: float = 0.99) -> Floats:
    """Return a weight per case, mean 1, from the effective number of its conditions' cases (Cui et al. 2019)."""
    effective = (1 - beta ** np.maximum(target.sum(0), 1e-9)) / (1 - beta)
    weights: Floats = target @ (1 / effective)
    balanced: Floats = weights / weights.mean()
    return balanced
