"""What the textures of training images are like, and from which score on a case counts as out of distribution."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from dermis.data.dataset import Dataset
from dermis.shared.manifest import ImageFit, TextureRule
from dermis.worker.core.decode import decode
from dermis.worker.core.prepare import Image
from dermis.worker.core.prepare import fit as fit_image
from dermis.worker.core.texture import NEIGHBOURS, Textures, distances_to, from_bytes, statistics, to_bytes

Floats = npt.NDArray[np.float64]
QUALITIES = (None, 85, 60)
"""As they come, and as JPEG of two qualities: an image's way of storage must not count."""
_AT_ONCE = 512
_ALIKE = 4
"""Neighbours whose differences make the metric."""
_LEAST_VARIANCE = 0.005
"""Of standardised statistics, added to that of alike images: no direction counts without bound."""


def fit_textures(
    training: Sequence[Dataset], calibration: Sequence[Dataset], *, image_size: int, how: ImageFit, false_alarms: float
) -> tuple[Textures, TextureRule]:
    """Fit on the images of training; at most `false_alarms` of new cases like calibration's will score above.

    Training's images are stored in each of the ways in turn. Every image of a case of calibration is stored in all of
    them, and the worst of all counts.
    """
    rows: list[Floats] = []
    cases: list[int] = []
    for number, images in enumerate(_images(training)):
        for image in images:
            quality = QUALITIES[len(rows) % len(QUALITIES)]
            rows.append(statistics(fit_image(_stored(image, quality), image_size, how)))
            cases.append(number)
    served = from_bytes(to_bytes(_fit(np.stack(rows), np.array(cases))))  # in the precision that the worker reads
    worst = np.sort(
        [
            served.case_score(
                np.stack([fit_image(_stored(image, q), image_size, how) for image in images for q in QUALITIES])
            )
            for images in _images(calibration)
        ]
    )
    place = int(np.ceil((len(worst) + 1) * (1 - false_alarms) - 1e-9))
    rule = TextureRule(
        threshold=float(worst[min(place, len(worst)) - 1]), false_alarms=false_alarms, calibrated_on=len(worst)
    )
    return served, rule


def _fit(rows: Floats, cases: npt.NDArray[np.int64]) -> Textures:
    """Return the textures of statistics [N,E] of images of the cases [N], which are no neighbours of themselves."""
    shift, scale = rows.mean(0), rows.std(0) + 1e-6
    standard = (rows - shift) / scale
    _, alike = _neighbours(standard, cases, _ALIKE)
    differences = (standard[:, None] - standard[alike]).reshape(-1, rows.shape[1])
    within = differences.T @ differences / (2 * len(differences)) + _LEAST_VARIANCE * np.eye(rows.shape[1])
    whitening = np.linalg.cholesky(np.linalg.inv(within)) / scale[:, None]
    whitened = np.asarray((rows - shift) @ whitening, np.float16).astype(np.float64)
    distances, _ = _neighbours(whitened, cases, NEIGHBOURS)
    return Textures(shift=shift, whitening=whitening, rows=whitened, spacing=distances.mean(1))


def _neighbours(rows: Floats, cases: npt.NDArray[np.int64], count: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return distances and places [N,count] of each row's nearest ones of other cases."""
    distances, places = np.empty((len(rows), count)), np.empty((len(rows), count), np.int64)
    for start in range(0, len(rows), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        away = distances_to(rows, rows[here])
        away[cases[here, None] == cases] = np.inf
        places[here] = np.argpartition(away, count - 1, axis=1)[:, :count]
        distances[here] = np.take_along_axis(away, places[here], 1)
    return distances, places


def _images(datasets: Sequence[Dataset]) -> Iterator[list[Image]]:
    """Yield each case's images, the cases without one left out."""
    for dataset in datasets:
        for sample in dataset.samples:
            images = [decode(data).image for key in sample.images if (data := dataset.read(key)) is not None]
            if images:
                yield images


def _stored(image: Image, quality: int | None) -> Image:
    if quality is None:
        return image
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return decode(bytes(data)).image
