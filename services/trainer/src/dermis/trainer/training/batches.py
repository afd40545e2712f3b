"""The batches of a stage: a fixed order, modality dropout, mixup, and tf.data that makes them ahead of the step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from dermis.data.dataset import Dataset
from dermis.metadata.core.encode import encode
from dermis.shared.manifest import Condition
from dermis.shared.vocabulary import SelfReport
from dermis.trainer.config import Config, Stage
from dermis.trainer.model.inputs import features, targets
from dermis.trainer.training.losses import class_weights
from dermis.trainer.training.sources import Source

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """N cases: images by `source`, features [N,F], target [N,K], weight [N], ids."""

    source: Source
    features: Array
    target: Array
    weight: Array
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBatch:
    """B cases of a step: images float32[B,3,...], image_mask bool[B,3], features [B,F], target [B,K], weight [B]."""

    images: Array
    image_mask: Array
    features: Array
    target: Array
    weight: Array

    def tensors(self) -> tuple[Array, ...]:
        """Return the arrays in the order in which a step takes them, in its types."""
        numbers = (values.astype(np.float32) for values in (self.features, self.target, self.weight))
        return self.images.astype(np.float32), self.image_mask, *numbers


def make_cases(dataset: Dataset, config: Config, conditions: tuple[Condition, ...], source: Source) -> Cases:
    """Return a data set's cases as a stage reads them, with class weights if `balanced`.

    Without any label each weighs 1.
    """
    target, _ = targets(dataset.samples, conditions)
    return Cases(
        source=source,
        features=features(dataset.samples, config.schema),
        target=target,
        weight=class_weights(target) if config.balanced and target.any() else np.ones(len(target)),
        ids=tuple(sample.id for sample in dataset.samples),
    )


def epoch_order(n: int, *, size: int, seed: int, stage: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """Return the cases of each batch of an epoch: fixed by its arguments alone, so a resumed run goes the same way."""
    order = np.random.default_rng([seed, stage, epoch]).permutation(n)
    return [order[start : start + size] for start in range(0, n, size)]


def load_batches(cases: Cases, config: Config, stage: Stage, *, number: int, epoch: int) -> Iterator[tuple[Any, ...]]:
    """Yield (places, *`Batch.tensors`) of all epochs of stage `number` from `epoch` on.

    tf.data makes them ahead of the step that uses them. Every random draw follows from seed, stage, epoch and batch, so
    a run that was killed goes on with the same ones.
    """
    no_answers = encode(config.schema, SelfReport())

    def make() -> Iterator[tuple[Array, ...]]:
        for n in range(epoch, stage.epochs):
            for step, places in enumerate(
                epoch_order(len(cases), size=config.batch, seed=config.seed, stage=number, epoch=n)
            ):
                rng = np.random.default_rng([config.seed, number, n, step])
                batch = modality_dropout(read_batch(cases, places, rng), config, no_answers, rng)
                yield places, *mixup(batch, config.mixup, rng).tensors()

    first = next(make(), None)
    if first is None:
        return
    signature = tuple(tf.TensorSpec((None, *values.shape[1:]), values.dtype) for values in first)
    for places, *tensors in tf.data.Dataset.from_generator(make, output_signature=signature).prefetch(2):
        yield places.numpy(), *tensors


def read_batch(cases: Cases, places: Array, rng: np.random.Generator) -> TrainingBatch:
    """Return the cases at some places, their images augmented by `rng`."""
    images, image_mask = cases.source.load(places, rng)
    return TrainingBatch(
        images=images,
        image_mask=image_mask,
        features=cases.features[places],
        target=cases.target[places],
        weight=cases.weight[places],
    )


def modality_dropout(
    batch: TrainingBatch, config: Config, no_answers: Array, rng: np.random.Generator
) -> TrainingBatch:
    """Return the batch without the images of some cases and without the answers of others, never without both of one.

    `no_answers` [F]: the features of a self-report without any answer.
    """
    draw = rng.uniform(size=len(batch.image_mask))
    return TrainingBatch(
        images=batch.images,
        image_mask=batch.image_mask & ~(draw < config.images_dropout)[:, None],
        features=np.where((draw > 1 - config.answers_dropout)[:, None], no_answers, batch.features),
        target=batch.target,
        weight=batch.weight,
    )


def mixup(batch: TrainingBatch, alpha: float, rng: np.random.Generator) -> TrainingBatch:
    """Return the batch mixed with itself in reverse (mixup, Zhang et al. 2018).

    One share for all by Beta(alpha, alpha); `alpha` 0 changes nothing. Cases that have images in different slots are
    not mixed.
    """
    if not alpha:
        return batch
    drawn = rng.beta(alpha, alpha)
    share = np.where((batch.image_mask == batch.image_mask[::-1]).all(1), drawn, 1.0)

    def mixed(values: Array) -> Array:
        by = share.reshape(-1, *[1] * (values.ndim - 1))
        return np.asarray(by * values + (1 - by) * values[::-1])

    return TrainingBatch(
        images=mixed(batch.images),
        image_mask=batch.image_mask,
        features=mixed(batch.features),
        target=mixed(batch.target),
        weight=mixed(batch.weight),
    )
