"""What labels can be told from without looking at skin: what is missing, and how images were stored.

Floors beside every gain of answers or images: a model that scores no more than these has learned a form or a copy.
Logistic regression, folds by group; its strength is chosen by inner folds:
python -m dermis.trainer.benchmarks.shortcuts --data FOLDER
"""

import argparse
import sys
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import GroupKFold

from dermis.data.dataset import Dataset, conditions_of, open_dataset
from dermis.data.samples import NOT_GIVEN, Sample
from dermis.shared.errors import DermisError
from dermis.shared.vocabulary import ScinAnswers
from dermis.trainer import metrics as measures
from dermis.trainer.benchmarks.regression import fit_regression
from dermis.trainer.evaluation.intervals import with_interval
from dermis.trainer.metrics import Floats, Ints
from dermis.trainer.model.feature_schema import every_answer
from dermis.trainer.model.inputs import features, targets
from dermis.worker.core.decode import decode

FOLDS, SEED = 5, 0
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Inverse strengths of L2 that the regression chooses from, in each fold by its training cases alone."""
INNER_FOLDS = 3
_ANSWERS = ("fitzpatrick_self", "fitzpatrick_estimated", "age_group", "sex_at_birth", "race_ethnicity")


def missing_answers(dataset: Dataset) -> Floats:
    """Return [N, answers] of 0 and 1: which answers the self-reports lack."""
    return np.array(
        [[getattr(s.report, name) is None for name in ScinAnswers.model_fields] for s in dataset.samples], float
    )


def missing_in_the_table(dataset: Dataset) -> Floats:
    """Return the same with what the table tells of people beside the answers, and no model is told."""
    missing = np.array([[s.slices[name] == NOT_GIVEN for name in _ANSWERS] for s in dataset.samples], float)
    return np.hstack([missing_answers(dataset), missing])


def size_and_aspect(dataset: Dataset) -> Floats:
    """Return [N, 5]: of a case's first image log width, log height, log aspect, whether it is square, bytes a pixel."""

    def of(sample: Sample) -> list[float]:
        data = dataset.read(sample.images[0]) if sample.images else None
        try:
            height, width = decode(data).image.shape[:2] if data else (1, 1)
        except DermisError:
            height, width = 1, 1
        aspect = float(np.log(width / height))
        return [np.log(width), np.log(height), aspect, float(width == height), len(data or b"") / width / height]

    table = np.array([of(sample) for sample in dataset.samples])
    return np.asarray((table - table.mean(0)) / np.maximum(table.std(0), 1e-6))


def answers(dataset: Dataset) -> Floats:
    return np.asarray(features(dataset.samples, every_answer()), float)


FLOORS: dict[str, Callable[[Dataset], Floats]] = {
    "which answers are missing": missing_answers,
    "what is missing in the table": missing_in_the_table,
    "size and aspect of the image": size_and_aspect,
    "answers": answers,
}


def out_of_fold(rows: Floats, dataset: Dataset, target: Floats) -> Floats:
    """Return probabilities [N, K] of cases, each by a regression on the other folds."""
    split = dataset.split(seed=SEED, folds=FOLDS)
    fold_of = {case.case_id: case.fold for case in split.cases}
    folds = np.array([-1 if (fold := fold_of[sample.id]) is None else fold for sample in dataset.samples])
    groups = np.array([sample.group for sample in dataset.samples])
    whole = np.tile(target.mean(0), (len(rows), 1))
    for fold in range(FOLDS):
        kept, tested = folds != fold, folds == fold
        losses = {c: inner_loss(rows[kept], target[kept], groups[kept], c) for c in STRENGTHS}
        strength = min(losses, key=losses.__getitem__)
        whole[tested] = fit_regression(rows[kept], target[kept], strength=strength)(rows[tested])
    return whole


def inner_loss(rows: Floats, target: Floats, groups: Ints, strength: float) -> float:
    loss = 0.0
    for kept, checked in GroupKFold(INNER_FOLDS).split(rows, groups=groups):
        predicted = fit_regression(rows[kept], target[kept], strength=strength)(rows[checked])
        loss -= float((target[checked] * np.log(np.maximum(predicted, 1e-9))).sum())
    return loss


def table(dataset: Dataset, names: Sequence[str] = tuple(FLOORS)) -> str:
    """Return the floors as Markdown; the images of a data set that holds none have no size."""
    dataset = dataset.labelled()
    target, labels = targets(dataset.samples, conditions_of(dataset.samples))
    groups = [sample.group for sample in dataset.samples]
    weights = measures.draw_weights(groups, np.random.default_rng(SEED))
    lines = [f"{dataset.name}, n = {len(dataset)}, {target.shape[1]} conditions.", ""]
    lines += ["| learned from | top-1 | balanced accuracy | macro AUROC |", "|---|---|---|---|"]
    most = np.bincount(labels).max() / len(labels)
    lines.append(f"| nothing: always the most frequent | {most:.3f} | {1 / len(set(labels)):.3f} | 0.500 |")
    for name in names:
        predicted = out_of_fold(FLOORS[name](dataset), dataset, target)
        top_1 = with_interval(measures.mean(measures.hits(predicted, labels, top=1), weights), groups)
        low, high = top_1.interval or (float("nan"), float("nan"))
        present = [k for k in range(target.shape[1]) if (labels == k).sum() >= FOLDS]
        auroc = np.mean([roc_auc_score(labels == k, predicted[:, k]) for k in present])
        balanced = balanced_accuracy_score(labels, predicted.argmax(1))
        lines.append(f"| {name} | {top_1.value:.3f} ({low:.3f}-{high:.3f}) | {balanced:.3f} | {auroc:.3f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="State what labels can be told from without looking at skin.")
    parser.add_argument("--data", required=True, action="append", metavar="FOLDER", help="a data set; repeatable")
    for url in parser.parse_args().data:
        dataset = open_dataset(url)
        first = next((sample.images[0] for sample in dataset.samples if sample.images), "")
        names = [name for name in FLOORS if "image" not in name or dataset.read(first) is not None]
        print(table(dataset, names), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
