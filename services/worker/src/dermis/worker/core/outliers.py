"""Scores by its embedding how unlike the training cases a case is to the model."""

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dermis.shared.errors import DermisError, Kind

Floats = npt.NDArray[np.floating[Any]]
_ARRAYS = ("mean", "axes", "variances", "rest")
# numpy.load and the zip file below it have no error of their own for a file that was cut off or changed.
_DAMAGE = (EOFError, OSError, MemoryError, struct.error, zipfile.BadZipFile, zlib.error)
BROKEN = (*_DAMAGE, ArithmeticError, AttributeError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliers:
    """Where training embeddings lie.

    `mean` [E], principal `axes` [D,E] with `variances` [D], and the mean variance `rest` off them.
    """

    mean: Floats
    axes: Floats
    variances: Floats
    rest: float

    def score(self, embeddings: Floats) -> npt.NDArray[np.float64]:
        """Return [...]: the squared Mahalanobis distance of embeddings [...,E].

        It is that of probabilistic PCA, divided by E, so 1 on average in training.

        Source: Tipping & Bishop 1999; used on features of a classifier as in Lee et al. 2018.
        """
        off = np.asarray(embeddings, np.float64) - self.mean
        along = off @ np.asarray(self.axes, np.float64).T
        left = np.maximum((off**2).sum(-1) - (along**2).sum(-1), 0)
        return np.asarray(((along**2 / self.variances).sum(-1) + left / self.rest) / len(self.mean))


def to_bytes(outliers: Outliers) -> bytes:
    """Return an .npz without pickles, the axes in half precision."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        mean=np.asarray(outliers.mean, np.float32),
        axes=np.asarray(outliers.axes, np.float16),
        variances=np.asarray(outliers.variances, np.float32),
        rest=np.float64(outliers.rest),
    )
    return buffer.getvalue()


def from_bytes(data: bytes) -> Outliers:
    """Read what `to_bytes` wrote; INVALID if it is something else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            mean, axes, variances, rest = (np.asarray(arrays[name], np.float64) for name in _ARRAYS)
    except BROKEN as error:
        raise _invalid(str(error)) from error
    finite = all(np.isfinite(array).all() for array in (mean, axes, variances, rest))
    fit = (mean.ndim, variances.ndim, rest.ndim, axes.shape) == (1, 1, 0, (variances.size, mean.size))
    if not fit or not finite or min(rest, *variances) <= 0:
        raise _invalid("its arrays don't fit each other, or a variance is not above 0")
    return Outliers(mean=mean, axes=axes, variances=variances, rest=float(rest))


def _invalid(detail: str) -> DermisError:
    return DermisError(
        Kind.INVALID, "OUTLIERS", f"this is no outlier file of a bundle: {detail}; train the bundle again"
    )
