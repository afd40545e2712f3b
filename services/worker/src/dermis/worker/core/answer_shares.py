"""What counted in the answers: exact, since a bundle's answers_logits are linear in the feature vector."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermis.shared.case import AnswerShare
from dermis.shared.manifest import FeatureField, FeatureSchema

Floats = npt.NDArray[np.float32]
TOLERANCE = 1e-3
"""Largest difference, in logits, between the linear map and what the model gave.

Float32 on other kernels stays far below.
"""
_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerWeights:
    """answers_logits = bias + features @ weights: `bias` float32[K], `weights` float32[F, K]."""

    bias: Floats
    weights: Floats

    def explain(self, features: Floats, answers_logits: Floats) -> bool:
        """Return whether the map gives what the model gave: float32[F] -> float32[K] within `TOLERANCE`."""
        return bool(np.abs(self.bias + features @ self.weights - answers_logits).max() <= TOLERANCE)


def from_probes(logits: Floats) -> AnswerWeights:
    """Return the map that gave `logits` [F + 1, K].

    They are for no column first, then for each column alone (rows of `probes`).
    """
    return AnswerWeights(bias=logits[0], weights=logits[1:] - logits[0])


def probes(columns: int) -> Floats:
    """Return float32[F + 1, F]: the zero vector, then each unit vector."""
    return np.concatenate([np.zeros((1, columns), np.float32), np.eye(columns, dtype=np.float32)])


def answer_shares(
    schema: FeatureSchema, features: Floats, weights: AnswerWeights, conditions: Sequence[tuple[int, str]]
) -> tuple[AnswerShare, ...]:
    """Return the share of each answer that the vector holds, in the schema's order, those that counted for nothing too.

    `shown` are the conditions to tell it for: place and id. A share is the logit with the answer less the logit with
    that answer left out, the others kept.
    """
    rows = []
    start = 0
    for field in schema.fields:
        columns = slice(start, start + len(field.columns))
        start = columns.stop
        values = _answer_values(field, features[columns])
        if not values:
            continue
        left_out = np.zeros(len(field.columns), np.float32)
        left_out[-1] = 1  # the column of an absent answer
        shift = (features[columns] - left_out) @ weights.weights[columns]
        shares = {condition: round(float(shift[place]), _DIGITS) for place, condition in conditions}
        rows.append(AnswerShare(field=field.name, values=values, shares=shares))
    return tuple(rows)


def _answer_values(field: FeatureField, columns: Floats) -> tuple[str, ...]:
    return tuple(value for value, column in zip(field.values, columns, strict=False) if column)
