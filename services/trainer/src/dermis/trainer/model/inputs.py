"""Data sets as a model takes them.

Samples of any source, their images read through the store, prepared as serving prepares them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from dermis.data.dataset import Dataset, ImageSource
from dermis.data.samples import Sample
from dermis.metadata.core.encode import encode_batch
from dermis.shared.case import MAX_IMAGES
from dermis.shared.errors import DermisError
from dermis.shared.manifest import Condition, FeatureSchema
from dermis.shared.ports import BlobNotFound
from dermis.shared.vocabulary import SelfReport
from dermis.worker.core.decode import decode
from dermis.worker.core.prepare import Image, fit

_READERS = 4
Inputs = dict[str, npt.NDArray[np.generic]]
"""`images` uint8[N,3,S,S,3], `image_mask` bool[N,3], `features` float32[N,F]: the model's signature."""


def targets(
    samples: Sequence[Sample], conditions: Sequence[Condition]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return reference differentials float64[N,K] and labels int64[N].

    Rows add up to 1, or are all zero where none of the conditions is named.

    The label is the sample's top condition, or, where the model does not know that, the heaviest one that it knows; -1
    without any.
    """
    column = {condition.name: k for k, condition in enumerate(conditions)}
    table = np.zeros((len(samples), len(column)))
    for row, sample in enumerate(samples):
        for name, weight in sample.target.items():
            if name in column:
                table[row, column[name]] = weight
    whole = table.sum(1, keepdims=True)
    np.divide(table, whole, out=table, where=whole > 0)
    labels = np.where(whole[:, 0] > 0, table.argmax(1), -1)
    for row, sample in enumerate(samples):
        if sample.top in column:
            labels[row] = column[sample.top]
    return table, labels.astype(np.int64)


def features(samples: Sequence[Sample], schema: FeatureSchema) -> npt.NDArray[np.float32]:
    return encode_batch(schema, [sample.report for sample in samples])


def prepare(data: bytes, size: int) -> Image | None:
    """Return an image as the worker prepares it, uint8[size,size,3]; None if it can't be decoded."""
    try:
        return fit(decode(data).image, size)
    except DermisError as error:
        if error.retryable:
            raise
        return None


def read_image(store: ImageSource, key: str, size: int) -> Image | None:
    """Return a prepared image; None if it is missing or can't be decoded."""
    try:
        return prepare(store.get(key), size)
    except BlobNotFound:
        return None


def read_images(store: ImageSource, keys: Sequence[str], size: int) -> list[Image | None]:
    """Read images in the order of their keys, by a few threads."""
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda key: read_image(store, key, size), keys))


def arrays(dataset: Dataset, schema: FeatureSchema, image_size: int) -> Inputs:
    """Return all inputs of a data set.

    An image that is missing or can't be decoded is masked, as if it had not been sent.
    """
    keys = [key for sample in dataset.samples for key in sample.images]
    read = iter(read_images(dataset.store, keys, image_size))
    images = np.zeros((len(dataset), MAX_IMAGES, image_size, image_size, 3), np.uint8)
    mask = np.zeros((len(dataset), MAX_IMAGES), bool)
    for row, sample in enumerate(dataset.samples):
        for slot in range(len(sample.images)):
            if (image := next(read)) is not None:
                images[row, slot], mask[row, slot] = image, True
    return {"images": images, "image_mask": mask, "features": features(dataset.samples, schema)}


def without_images(inputs: Inputs) -> Inputs:
    return {**inputs, "image_mask": np.zeros_like(inputs["image_mask"])}


def without_answers(inputs: Inputs, schema: FeatureSchema) -> Inputs:
    return {**inputs, "features": encode_batch(schema, [SelfReport()] * len(inputs["features"]))}
