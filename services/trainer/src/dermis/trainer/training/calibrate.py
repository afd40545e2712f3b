"""Fits what a bundle says of its probabilities, on predictions of cases that the model did not learn from."""

from dataclasses import replace

import keras
import numpy as np

from dermis.data.dataset import Dataset
from dermis.trainer.calibration.fit import CalibrationTargets, Trust, fit_trust
from dermis.trainer.config import Config
from dermis.trainer.evaluation.predict import keras_outputs
from dermis.trainer.evaluation.predictions import SERVED, Predictions
from dermis.trainer.evaluation.slices import fitzpatrick_groups

MOST_EMBEDDED = 4096
"""Training cases that the outlier rule is fitted to; more would cost time and memory, and move no axis."""


def at_most(dataset: Dataset, most: int) -> Dataset:
    """Return the data set, or as many of its cases, evenly taken."""
    if len(dataset) <= most:
        return dataset
    places = np.linspace(0, len(dataset) - 1, most).astype(int)
    return replace(dataset, samples=tuple(dataset.samples[place] for place in places))


def calibrate(
    wanted: CalibrationTargets,
    config: Config,
    model: keras.Model,
    training: Dataset,
    calibration: Predictions,
    *,
    pooled_folds: bool,
) -> Trust:
    """Return temperature, prediction sets, abstention and outlier rule, fitted on the calibration cases.

    `pooled_folds`: these are predictions of other models, whose embeddings can't be compared with this one's: for the
    outlier rule every other group of the training cases stands in for them.
    """
    embedding = training_embedding = calibration.embedding
    training = at_most(training, MOST_EMBEDDED)
    if config.false_alarms:
        training_embedding = keras_outputs(model, config, training, names=("embedding",))["embedding"]
    if config.false_alarms and pooled_folds:
        _, place = np.unique([sample.group for sample in training.samples], return_inverse=True)
        training_embedding, embedding = training_embedding[place % 2 == 0], training_embedding[place % 2 == 1]
    return fit_trust(
        wanted,
        raw=calibration.raw[SERVED],
        target=calibration.target,
        labels=calibration.labels,
        groups=fitzpatrick_groups(calibration),
        embedding=embedding,
        training_embedding=training_embedding,
        conditions=calibration.conditions,
    )
