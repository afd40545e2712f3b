"""Who competes: logistic regression on any rows of numbers, and the case model as a config trains and exports it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from dermis.data.dataset import Dataset
from dermis.shared.manifest import Condition
from dermis.trainer.benchmarks.cross_validation import EVERYTHING, SEED, Contender, Input
from dermis.trainer.benchmarks.regression import fit_regression
from dermis.trainer.config import Config, changed
from dermis.trainer.evaluation.predict import predict_uncalibrated
from dermis.trainer.evaluation.predictions import SERVED
from dermis.trainer.metrics import Floats
from dermis.trainer.model.inputs import targets
from dermis.trainer.training.feature_cache import embed, gather
from dermis.trainer.training.options import Workspace
from dermis.trainer.training.parts import Parts
from dermis.trainer.training.train import fit_model

Conditions = tuple[Condition, ...]


def regression(
    name: str,
    rows_of: Callable[[Dataset], Floats],
    conditions: Conditions,
    *,
    strengths: Sequence[float],
    standardised: bool = False,
    sees: tuple[Input, ...] = EVERYTHING,
) -> Contender:
    """Return multinomial logistic regression on rows [N,D] of the cases, against the reference differential.

    `strengths`: inverse strengths of L2 to choose from.
    """

    def fit(strength: float, training: Dataset, tested: Dataset) -> Floats:
        target, _ = targets(training.samples, conditions)
        predict = fit_regression(rows_of(training), target, strength=strength, standardised=standardised)
        return predict(rows_of(tested))

    return Contender(name=name, fit=fit, choices=tuple(strengths), sees=sees, settings=f"standardised {standardised}")


def l2_of(strength: float, training: Dataset) -> Mapping[str, str]:
    """Return the L2 of a mean loss over cases that is, of its sum, the inverse strength of `regression`."""
    return {"head.l2": repr(1 / (2 * strength * len(training)))}


def embedding_of(dataset: Dataset, backbone: keras.Model, cache: Path) -> Callable[[Dataset], Floats]:
    """Return what gives the backbone's mean features [N,C] of each case's first image; it runs here, once an image."""
    stored, places = embed(dataset, backbone, cache, pooled=True, quiet=True)
    maps, _ = gather(stored, places[..., 0])
    rows = dict(zip((sample.id for sample in dataset.samples), maps[:, 0, 0, 0], strict=True))
    return lambda part: np.stack([rows[sample.id] for sample in part.samples])


def case_model(
    name: str,
    config: Config,
    conditions: Conditions,
    cache: Path,
    *,
    choices: Sequence[Any] = ({},),
    settings_of: Callable[[Any, Dataset], Mapping[str, str]] = lambda choice, _training: choice,
    sees: tuple[Input, ...] = EVERYTHING,
    stops_early: bool = False,
) -> Contender:
    """Return a config as a contender that predicts through the model that would be exported.

    `choices`: its settings, or what `settings_of` makes settings of for the cases that are learned from.
    `stops_early`: a fifth of the training cases, by group, is not learned from but says which epoch of each stage was
    the best.
    """
    workspace = Workspace(cache=cache, quiet=True)

    def fit(choice: Any, training: Dataset, tested: Dataset) -> Floats:
        chosen = changed(config, settings_of(choice, training))
        parts = Parts(train=training, calibration=tested, test=tested)
        if stops_early:
            fitting, checked = training.fold(training.split(seed=SEED + 1, folds=5), 0)
            parts = replace(parts, train=fitting, validation=checked)
        model, _ = fit_model(chosen, parts, conditions, workspace)
        return np.asarray(predict_uncalibrated(model, chosen, tested, conditions).raw[SERVED], float)

    def loss(choice: Any, training: Dataset, checked: Dataset) -> float:
        parts = Parts(train=training, calibration=checked, test=checked, validation=checked)
        chosen = changed(config, settings_of(choice, training))
        return fit_model(chosen, parts, conditions, workspace)[1][-1].metrics["validation_loss"]

    settings = f"{config} {stops_early}"
    return Contender(name=name, choices=tuple(choices), fit=fit, loss=loss, sees=sees, settings=settings)
