"""Where the images that a stage reads come from: cached features, or photos augmented anew for each batch."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dermis.data.dataset import Dataset
from dermis.shared.errors import DermisError, Kind
from dermis.trainer.config import Config, Stage
from dermis.trainer.training import augment
from dermis.trainer.training.feature_cache import Cache, Places, Rows, embed, gather, keep_prepared
from dermis.worker.core.prepare import Image

Mask = npt.NDArray[np.bool_]


class Source(Protocol):
    """Where the images of cases come from, by their places."""

    def load(self, places: Places, rng: np.random.Generator | None) -> tuple[Rows, Mask]:
        """Return what the trained part reads float32[B,3,...] and image_mask bool[B,3]; without `rng` as in serving."""
        ...


def open_source(
    dataset: Dataset, config: Config, stage: Stage, trunk: keras.Model | None, *, pooled: bool, cache: Path, quiet: bool
) -> Source:
    """Return what gives a data set's images to a stage, by its `images`: "cached" or "augmented".

    `trunk`: the part of the backbone that stays frozen, None where all of it is trained. `pooled`: the mean over
    positions is enough.
    """
    if stage.images == "augmented":
        prepared, places = keep_prepared(dataset, config.image_size, cache, how=config.image_fit, quiet=quiet)
        source: Source = Augmented(prepared, places, augmentation(config))
        return source if trunk is None else ThroughTrunk(source, trunk, pooled=pooled)
    if trunk is None:
        raise DermisError(
            Kind.INVALID,
            "STAGES",
            'a stage that trains the whole backbone has nothing to cache: say images="augmented"',
        )
    views = ("plain", "mirror") if config.mirrored else ("plain",)
    features, places = embed(dataset, trunk, cache, views=views, pooled=pooled, how=config.image_fit, quiet=quiet)
    return CachedViews(features, places, views, mean=config.mirrored and (pooled or stage.after is None))


def augmentation(config: Config) -> Callable[[Image, np.random.Generator], Image]:
    """Return what is done to an image each time it is read in training."""

    def change(image: Image, rng: np.random.Generator) -> Image:
        if config.tone_preserving:
            image = augment.tone_preserving(image, rng)
        return augment.tone_shifting(image, rng) if config.tone_shifting else image

    return change


class CachedViews:
    """What a frozen backbone made of images: in training a view by chance, in serving the first or the mean of all."""

    def __init__(self, cache: Cache, places: Places, views: Sequence[str], *, mean: bool = False) -> None:
        self._cache, self._places, self._views, self._mean = cache, places, views, mean

    def load(self, places: Places, rng: np.random.Generator | None) -> tuple[Rows, Mask]:
        here = self._places[places]
        if rng is not None:
            chosen = rng.integers(len(self._views), size=here.shape[:2])
            maps, mask = gather(self._cache, np.take_along_axis(here, chosen[..., None], 2)[..., 0])
            turned = np.array([view == "mirror" for view in self._views])[chosen]
            maps[turned] = maps[turned][:, :, ::-1]
            return maps, mask
        views = [gather(self._cache, here[..., v]) for v in range(len(self._views) if self._mean else 1)]
        straight = [
            rows[:, :, :, ::-1] if view == "mirror" else rows
            for (rows, _), view in zip(views, self._views, strict=False)
        ]
        return np.mean(straight, axis=0), views[0][1]


class Augmented:
    """Prepared images, augmented anew each time in training, by threads."""

    def __init__(self, cache: Cache, places: Places, change: Callable[[Image, np.random.Generator], Image]) -> None:
        self._cache, self._places, self._change = cache, places[..., 0], change
        self._pool = ThreadPoolExecutor(2)

    def load(self, places: Places, rng: np.random.Generator | None) -> tuple[Rows, Mask]:
        images, mask = gather(self._cache, self._places[places])
        if rng is not None:
            where = np.argwhere(mask)
            changed = self._pool.map(
                lambda at, draw: self._change(images[tuple(at)], draw), where, rng.spawn(len(where))
            )
            for at, image in zip(where, list(changed), strict=True):
                images[tuple(at)] = image
        return images, mask


class ThroughTrunk:
    """A source seen through a frozen trunk, run anew on each batch."""

    def __init__(self, source: Source, trunk: keras.Model, *, pooled: bool) -> None:
        self._source, self._pooled = source, pooled
        images = tf.TensorSpec(trunk.input.shape, tf.float32)
        self._run = tf.function(lambda x: trunk(x, training=False), input_signature=(images,), autograph=False)

    def load(self, places: Places, rng: np.random.Generator | None) -> tuple[Rows, Mask]:
        images, mask = self._source.load(places, rng)
        maps = self._run(tf.constant(images.reshape(-1, *images.shape[2:]), tf.float32)).numpy()
        maps = maps.mean((1, 2), keepdims=True) if self._pooled else maps
        return maps.reshape(*mask.shape, *maps.shape[1:]), mask


@dataclass(frozen=True, slots=True)
class Joined:
    """Two sources, one after the other: the `n` cases of the first, then those of the second at the places `chosen`."""

    first: Source
    n: int
    second: Source
    chosen: npt.NDArray[Any]

    def load(self, places: Places, rng: np.random.Generator | None) -> tuple[Rows, Mask]:
        later = places >= self.n
        ours, theirs = self.first.load(places[~later], rng), self.second.load(self.chosen[places[later] - self.n], rng)
        images = np.zeros((len(places), *ours[0].shape[1:]), ours[0].dtype)
        mask = np.zeros((len(places), *ours[1].shape[1:]), bool)
        images[~later], mask[~later] = ours
        images[later], mask[later] = theirs
        return images, mask
