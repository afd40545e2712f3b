"""Computes how much each answer counted; exact, since a bundle's answers_logits are linear in the feature vector."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dermis.shared.case import AnswerShare
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import FeatureField, FeatureSchema
from dermis.worker.core.outliers import BROKEN

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


def to_bytes(weights: AnswerWeights) -> bytes:
    """Return an .npz without pickles."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, bias=weights.bias, weights=weights.weights)
    return buffer.getvalue()


def from_bytes(data: bytes) -> AnswerWeights:
    """Read what `to_bytes` wrote; INVALID if it is something else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            bias, weights = (np.asarray(arrays[name], np.float32) for name in ("bias", "weights"))
    except BROKEN as error:
        raise _invalid(str(error)) from error
    finite = np.isfinite(bias).all() and np.isfinite(weights).all()
    if bias.ndim != 1 or weights.ndim != 2 or weights.shape[1] != bias.size or not finite:
        raise _invalid("its arrays don't fit each other, or are not finite")
    return AnswerWeights(bias=bias, weights=weights)


def _invalid(why: str) -> DermisError:
    return DermisError(
        Kind.INVALID, "ANSWER_WEIGHTS", f"the bundle's weights of answers are broken: {why}; publish the bundle again"
    )


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

    `conditions`: place and id of those to explain. A share is the logit with the answer less the logit with
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
