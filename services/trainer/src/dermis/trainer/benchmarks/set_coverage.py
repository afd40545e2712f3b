"""Do prediction sets cover what they promise? Many random halves of a model's predictions: one calibrates, the other is covered."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermis.data.dataset import open_dataset
from dermis.data.samples import NOT_GIVEN
from dermis.trainer.calibration.calibrate import Groups, prediction_sets, temperature
from dermis.trainer.evaluation.predict import open_bundle, predict
from dermis.trainer.evaluation.predictions import SERVED, Predictions, from_bytes
from dermis.trainer.evaluation.slices import fitzpatrick_groups
from dermis.trainer.metrics import Floats, perfect_coverage
from dermis.worker.core.differential import calibrate, prediction_set


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
    lines = [
        f"{coverage:.0%} prediction sets over {splits} random halves",
        f"{'self-reported type':20}{'n':>7}{'cal.':>7}{'mean':>8}{'by threshold':>14}{'lowest':>8}{'highest':>9}{'one exact split':>18}{'size':>7}",
    ]
    for row in rows:
        band = perfect_coverage(coverage, rng, calibrated_on=round(row.calibrated_on), n=round(row.n))
        lines.append(
            f"{row.group:20}{row.n:7.0f}{row.calibrated_on:7.0f}{row.mean:8.4f}{row.threshold:14.4f}{row.lowest:8.3f}{row.highest:9.3f}"
            f"{f'{band[0]:.3f} to {band[1]:.3f}':>18}{row.size:7.2f}"
        )
    return "\n".join(lines)


def predictions_of(file: Path | None, *, model: Path | None, data: str | None) -> Predictions:
    """Return the predictions in a file of `dermis evaluate`, else those of a bundle's folder on a data set."""
    if file or not (model and data):
        return from_bytes((file or Path()).read_bytes())
    return predict(open_bundle(model), open_dataset(data), shown=(SERVED,), say=print)
