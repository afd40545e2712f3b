"""Do prediction sets cover what they promise? Many random halves of a model's predictions: one calibrates, the other is covered.

Run       python -m dermis.trainer.benchmarks.set_coverage --model services/standalone/src/dermis/standalone/demo/bundle --data generated:11:2400
Hardware  2 CPU cores, about 2 minutes, nearly all of it for the predictions
Result    90 % sets: mean coverage within 1 point of 90 % overall and in each self-reported Fitzpatrick group
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermis.data.dataset import open_dataset
from dermis.data.samples import NOT_GIVEN
from dermis.trainer.calibration.calibrate import Groups, prediction_sets, temperature
from dermis.trainer.evaluation.predict import open_bundle, predict
from dermis.trainer.evaluation.predictions import SHOWN_TO_SERVE, Predictions, from_bytes
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
    raw, target = predictions.raw[SHOWN_TO_SERVE], predictions.target
    groups: Groups = fitzpatrick_groups(predictions)
    names = np.array([group or NOT_GIVEN for group in groups])
    _, block = np.unique(predictions.groups, return_inverse=True)
    rng = np.random.default_rng(seed)
    seen: dict[str, list[tuple[float, ...]]] = {"all": []}
    for _ in range(splits):
        order = rng.permutation(block.max() + 1)
        known = np.isin(block, order[: len(order) // 2])
        probabilities = calibrate(raw, temperature(raw[known], target[known]))
        sets = prediction_sets(probabilities[known], target[known], [g for g, k in zip(groups, known, strict=True) if k], coverage=coverage)
        lowest = min(sets.thresholds.values())
        least = [sets.thresholds[group] if group else lowest for group in groups]
        inside = np.stack([prediction_set(row, limit) for row, limit in zip(probabilities, least, strict=True)])
        alone = probabilities >= np.array(least)[:, None]
        for name in ("all", *sorted(set(names))):
            own = (names == name) | (name == "all")
            new = own & ~known
            row = (
                new.sum(),
                (own & known).sum(),
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


def as_text(found: Sequence[Covered], *, coverage: float, splits: int) -> str:
    """Return a table, with what exact thresholds would show in one split of this size."""
    rng = np.random.default_rng(0)
    lines = [
        f"{coverage:.0%} prediction sets over {splits} random halves",
        f"{'self-reported type':20}{'n':>7}{'cal.':>7}{'mean':>8}{'by threshold':>14}{'lowest':>8}{'highest':>9}{'one exact split':>18}{'size':>7}",
    ]
    for row in found:
        band = perfect_coverage(coverage, rng, calibrated_on=round(row.calibrated_on), n=round(row.n))
        lines.append(
            f"{row.group:20}{row.n:7.0f}{row.calibrated_on:7.0f}{row.mean:8.4f}{row.threshold:14.4f}{row.lowest:8.3f}{row.highest:9.3f}"
            f"{f'{band[0]:.3f} to {band[1]:.3f}':>18}{row.size:7.2f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=Path, help="predictions.npz of `dermis evaluate`, instead of model and data")
    parser.add_argument("--model", type=Path, help="a bundle's folder")
    parser.add_argument("--data", help="data set, as for `dermis evaluate`")
    parser.add_argument("--coverage", type=float, default=0.9)
    parser.add_argument("--splits", type=int, default=50)
    given = parser.parse_args(arguments)
    if given.predictions:
        predictions = from_bytes(given.predictions.read_bytes())
    elif given.model and given.data:
        predictions = predict(open_bundle(given.model), open_dataset(given.data), shown=(SHOWN_TO_SERVE,), say=print)
    else:
        parser.error("give --predictions, or --model and --data")
    found = over_splits(predictions, coverage=given.coverage, splits=given.splits)
    print(as_text(found, coverage=given.coverage, splits=given.splits))
    return 0 if abs(found[0].mean - given.coverage) <= 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
