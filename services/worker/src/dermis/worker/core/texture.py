"""How the texture of an image is unlike that of the training images: no network sees it, so none can learn it away.

A network that learned from drawings alone keeps of a photo what the photo has in common with drawings. Statistics of
gradients and colours at several scales keep what drawings lack: sensor noise, hair, pores, reflections.
"""

import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dermis.shared.errors import DermisError, Kind

Floats = npt.NDArray[np.floating[Any]]
Image = npt.NDArray[np.uint8]
SCALES = 4
_LEAST = 2e-4
_SMALLEST = 24
"""Pixels of a side under which there is no texture to measure."""
NEIGHBOURS = 16
"""Training images that an image is compared with; Breunig et al. advise 10 to 20."""
_ARRAYS = ("shift", "whitening", "rows", "spacing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Textures:
    """Statistics of N training images, and how far apart they lie.

    `shift` [E] and `whitening` [E,E] make a metric in which images that are alike differ by as much in every direction;
    `rows` [N,E] in it; `spacing` [N]: the mean distance of each to its nearest `NEIGHBOURS` of other cases.
    """

    shift: Floats
    whitening: Floats
    rows: Floats
    spacing: Floats

    def score(self, statistics: Floats) -> npt.NDArray[np.float64]:
        """Return [M] of statistics [M,E]: how much farther their neighbours in training are than these have theirs.

        About 1 for another training image, wherever they lie thick or thin. Source: the local outlier factor (Breunig
        et al. 2000) in its simplified form (Schubert et al. 2014).
        """
        distances = distances_to(self.rows, (np.asarray(statistics, np.float64) - self.shift) @ self.whitening)
        nearest = np.argpartition(distances, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        return np.asarray((np.take_along_axis(distances, nearest, 1) / self.spacing[nearest]).mean(1))

    def case_score(self, images: npt.NDArray[np.uint8]) -> float:
        """Return the score of a case: that of the least usual of its images uint8[N,S,S,3], as the model sees them."""
        return float(self.score(np.stack([statistics(image) for image in images])).max())


def distances_to(rows: Floats, others: Floats) -> npt.NDArray[np.float64]:
    """Return the Euclidean distance [M,N] of each of `others` [M,E] to each of `rows` [N,E]."""
    squared = (others**2).sum(1)[:, None] + (rows**2).sum(1) - 2 * others @ rows.T
    return np.asarray(np.sqrt(np.maximum(squared, 0)))


def statistics(image: Image) -> npt.NDArray[np.float64]:
    """Return float64[E] of uint8[S,S,3]: moments, correlations and directions of colours, by scale.

    Only the image counts, not the zeros around it, so its aspect says nothing. Logarithms of RGB are taken, so that
    light is a constant that differences cancel; colours are brightness, red less green, green less blue.
    """
    logs = np.log((_without_padding(image).astype(np.float32) + 8) / 263)
    plane = np.stack([logs.mean(-1), logs[..., 0] - logs[..., 1], logs[..., 1] - logs[..., 2]], -1)
    values = [*plane.mean((0, 1)), *np.log(plane.std((0, 1)) + 1e-3)]
    finer = None
    for _ in range(SCALES):
        coarse = _half(plane)
        finest = cv2.resize(coarse, (plane.shape[1], plane.shape[0]), interpolation=cv2.INTER_LINEAR)
        detail = np.asarray(plane - finest, np.float32)
        size = np.abs(detail[..., 0])
        values += [*_moments(detail), *_directions(plane[..., 0]), *_evenness(size, finer)]
        plane, finer = coarse, size
    return np.nan_to_num(np.array(values, np.float64))


def _without_padding(image: Image) -> Image:
    lit = image.max(-1) > 0
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    if min(len(rows), len(columns)) < _SMALLEST:
        return image
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _half(plane: Floats) -> Floats:
    height, width = (max(2, (side + 1) // 2) for side in plane.shape[:2])
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA))


def _moments(detail: Floats) -> list[float]:
    """Return of each colour size and peakedness, of pairs the correlation, of brightness kurtosis and skewness."""
    mean, deviation = np.abs(detail).mean((0, 1)), np.sqrt((detail**2).mean((0, 1)))
    first = detail[..., 0]
    return [
        *np.log(mean + _LEAST),
        *np.log((deviation + _LEAST) / (mean + _LEAST)),
        *(
            float((detail[..., i] * detail[..., j]).mean() / (deviation[i] * deviation[j] + 1e-6))
            for i, j in ((0, 1), (0, 2), (1, 2))
        ),
        float(np.log((first**4).mean() ** 0.25 + _LEAST) - np.log(deviation[0] + _LEAST)),
        float((first**3).mean() / (deviation[0] ** 3 + 1e-8)),
    ]


def _directions(brightness: Floats) -> list[float]:
    """Return how much edges favour one direction (structure tensor, Bigun & Granlund 1987)."""
    across, down = np.diff(brightness, axis=1)[:-1], np.diff(brightness, axis=0)[:, :-1]
    xx, yy, xy = (across * across).mean(), (down * down).mean(), (across * down).mean()
    total = xx + yy + 1e-6
    return [float((xx - yy) / total), float(2 * xy / total)]


def _evenness(size: Floats, finer: Floats | None) -> list[float]:
    """Return how unevenly detail lies over the image and, but at the finest scale, whether it lies where finer does."""
    local = cv2.blur(size, (5, 5))
    uneven = float(np.log(local.std() / (local.mean() + _LEAST) + 0.05))
    if finer is None:
        return [uneven]
    shrunk = cv2.resize(finer, (size.shape[1], size.shape[0]), interpolation=cv2.INTER_AREA)
    varies = shrunk.std() > 0 and size.std() > 0
    return [uneven, float(np.corrcoef(shrunk.ravel(), size.ravel())[0, 1]) if varies else 0.0]


def to_bytes(textures: Textures) -> bytes:
    """Return an .npz without pickles, the rows in half precision."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        shift=np.asarray(textures.shift, np.float32),
        whitening=np.asarray(textures.whitening, np.float32),
        rows=np.asarray(textures.rows, np.float16),
        spacing=np.asarray(textures.spacing, np.float32),
    )
    return buffer.getvalue()


def from_bytes(data: bytes) -> Textures:
    """Read what `to_bytes` wrote; INVALID if it is something else."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            shift, whitening, rows, spacing = (np.asarray(arrays[name], np.float64) for name in _ARRAYS)
    except Exception as error:  # a damaged file raises nearly anything
        raise _invalid(str(error)) from error
    size = len(statistics(np.zeros((96, 96, 3), np.uint8)))
    shapes = (shift.shape, whitening.shape, rows.shape, spacing.shape)
    if shapes != ((size,), (size, size), (spacing.size, size), (spacing.size,)) or spacing.size <= NEIGHBOURS:
        raise _invalid("its arrays don't fit each other")
    if not all(np.isfinite(array).all() for array in (shift, whitening, rows, spacing)) or spacing.min() <= 0:
        raise _invalid("a number is not finite, or a spacing is not above 0")
    return Textures(shift=shift, whitening=whitening, rows=rows, spacing=spacing)


def _invalid(detail: str) -> DermisError:
    return DermisError(Kind.INVALID, "TEXTURES", f"this is no texture file of a bundle: {detail}; train it again")
