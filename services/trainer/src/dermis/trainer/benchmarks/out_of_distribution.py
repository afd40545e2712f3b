"""Does a model know what it has not seen? Embeddings of one data set are fitted, others are held against the outlier rule.

Run       python -m dermis.trainer.benchmarks.out_of_distribution known/predictions.npz other/predictions.npz ...
          (`dermis evaluate` writes predictions.npz; the first file's cases are cut into training, calibration and new ones by group)
Hardware  any, seconds
Result    new cases of the known data set: alarms at the stated rate, AUROC 0.5; strangers: the more the better; 95 % intervals by
          bootstrap over groups of connected cases
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import Figure
from dermis.trainer import metrics as measures
from dermis.trainer.benchmarks.cross_validation import cell
from dermis.trainer.calibration.outliers import fit_outliers
from dermis.trainer.evaluation.decisions import at
from dermis.trainer.evaluation.predictions import Predictions, from_bytes
from dermis.trainer.evaluation.report import with_interval
from dermis.trainer.metrics import Floats

Scored = tuple[Floats, Floats, tuple[str, ...]]
"""Scores [N], weights [R,N] and groups of cases with an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Cases of a data set with an image: share above the threshold, and AUROC of the score against new cases of the known one.

    Each figure as of `report.with_interval`, over groups of connected cases; None without such a case.
    """

    name: str
    n: int
    alarms: Figure
    auroc: Figure


def tell(known: Predictions, strangers: Sequence[tuple[str, Predictions]], *, false_alarms: float = 0.02, seed: int = 0) -> list[Told]:
    """Return how new cases of `known` and each stranger are told; INVALID where `known` has too few cases for a rule."""
    _, block = np.unique(known.groups, return_inverse=True)
    part = np.random.default_rng(seed).permutation(np.arange(block.max() + 1) % 4)[
        block
    ]  # half to train, a quarter each to calibrate and test
    shown = np.any(known.embedding != 0, axis=1)
    training, calibration = (known.embedding[shown & chosen] for chosen in (part < 2, part == 2))
    new = at(known, part == 3)
    fitted = fit_outliers(training, calibration, false_alarms=false_alarms)
    if fitted is None or not np.any(new.embedding):
        raise DermisError(
            Kind.INVALID,
            "TOO_FEW_CASES",
            f"{len(calibration)} calibration cases state no {false_alarms:.1%} threshold: use a larger data set",
        )
    outliers, rule = fitted
    rng = np.random.default_rng(seed)

    def scored(cases: Predictions) -> Scored:
        cases = at(cases, np.any(cases.embedding != 0, axis=1))
        weights = measures.draw_weights(cases.groups, rng) if len(cases) else np.empty((1, 0))
        return outliers.score(cases.embedding), weights, cases.groups

    base = scored(new)

    def told(name: str, cases: Scored) -> Told:
        scores, weights, groups = cases
        alarms = with_interval(measures.mean(scores > rule.threshold, weights), groups)
        auroc = with_interval(measures.told_apart(base[0], scores, base[1][: len(weights)], weights), groups)
        return Told(name=name, n=len(scores), alarms=alarms, auroc=auroc)

    return [told("new cases of the known data set", base), *(told(name, scored(other)) for name, other in strangers)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("known", type=Path)
    parser.add_argument("strangers", type=Path, nargs="*")
    parser.add_argument("--false-alarms", type=float, default=0.02)
    given = parser.parse_args(arguments)
    known, *others = (from_bytes(path.read_bytes()) for path in (given.known, *given.strangers))
    if any(other.model != known.model for other in others):
        parser.error(f"all predictions have to be of {known.model}: embeddings of two models can't be compared")
    print(f"{'':44}{'n':>6}  {'alarms':22}AUROC")
    for row in tell(known, list(zip(map(str, given.strangers), others, strict=True)), false_alarms=given.false_alarms):
        print(f"{row.name[-44:]:44}{row.n:6}  {cell(row.alarms):22}{cell(row.auroc)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
