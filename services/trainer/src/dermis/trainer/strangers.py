"""Does a model know what it has not seen? Embeddings of one data set are fitted, others are held against the outlier rule.

Run       python -m dermis.trainer.strangers known/predictions.npz other/predictions.npz ...
          (`dermis evaluate` writes predictions.npz; the first file's cases are cut into training, calibration and new ones by group)
Hardware  any, seconds
Result    new cases of the known data set: alarms at the stated rate, AUROC 0.5; strangers: the more the better
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from dermis.shared.errors import DermisError, Kind
from dermis.trainer.core.measures import Floats
from dermis.trainer.core.outliers import fit_outliers
from dermis.trainer.core.predictions import Predictions, from_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Cases of a data set with an image: share above the threshold, and AUROC of the score against new cases of the known one."""

    name: str
    n: int
    alarms: float
    auroc: float


def tell(known: Predictions, strangers: Sequence[tuple[str, Predictions]], *, false_alarms: float = 0.02, seed: int = 0) -> list[Told]:
    """Return how new cases of `known` and each stranger are told; INVALID where `known` has too few cases for a rule."""
    _, block = np.unique(known.groups, return_inverse=True)
    part = np.random.default_rng(seed).permutation(np.arange(block.max() + 1) % 4)[
        block
    ]  # half to train, a quarter each to calibrate and test
    shown = np.any(known.embedding != 0, axis=1)
    training, calibration, new = (known.embedding[shown & chosen] for chosen in (part < 2, part == 2, part == 3))
    fitted = fit_outliers(training, calibration, false_alarms=false_alarms)
    if fitted is None or not len(new):
        raise DermisError(
            Kind.INVALID,
            "TOO_FEW_CASES",
            f"{len(calibration)} calibration cases state no {false_alarms:.1%} threshold: use a larger data set",
        )
    outliers, rule = fitted
    base = outliers.score(new)

    def told(name: str, embedding: Floats) -> Told:
        scores = outliers.score(embedding[np.any(embedding != 0, axis=1)])
        truth = np.r_[np.zeros(len(base)), np.ones(len(scores))]
        auroc = float(roc_auc_score(truth, np.r_[base, scores])) if len(scores) else float("nan")
        return Told(name=name, n=len(scores), alarms=float((scores > rule.threshold).mean()) if len(scores) else float("nan"), auroc=auroc)

    return [told("new cases of the known data set", new), *(told(name, other.embedding) for name, other in strangers)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("known", type=Path)
    parser.add_argument("strangers", type=Path, nargs="*")
    parser.add_argument("--false-alarms", type=float, default=0.02)
    given = parser.parse_args(arguments)
    known, *others = (from_bytes(path.read_bytes()) for path in (given.known, *given.strangers))
    if any(other.model != known.model for other in others):
        parser.error(f"all predictions have to be of {known.model}: embeddings of two models can't be compared")
    print(f"{'':44}{'n':>6}{'alarms':>9}{'AUROC':>8}")
    for row in tell(known, list(zip(map(str, given.strangers), others, strict=True)), false_alarms=given.false_alarms):
        print(f"{row.name[-44:]:44}{row.n:6}{row.alarms:9.3f}{row.auroc:8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
