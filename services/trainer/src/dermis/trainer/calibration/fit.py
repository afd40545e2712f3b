"""Fits what says how far a bundle's answers can be relied on: calibration, sets, abstention, outliers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dermis.data.scin.taxonomy import load_taxonomy
from dermis.shared.manifest import (
    URGENCY_THRESHOLD,
    AbstentionRule,
    Calibration,
    Condition,
    GroupedAnswers,
    MalignantRule,
    OutlierRule,
    PredictionSets,
)
from dermis.trainer.calibration.calibrate import Groups, abstention_rule, malignant_rule, prediction_sets
from dermis.trainer.calibration.grouped_answers import fit_grouped_answers
from dermis.trainer.calibration.outliers import fit_outliers
from dermis.trainer.calibration.temperature import temperature
from dermis.trainer.calibration.urgency import urgency_threshold
from dermis.trainer.metrics import Floats, Ints
from dermis.worker.core.differential import calibrate, prediction_set
from dermis.worker.core.outliers import Outliers


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationTargets:
    """`coverage` of prediction sets.

    `abstention`: the rule to take as it is, or, with a `risk`, where none keeps that (of top `top`).

    `false_alarms`: share of cases like those of training that the outlier rule may cost; None for no such rule.
    `malignant`: names of conditions, see `malignant_rule`.

    `taxonomy`: by whose groups to answer, at the same `coverage`; None: by conditions alone.
    """

    coverage: float
    abstention: AbstentionRule
    risk: float | None = None
    top: int = 3
    false_alarms: float | None = None
    malignant: tuple[str, ...] = ()
    malignant_coverage: float = 0.95
    taxonomy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The manifest's fields of the same names; `outlier_statistics` is what the bundle's outlier file holds."""

    calibration: Calibration
    prediction_sets: PredictionSets
    abstention: AbstentionRule
    outliers: OutlierRule | None
    outlier_statistics: Outliers | None
    malignant: MalignantRule | None = None
    grouped_answers: GroupedAnswers | None = None
    urgency_threshold: float = URGENCY_THRESHOLD
    urgency_calibrated_on: int | None = None


def fit_trust(
    wanted: CalibrationTargets,
    *,
    raw: Floats,
    target: Floats,
    labels: Ints,
    groups: Groups,
    embedding: Floats,
    training_embedding: Floats,
    conditions: Sequence[Condition] = (),
) -> Trust:
    """Fit on the calibration cases.

    Arguments: `raw` probabilities [N,K], `target` [N,K], `labels` [N], sFST `groups`, `embedding` [N,E].

    `training_embedding` [M,E]: of the cases that the model was trained on. `conditions`: the K.
    """
    chosen = temperature(raw, target)
    probabilities = calibrate(raw, chosen)
    sets = prediction_sets(probabilities, target, groups, coverage=wanted.coverage)
    rule = None
    if wanted.risk is not None:
        lowest = min(sets.thresholds.values())
        least = [sets.thresholds[group] if group else lowest for group in groups]
        sizes = np.array([prediction_set(row, limit).sum() for row, limit in zip(probabilities, least, strict=True)])
        rule = abstention_rule(
            probabilities, labels, sizes, max_set_size=wanted.abstention.max_set_size, top=wanted.top, risk=wanted.risk
        )
    grouped = None
    if wanted.taxonomy is not None:
        taxonomy = load_taxonomy(wanted.taxonomy)
        grouped = fit_grouped_answers(
            probabilities,
            target,
            conditions,
            taxonomy.groups_of(conditions),
            coverage=wanted.coverage,
            taxonomy=taxonomy.reference,
        )
    outliers = None
    if wanted.false_alarms is not None:
        outliers = fit_outliers(training_embedding, embedding, false_alarms=wanted.false_alarms)
    return Trust(
        calibration=Calibration(temperature=chosen),
        prediction_sets=sets,
        abstention=rule or wanted.abstention,
        grouped_answers=grouped,
        urgency_threshold=urgency_threshold(probabilities, target),
        urgency_calibrated_on=len(target),
        outliers=outliers[1] if outliers else None,
        outlier_statistics=outliers[0] if outliers else None,
        malignant=malignant_rule(
            probabilities, labels, conditions, wanted.malignant, coverage=wanted.malignant_coverage
        ),
    )
