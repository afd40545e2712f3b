"""Images that no model of skin was meant for, made here: to see whether it notices."""

from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from sklearn.datasets import load_sample_images

from dermis.data.dataset import Dataset
from dermis.data.samples import NOT_GIVEN, SLICES, Sample
from dermis.shared.ports import BlobNotFound
from dermis.shared.vocabulary import SelfReport
from dermis.worker.core.prepare import Image

SIDE = 320


def noise(rng: np.random.Generator) -> Image:
    """Return pixels drawn independently of each other."""
    return np.asarray(rng.integers(0, 256, (SIDE, SIDE, 3)), np.uint8)


def texture(rng: np.random.Generator) -> Image:
    """Return three waves of any length, direction and colour, one over the other."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    image = np.full((SIDE, SIDE, 3), 128.0)
    for _ in range(3):
        across, down = rng.normal(0, 20, 2)
        image += np.sin(2 * np.pi * (across * x + down * y) + rng.uniform(0, 6.3))[..., None] * rng.normal(0, 50, 3)
    pixels: Image = np.clip(image, 0, 255).astype(np.uint8)
    return pixels


def no_skin(rng: np.random.Generator) -> Image:
    """Return a part of a photo of a temple or of a flower, the two that come with scikit-learn."""
    photo = _photos()[rng.integers(2)]
    side = rng.integers(120, 427)
    top, left = rng.integers(photo.shape[0] - side + 1), rng.integers(photo.shape[1] - side + 1)
    return np.asarray(
        cv2.resize(photo[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8
    )


def _photos() -> list[Any]:
    return list(load_sample_images().images)


UNRELATED: dict[str, Callable[[np.random.Generator], Image]] = {
    "noise": noise,
    "textures": texture,
    "photos without skin": no_skin,
}


class _DrawnImages:
    """Images by their number, the same each time."""

    def __init__(self, make: Callable[[np.random.Generator], Image], count: int) -> None:
        self._make, self._count = make, count

    def get(self, key: str) -> bytes:
        if int(key) >= self._count:
            raise BlobNotFound(key)
        pixels = self._make(np.random.default_rng(int(key)))
        return bytes(cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1])


def unrelated_images(name: str, count: int) -> Dataset:
    """Return `count` cases of one such image each, without an answer or a label."""
    blank = partial(
        Sample, report=SelfReport(), target={}, top=None, slices=dict.fromkeys((*SLICES, "monk_skin_tone"), NOT_GIVEN)
    )
    samples = tuple(blank(id=str(n), group=str(n), images=(str(n),)) for n in range(count))
    return Dataset(name=name, digest=f"{name} {count}", samples=samples, store=_DrawnImages(UNRELATED[name], count))
