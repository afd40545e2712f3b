"""What the textures of training images are like, and from which score on a case counts as out of distribution."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from dermis.data.dataset import Dataset
from dermis.shared.manifest import ImageFit, TextureRule
from dermis.worker.core.decode import decode
from dermis.worker.core.prepare import fit as fit_image
from dermis.worker.core.texture import Textures, from_bytes, statistics, to_bytes

Floats = npt.NDArray[np.float64]
PARTS = 16
QUALITIES = (None, 85, 60)
"""As they come, and as JPEG of two qualities: an image's way of storage must not count."""


def fit_textures(
    training: Sequence[Dataset], calibration: Sequence[Dataset], *, image_size: int, how: ImageFit, false_alarms: float
) -> tuple[Textures, TextureRule]:
    """Fit on the images of training; at most `false_alarms` of new cases like calibration's will score above."""
    rows = np.concatenate(_case_statistics(training, image_size, how))
    shift, scale = rows.mean(0), rows.std(0) + 1e-6
    with threadpool_limits(1):
        mixture = GaussianMixture(PARTS, reg_covar=1e-2, random_state=0).fit((rows - shift) / scale)
    whitening = mixture.precisions_cholesky_
    volumes = np.log(np.diagonal(whitening, axis1=1, axis2=2)).sum(1)
    fitted = Textures(
        shift=shift,
        scale=scale,
        means=mixture.means_,
        whitening=whitening,
        constants=np.log(mixture.weights_) + volumes,
    )
    served = from_bytes(to_bytes(fitted))  # in the precision that the worker reads
    # A case stands once for each way of storage, so the cases are what is counted, by their worst one.
    cases = np.sort([served.score(stack).max() for stack in _case_statistics(calibration, image_size, how)])
    place = int(np.ceil((len(cases) + 1) * (1 - false_alarms) - 1e-9))
    rule = TextureRule(
        threshold=float(cases[min(place, len(cases)) - 1]), false_alarms=false_alarms, calibrated_on=len(cases)
    )
    return served, rule


def _case_statistics(datasets: Sequence[Dataset], image_size: int, how: ImageFit) -> list[Floats]:
    """Return of each case the statistics [images x qualities, E] of its images as the model would see them."""
    cases = []
    for dataset, sample in ((one, sample) for one in datasets for sample in one.samples):
        images = [decode(data).image for key in sample.images if (data := dataset.read(key)) is not None]
        stored = [_stored(image, quality) for image in images for quality in QUALITIES]
        if stored:
            cases.append(np.stack([statistics(fit_image(image, image_size, how)) for image in stored]))
    return cases


def _stored(image: npt.NDArray[np.uint8], quality: int | None) -> npt.NDArray[np.uint8]:
    if quality is None:
        return image
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return decode(bytes(data)).image
