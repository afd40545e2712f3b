"""How well each condition is recognised against all others: sensitivity, AUROC, ROC and precision-recall curves."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from dermis.shared.evaluation import ConditionRow, RankingCurve
from dermis.shared.manifest import Manifest
from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.intervals import with_interval
from dermis.trainer.metrics import Floats, Hits, Judged

MACRO = "macro"
POINTS = 50
_FALSE_ALARMS = np.linspace(0, 1, POINTS - 1) ** 2
"""Closer where curves of a useful model are steep."""
_RECALLS = np.arange(1, POINTS + 1) / POINTS


def condition_rows(
    manifest: Manifest, judged: Judged, weights: Floats, groups: Sequence[str]
) -> tuple[ConditionRow, ...]:
    """Return a row for each condition that a case has; an interval counts the groups of the condition's own cases."""
    first = np.argsort(-judged.probabilities, axis=1, kind="stable")[:, 0]
    rows = []
    for k, condition in enumerate(manifest.conditions):
        here = np.asarray(judged.labels == k)
        if not here.any():
            continue
        own = list(itertools.compress(groups, here))
        auroc, precision = measures.ranking(judged.probabilities[:, k], here, judged.fold, weights)
        rows.append(
            ConditionRow(
                condition=condition.name,
                n=int(here.sum()),
                groups=len(set(own)),
                sensitivity=with_interval(measures.mean(first[here] == k, weights[:, here]), own),
                auroc=with_interval(auroc, own, share=False),
                average_precision=with_interval(precision, own, share=False),
            )
        )
    return tuple(rows)


def ranking_curves(manifest: Manifest, judged: Judged, *, n_min: int) -> tuple[RankingCurve, ...]:
    """Return the mean curve over the conditions, and that of each condition of at least `n_min` cases.

    Only cases of one fold are ranked against each other, as in `metrics.ranking`: sensitivities at one share of false
    alarms are averaged over folds by their pairs, precisions at one recall by their positives. So the areas are AUROC
    and average precision, but for the distance between points.
    """
    curves = {}
    for k, condition in enumerate(manifest.conditions):
        positive = np.asarray(judged.labels == k)
        if several := list(_of_folds(judged.probabilities[:, k], positive, judged.fold)):
            sensitive, precise, pairs, positives = (np.array(each) for each in zip(*several, strict=True))
            roc, recall = np.average(sensitive, 0, pairs), np.average(precise, 0, positives)
            curves[condition.name] = int(positive.sum()), roc, recall
    if not curves:
        return ()
    cases, sensitivities, precisions = zip(*curves.values(), strict=True)
    macro = _curve(MACRO, sum(cases), np.mean(sensitivities, 0), np.mean(precisions, 0))
    return (macro, *(_curve(name, *curve) for name, curve in curves.items() if curve[0] >= n_min))


def _of_folds(scores: Floats, positive: Hits, fold: measures.Ints) -> Iterator[tuple[Floats, Floats, int, int]]:
    """Yield, of each fold with cases on both sides, sensitivities, precisions, pairs and positives."""
    for each in np.unique(fold):
        here = fold == each
        there = positive[here]
        positives = int(there.sum())
        if 0 < positives < len(there):
            false_alarms, sensitivity, _ = roc_curve(there, scores[here])
            precision, recall, _ = precision_recall_curve(there, scores[here])
            precision, recall = precision[-2::-1], recall[-2::-1]  # without its end at no case, from the most certain
            step = np.searchsorted(recall, _RECALLS - 1e-9)
            at = np.interp(_FALSE_ALARMS, false_alarms, sensitivity)
            yield at, precision[step], positives * (len(there) - positives), positives


def _curve(name: str, n: int, sensitivity: Floats, precision: Floats) -> RankingCurve:
    roc = [(0.0, 0.0), *zip(_FALSE_ALARMS, sensitivity, strict=True)]
    recalls = zip(_RECALLS, precision, strict=True)
    return RankingCurve(of=name, n=n, roc=_rounded(roc), precision_recall=_rounded(list(recalls)))


def _rounded(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(across), 4), round(float(up), 4)) for across, up in points)
