"""Out-of-distribution detection: the outlier rule is fitted to embeddings of one data set, and others are scored by it.

The first data set's cases are cut into training, calibration and new ones by group. Its new cases have alarms at the stated rate and an
AUROC of 0.5; of other data sets the more the better; 95 % intervals by bootstrap over groups of connected cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dermis.data.report.markdown import markdown_table
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import Figure
from dermis.trainer import metrics as measures
from dermis.trainer.benchmarks.tables import cell
from dermis.trainer.calibration.outliers import fit_outliers
from dermis.trainer.evaluation.decisions import at
from dermis.trainer.evaluation.predictions import Predictions, from_bytes
from dermis.trainer.evaluation.report import with_interval
from dermis.trainer.metrics import Floats

Scored = tuple[Floats, Floats, tuple[str, ...]]
"""Scores [N], weights [R,N] and groups of cases with an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """Cases of a data set with an image: share above the threshold, and AUROC of the score against new cases of the first one.

    Each figure as of `report.with_interval`, over groups of connected cases; None without such a case.
    """

    name: str
    n: int
    alarms: Figure
    auroc: Figure


def detect(
    in_distribution: Predictions,
    others: Sequence[tuple[str, Predictions]],
    *,
    false_alarms: float = 0.02,
    seed: int = 0,
) -> list[Detection]:
    """Return the alarms and the AUROC of new cases of `in_distribution` and of each other data set.

    INVALID where `in_distribution` has too few cases for a rule.
    """
    _, block = np.unique(in_distribution.groups, return_inverse=True)
    part = np.random.default_rng(seed).permutation(np.arange(block.max() + 1) % 4)[
        block
    ]  # half to train, a quarter each to calibrate and test
    embedded = np.any(in_distribution.embedding != 0, axis=1)
    training, calibration = (in_distribution.embedding[embedded & chosen] for chosen in (part < 2, part == 2))
    new = at(in_distribution, part == 3)
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

    def detection(name: str, cases: Scored) -> Detection:
        scores, weights, groups = cases
        alarms = with_interval(measures.mean(scores > rule.threshold, weights), groups)
        auroc = with_interval(measures.told_apart(base[0], scores, base[1][: len(weights)], weights), groups)
        return Detection(name=name, n=len(scores), alarms=alarms, auroc=auroc)

    return [
        detection("new cases of the first data set", base),
        *(detection(name, scored(other)) for name, other in others),
    ]


def as_text(rows: Sequence[Detection]) -> str:
    """Return a table, Markdown: a row for each data set."""
    cells = [[row.name, row.n, cell(row.alarms), cell(row.auroc)] for row in rows]
    return markdown_table(["data set", "n", "alarms", "AUROC"], cells)


def detect_in_files(paths: Sequence[Path], *, false_alarms: float) -> list[Detection]:
    """Return `detect` of predictions.npz files, the first in distribution; INVALID unless all are of one model."""
    in_distribution, *others = (from_bytes(path.read_bytes()) for path in paths)
    if any(other.model != in_distribution.model for other in others):
        detail = f"all predictions have to be of {in_distribution.model}: embeddings of two models can't be compared"
        raise DermisError(Kind.INVALID, "PREDICTIONS", detail)
    return detect(in_distribution, list(zip(map(str, paths[1:]), others, strict=True)), false_alarms=false_alarms)
