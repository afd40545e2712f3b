"""Do prediction sets cover what they promise? Many random halves of a model's predictions: one calibrates, the other is covered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermis.data.dataset import open_dataset
from dermis.data.report.markdown import markdown_table
from dermis.data.samples import NOT_GIVEN
from dermis.trainer.calibration.calibrate import Groups, prediction_sets
from dermis.trainer.calibration.temperature import temperature
from dermis.trainer.evaluation.predict import open_bundle, predict
from dermis.trainer.evaluation.predictions import SERVED, Predictions, from_bytes
from dermis.trainer.evaluation.slices import fitzpatrick_groups
from dermis.trainer.metrics import Floats, perfect_coverage
from dermis.worker.core.differential import calibrate, prediction_set

COLUMNS = (
    "self-reported type",
    "n",
    "cal.",
    "mean",
    "by threshold",
    "lowest",
    "highest",
    "one exact split",
    "size",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """Coverage over many splits: `n` cases of a test half on average, `calibrated_on` of a calibration half; shares, sets as served.

    `threshold`: by the threshold alone, of which the promise is; as served the most probable condition is in the set in any case.
    """

    group: str
    n: float
    calibrated_on: float
    mean: float
    lowest: float
    highest: float
    threshold: float
    size: float


def over_splits(predictions: Predictions, *, coverage: float, splits: int, seed: int = 0) -> list[Covered]:
    """Return the coverage of the reference differentials overall and by self-reported Fitzpatrick group; groups of cases stay together."""
    raw, target = predictions.raw[SERVED], predictions.target
    groups: Groups = fitzpatrick_groups(predictions)
    names = np.array([group or NOT_GIVEN for group in groups])
    _, block = np.unique(predictions.groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    seen: dict[str, list[tuple[float, ...]]] = {"all": []}
    for _ in range(splits):
        order = rng.permutation(block.max() + 1)
        calibrating = np.isin(block, order[: len(order) // 2])
        probabilities = calibrate(raw, temperature(raw[calibrating], target[calibrating]))
        sets = prediction_sets(
            probabilities[calibrating],
            target[calibrating],
            [g for g, k in zip(groups, calibrating, strict=True) if k],
            coverage=coverage,
        )
        lowest = min(sets.thresholds.values())
        least = [sets.thresholds[group] if group else lowest for group in groups]
        inside = np.stack([prediction_set(row, limit) for row, limit in zip(probabilities, least, strict=True)])
        alone = probabilities >= np.array(least)[:, None]
        for name in ("all", *sorted(set(names))):
            own = (names == name) | (name == "all")
            new = own & ~calibrating
            row = (
                new.sum(),
                (own & calibrating).sum(),
                _covered(inside[new], target[new]),
                _covered(alone[new], target[new]),
                inside[new].sum(1).mean(),
            )
            seen.setdefault(name, []).append(tuple(map(float, row)))
    return [_summed(name, np.array(rows)) for name, rows in seen.items()]


def _covered(sets: Floats, target: Floats) -> float:
    return float((sets * target).sum(1).mean())


def _summed(name: str, rows: Floats) -> Covered:
    n, calibrated_on, served, alone, size = rows.mean(0)
    return Covered(
        group=name,
        n=float(n),
        calibrated_on=float(calibrated_on),
        mean=float(served),
        lowest=float(rows[:, 2].min()),
        highest=float(rows[:, 2].max()),
        threshold=float(alone),
        size=float(size),
    )


def as_text(rows: Sequence[Covered], *, coverage: float, splits: int) -> str:
    """Return a table, with what exact thresholds would show in one split of this size."""
    rng = np.random.default_rng(0)
    cells = []
    for row in rows:
        band = perfect_coverage(coverage, rng, calibrated_on=round(row.calibrated_on), n=round(row.n))
        shares = (f"{row.mean:.4f}", f"{row.threshold:.4f}", f"{row.lowest:.3f}", f"{row.highest:.3f}")
        exact, size = f"{band[0]:.3f} to {band[1]:.3f}", f"{row.size:.2f}"
        cells.append([row.group, f"{row.n:.0f}", f"{row.calibrated_on:.0f}", *shares, exact, size])
    return f"{coverage:.0%} prediction sets over {splits} random halves\n\n{markdown_table(COLUMNS, cells)}"


def predictions_of(file: Path | None, *, model: Path | None, data: str | None) -> Predictions:
    """Return the predictions in a file of `dermis evaluate`, else those of a bundle's folder on a data set."""
    if file or not (model and data):
        return from_bytes((file or Path()).read_bytes())
    return predict(open_bundle(model), open_dataset(data), modalities=(SERVED,), say=print)
