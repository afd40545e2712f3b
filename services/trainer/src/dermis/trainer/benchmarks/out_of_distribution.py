"""Out-of-distribution detection: how often the outlier rule flags cases of its own data set, and of others.

Cases of the first data set have alarms at about the stated rate and an AUROC of 0.5; of others the more the better.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from dermis.data.dataset import Dataset, conditions_of, open_dataset
from dermis.data.report.markdown import markdown_table
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import Figure
from dermis.shared.manifest import OutlierRule
from dermis.trainer import metrics as measures
from dermis.trainer.benchmarks.contenders import Conditions
from dermis.trainer.benchmarks.cross_validation import FOLDS, SEED, fold_file, resumable
from dermis.trainer.benchmarks.figures import TONES
from dermis.trainer.benchmarks.report import BenchmarkReport, cell
from dermis.trainer.benchmarks.unrelated_images import UNRELATED, unrelated_images
from dermis.trainer.calibration.outliers import fit_outliers
from dermis.trainer.configs import fitzpatrick17k
from dermis.trainer.evaluation.predict import predict_uncalibrated
from dermis.trainer.evaluation.predictions import Predictions, from_bytes
from dermis.trainer.evaluation.report import with_interval
from dermis.trainer.metrics import Floats
from dermis.trainer.training.options import Workspace
from dermis.trainer.training.parts import Parts
from dermis.trainer.training.train import fit_model
from dermis.worker.core.outliers import Outliers

NEW = "new cases of the first data set"
UNRELATED_COUNT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Cases of a data set: scores [N] as shares of the rule's threshold, and groups of connected cases."""

    name: str
    scores: Floats
    groups: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The share of `n` cases above the threshold, and the AUROC of the score against new cases of the first data set.

    Each figure has its interval; None without a case.
    """

    name: str
    n: int
    alarms: Figure
    auroc: Figure


def detections(base: Scored, others: Iterable[Scored], *, seed: int = 0) -> list[Detection]:
    """Return the alarms and the AUROC of the first data set's new cases and of each other data set."""
    rng = np.random.default_rng(seed)
    base_weights = measures.draw_weights(base.groups, rng)

    def of(cases: Scored) -> Detection:
        weights = base_weights if cases is base else np.empty((1, 0))
        if cases is not base and len(cases.scores):
            weights = measures.draw_weights(cases.groups, rng)
        auroc = measures.told_apart(base.scores, cases.scores, base_weights[: len(weights)], weights)
        alarms = with_interval(measures.mean(cases.scores > 1, weights), cases.groups)
        return Detection(name=cases.name, n=len(cases.scores), alarms=alarms, auroc=with_interval(auroc, cases.groups))

    return [of(base), *map(of, others)]


def detections_table(rows: Sequence[Detection]) -> str:
    cells = [[row.name, row.n, cell(row.alarms), cell(row.auroc)] for row in rows]
    return markdown_table(["cases", "n", "flagged", "AUROC against the first"], cells)


def detect(
    in_distribution: Predictions,
    others: Sequence[tuple[str, Predictions]],
    *,
    false_alarms: float = 0.02,
    seed: int = 0,
) -> list[Detection]:
    """Return how a rule for one data set does on its new cases and on others; its cases are cut into parts by group.

    Half are to train, a quarter each to calibrate and to test. INVALID where these are too few for a rule.
    """
    _, block = np.unique(in_distribution.groups, return_inverse=True)
    part = np.random.default_rng(seed).permutation(np.arange(block.max() + 1) % 4)[block]
    embedding = in_distribution.embedding
    outliers, rule = fitted_rule(embedding[part < 2], embedding[part == 2], false_alarms)

    def scored(name: str, cases: Predictions, here: Floats | slice = slice(None)) -> Scored:
        rows, groups = cases.embedding[here], np.asarray(cases.groups)[here]
        embedded = np.any(rows != 0, axis=1)
        scores = outliers.score(rows[embedded]) / rule.threshold
        return Scored(name=name, scores=scores, groups=groups[embedded].tolist())

    base = scored(NEW, in_distribution, part == 3)
    return detections(base, [scored(name, other) for name, other in others], seed=seed)


def fitted_rule(training: Floats, calibration: Floats, false_alarms: float) -> tuple[Outliers, OutlierRule]:
    """Return the rule of embeddings [N,E] and [M,E]; INVALID where they are too few for it."""
    fitted = fit_outliers(training, calibration, false_alarms=false_alarms)
    if fitted is None:
        count = int(np.any(calibration != 0, axis=1).sum())
        detail = f"{count} calibration cases state no {false_alarms:.1%} threshold: use a larger data set"
        raise DermisError(Kind.INVALID, "TOO_FEW_CASES", detail)
    return fitted


def detect_in_files(paths: Sequence[Path], *, false_alarms: float) -> list[Detection]:
    """Return `detect` of predictions.npz files, the first in distribution; INVALID unless all are of one model."""
    in_distribution, *others = (from_bytes(path.read_bytes()) for path in paths)
    if any(other.model != in_distribution.model for other in others):
        detail = f"all predictions have to be of {in_distribution.model}: embeddings of two models can't be compared"
        raise DermisError(Kind.INVALID, "PREDICTIONS", detail)
    return detect(in_distribution, list(zip(map(str, paths[1:]), others, strict=True)), false_alarms=false_alarms)


def run_unseen(data: str, *others: str, cache: Path) -> BenchmarkReport:
    """Return how the rule tells held-out photos from other images: in each fold a model and a rule that never saw it.

    As in a bundle made by `--on-all`, the rule is fitted on every other group of the training photos and calibrated on
    the rest. Every other image is judged by the rule of one fold.
    """
    dataset = open_dataset(data, mapping="fitzpatrick17k").labelled()
    split, conditions = dataset.split(seed=SEED, folds=FOLDS), conditions_of(dataset.samples)
    other_sets = [*map(open_dataset, others), *(unrelated_images(name, UNRELATED_COUNT) for name in UNRELATED)]
    scores: dict[str, list[float]] = {other.name: [] for other in (dataset, *other_sets)}
    samples = {name: list(dataset.samples[:0]) for name in scores}
    for fold in range(FOLDS):
        training, tested = dataset.fold(split, fold)
        parts = {dataset.name: tested}
        parts |= {other.name: replace(other, samples=other.samples[fold::FOLDS]) for other in other_sets}
        path = fold_file(cache / "folds", "unseen", dataset, split, fold, [other.digest for other in other_sets])
        record = resumable(path, partial(_fold_scores, training, parts, conditions, cache))
        for name, part in parts.items():
            scores[name] += record[name]
            samples[name] += part.samples
    base, *rest = (
        Scored(name=name, scores=np.array(scores[name]), groups=[sample.group for sample in samples[name]])
        for name in scores
    )
    tones = [
        Scored(name=f"of the first, {group}", scores=base.scores[here], groups=np.array(base.groups)[here].tolist())
        for group, (scale, values) in TONES.items()
        if any(here := np.array([sample.slices[scale] in values for sample in samples[dataset.name]]))
    ]
    return BenchmarkReport(
        facts={
            "Data": f"{dataset.name}, {len(dataset)} cases; samples sha256:{dataset.digest}",
            "Folds": f"{FOLDS}, sha256:{split.digest}",
            "Rule": f"{fitzpatrick17k.CONFIG.false_alarms or 0:.0%} of false alarms wanted",
        },
        tables=detections_table(detections(base, [*rest, *tones])),
        figures={"scores": scores},
    )


def _fold_scores(
    training: Dataset, parts: Mapping[str, Dataset], conditions: Conditions, cache: Path
) -> dict[str, list[float]]:
    """Return the scores of each part by a model of the training cases and the rule of their embeddings."""
    config = fitzpatrick17k.CONFIG
    test = next(iter(parts.values()))
    workspace = Workspace(cache=cache, quiet=True)
    model, _ = fit_model(config, Parts(train=training, calibration=test, test=test), conditions, workspace)

    def embedding(dataset: Dataset) -> Floats:
        return predict_uncalibrated(model, config, dataset, conditions).embedding

    rows = embedding(training)
    _, place = np.unique([sample.group for sample in training.samples], return_inverse=True)
    outliers, rule = fitted_rule(rows[place % 2 == 0], rows[place % 2 == 1], config.false_alarms or 0.02)
    return {name: (outliers.score(embedding(part)) / rule.threshold).tolist() for name, part in parts.items()}
