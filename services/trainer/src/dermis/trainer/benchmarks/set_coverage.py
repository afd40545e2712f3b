"""Do prediction sets cover what they promise? Of many random halves of a model's predictions one calibrates the other."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermis.data.dataset import open_dataset
from dermis.data.report.markdown import markdown_table
from dermis.data.samples import NOT_GIVEN
from dermis.trainer.calibration.calibrate import prediction_sets
from dermis.trainer.calibration.temperature import temperature
from dermis.trainer.evaluation.predict import open_bundle, predict
from dermis.trainer.evaluation.predictions import SERVED, Predictions, from_bytes
from dermis.trainer.evaluation.slices import fitzpatrick_groups
from dermis.trainer.metrics import Floats, Hits, perfect_coverage
from dermis.worker.core.differential import calibrate, prediction_set

COLUMNS = ("self-reported type", "n", "cal.", "mean", "by threshold", "lowest", "highest", "one exact split", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetCoverage:
    """Coverage of a group over many splits, shares of the sets as served.

    `n` cases of a test half on average, `calibrated_on` of a calibration half. `threshold`: by the threshold alone, of
    which the promise is; as served the most probable condition is in the set in any case.
    """

    group: str
    n: float
    calibrated_on: float
    mean: float
    lowest: float
    highest: float
    threshold: float
    size: float


def over_splits(predictions: Predictions, *, coverage: float, splits: int, seed: int = 0) -> list[SetCoverage]:
    """Return the coverage of the reference differentials, of all and by self-reported Fitzpatrick group.

    Groups of connected cases stay together.
    """
    names = np.array([group or NOT_GIVEN for group in fitzpatrick_groups(predictions)])
    here = {"all": np.ones(len(names), bool), **{name: names == name for name in sorted(set(names))}}
    _, block = np.unique(predictions.groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Floats]] = {name: [] for name in here}
    for _ in range(splits):
        order = rng.permutation(block.max() + 1)
        calibrating = np.isin(block, order[: len(order) // 2])
        by_case = _covered(predictions, calibrating, coverage)
        for name, own in here.items():
            counts = [(own & ~calibrating).sum(), (own & calibrating).sum()]
            rows[name].append(np.r_[counts, by_case[own & ~calibrating].mean(0)])
    return [_over_splits(name, np.array(values)) for name, values in rows.items()]


def _covered(predictions: Predictions, calibrating: Hits, coverage: float) -> Floats:
    """Return [N,3]: how much of a case's differential its set covers, as served and by the threshold, and its size."""
    raw, target, groups = predictions.raw[SERVED], predictions.target, fitzpatrick_groups(predictions)
    probabilities = calibrate(raw, temperature(raw[calibrating], target[calibrating]))
    own = list(itertools.compress(groups, calibrating))
    sets = prediction_sets(probabilities[calibrating], target[calibrating], own, coverage=coverage)
    lowest = min(sets.thresholds.values())
    least = np.array([sets.thresholds[group] if group else lowest for group in groups])
    served = np.stack([prediction_set(row, limit) for row, limit in zip(probabilities, least, strict=True)])
    by_threshold = probabilities >= least[:, None]
    return np.stack([(served * target).sum(1), (by_threshold * target).sum(1), served.sum(1)], axis=1)


def _over_splits(group: str, rows: Floats) -> SetCoverage:
    n, calibrated_on, served, threshold, size = map(float, rows.mean(0))
    lowest, highest = float(rows[:, 2].min()), float(rows[:, 2].max())
    return SetCoverage(
        group=group,
        n=n,
        calibrated_on=calibrated_on,
        mean=served,
        lowest=lowest,
        highest=highest,
        threshold=threshold,
        size=size,
    )


def as_text(rows: Sequence[SetCoverage], *, coverage: float, splits: int) -> str:
    """Return a table, with what exact thresholds would show in one split of this size."""
    rng = np.random.default_rng(0)
    cells = []
    for row in rows:
        low, high = perfect_coverage(coverage, rng, calibrated_on=round(row.calibrated_on), n=round(row.n))
        shares = (f"{row.mean:.4f}", f"{row.threshold:.4f}", f"{row.lowest:.3f}", f"{row.highest:.3f}")
        counts, band = (f"{row.n:.0f}", f"{row.calibrated_on:.0f}"), f"{low:.3f} to {high:.3f}"
        cells.append([row.group, *counts, *shares, band, f"{row.size:.2f}"])
    return f"{coverage:.0%} prediction sets over {splits} random halves\n\n{markdown_table(COLUMNS, cells)}"


def predictions_of(file: Path | None, *, model: Path | None, data: str | None) -> Predictions:
    """Return the predictions in a file of `dermis evaluate`, else those of a bundle's folder on a data set."""
    if file or not (model and data):
        return from_bytes((file or Path()).read_bytes())
    return predict(open_bundle(model), open_dataset(data), modalities=(SERVED,), say=print)
