"""All that a bundle says of when to believe it, fitted on the calibration part."""

from dataclasses import dataclass

import numpy as np

from dermis.shared.manifest import AbstentionRule, Calibration, OutlierRule, PredictionSets
from dermis.trainer.calibration.calibrate import Groups, abstention_rule, prediction_sets
from dermis.trainer.calibration.outliers import fit_outliers
from dermis.trainer.calibration.temperature import temperature
from dermis.trainer.metrics import Floats, Ints
from dermis.worker.core.differential import calibrate, prediction_set
from dermis.worker.core.outliers import Outliers


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationTargets:
    """`coverage` of prediction sets.

    `abstention`: the rule to take as it is, or, with a `risk`, where none keeps that (of top `top`).

    `false_alarms`: share of cases like those of training that the outlier rule may cost; None for no such rule.
    """

    coverage: float
    abstention: AbstentionRule
    risk: float | None = None
    top: int = 3
    false_alarms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The manifest's fields of the same names; `outlier_statistics` is what the bundle's outlier file holds."""

    calibration: Calibration
    prediction_sets: PredictionSets
    abstention: AbstentionRule
    outliers: OutlierRule | None
    outlier_statistics: Outliers | None


def fit_trust(
    wanted: CalibrationTargets,
    *,
    raw: Floats,
    target: Floats,
    labels: Ints,
    groups: Groups,
    embedding: Floats,
    training_embedding: Floats,
) -> Trust:
    """Fit on the calibration cases.

    Arguments: `raw` probabilities [N,K], `target` [N,K], `labels` [N], sFST `groups`, `embedding` [N,E].

    `training_embedding` [M,E]: of the cases that the model was trained on.
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
    outliers = None
    if wanted.false_alarms is not None:
        outliers = fit_outliers(training_embedding, embedding, false_alarms=wanted.false_alarms)
    return Trust(
        calibration=Calibration(temperature=chosen),
        prediction_sets=sets,
        abstention=rule or wanted.abstention,
        outliers=outliers[1] if outliers else None,
        outlier_statistics=outliers[0] if outliers else None,
    )
