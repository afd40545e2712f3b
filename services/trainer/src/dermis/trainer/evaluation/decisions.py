"""The cases of an evaluation: each decided as the worker decides it, and what they are cut by."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dermis.shared.case import OutcomeKind
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import Manifest
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.trainer.calibration.fit import CalibrationTargets, fit_trust
from dermis.trainer.evaluation.predictions import SERVED, Predictions
from dermis.trainer.evaluation.slices import fitzpatrick_groups, fitzpatrick_types
from dermis.trainer.metrics import Hits, Judged
from dermis.worker.core.differential import decide
from dermis.worker.core.outliers import Outliers


def at(predictions: Predictions, here: Hits) -> Predictions:
    """Return the predictions of some of the cases, bool[N]."""
    return replace(
        predictions,
        ids=tuple(itertools.compress(predictions.ids, here)),
        groups=tuple(itertools.compress(predictions.groups, here)),
        target=predictions.target[here],
        labels=predictions.labels[here],
        raw={modality: values[here] for modality, values in predictions.raw.items()},
        embedding=predictions.embedding[here],
        slices={name: tuple(itertools.compress(values, here)) for name, values in predictions.slices.items()},
        fold=predictions.fold[here],
        texture_score=None if predictions.texture_score is None else predictions.texture_score[here],
        images=None if predictions.images is None else tuple(itertools.compress(predictions.images, here)),
    )


def by_other_folds(manifest: Manifest, predictions: Predictions, wanted: CalibrationTargets) -> dict[int, Manifest]:
    """Return a manifest for each fold of pooled predictions.

    Its temperature, sets and abstention are fitted on the other folds' cases.
    """
    labelled, decided = predictions.labels >= 0, {}
    for fold in sorted(set(predictions.fold.tolist())):
        others = at(predictions, labelled & (predictions.fold != fold))
        trust = fit_trust(
            replace(wanted, false_alarms=None),  # embeddings of two models can't be compared
            raw=others.raw[SERVED],
            target=others.target,
            labels=others.labels,
            groups=fitzpatrick_groups(others),
            embedding=others.embedding,
            training_embedding=others.embedding,
            conditions=others.conditions,
        )
        update = {
            "calibration": trust.calibration,
            "prediction_sets": trust.prediction_sets,
            "abstention": trust.abstention,
            "malignant": trust.malignant,
            "grouped_answers": trust.grouped_answers,
            "urgency_threshold": trust.urgency_threshold,
            "urgency_calibrated_on": trust.urgency_calibrated_on,
        }
        decided[fold] = manifest.model_copy(update=update)
    return decided


def decided(
    manifest: Manifest,
    predictions: Predictions,
    outliers: Outliers | None = None,
    *,
    by_fold: Mapping[int, Manifest] | None = None,
    types: Sequence[FitzpatrickSkinType | None] | None = None,
) -> tuple[Judged, Hits | None]:
    """Return the cases as the worker decides them, and which it calls out of distribution, None without such a rule.

    A case without an image has an embedding of zeros, which says nothing: it is not scored. `types`: the skin types
    that people tell, else those of the predictions.
    """
    if predictions.conditions != manifest.conditions:
        raise DermisError(
            Kind.INVALID,
            "CONDITIONS",
            f"the predictions are of other conditions than {manifest.key}'s: predict again with it",
        )
    none = [None] * len(predictions)
    scores, textures = _outlier_scores(manifest, predictions, outliers), _texture_scores(manifest, predictions)
    column = {condition.id: k for k, condition in enumerate(manifest.conditions)}
    probabilities = np.zeros((len(predictions), len(column)))
    sets, answered, strange = (
        np.zeros(probabilities.shape, bool),
        np.zeros(len(predictions), bool),
        np.zeros(len(predictions), bool),
    )
    reasons: list[str] = []
    reported = fitzpatrick_types(predictions) if types is None else types
    rows = zip(predictions.raw[SERVED], reported, scores or none, textures or none, strict=True)
    for row, (raw, fitzpatrick, outlier_score, texture_score) in enumerate(rows):
        of = by_fold[int(predictions.fold[row])] if by_fold else manifest
        decision = decide(raw, of, fitzpatrick, outlier_score=outlier_score, texture_score=texture_score)
        answered[row], strange[row] = (
            decision.kind is OutcomeKind.DIFFERENTIAL,
            decision.reason == "OUT_OF_DISTRIBUTION",
        )
        reasons.append(decision.reason or "")
        for ranked in decision.differential:
            probabilities[row, column[ranked.condition]] = ranked.probability
            sets[row, column[ranked.condition]] = ranked.in_prediction_set
    judged = Judged(
        probabilities=probabilities,
        labels=predictions.labels,
        target=predictions.target,
        sets=sets,
        answered=answered,
        fold=predictions.fold,
        reasons=tuple(reasons),
    )
    return judged, strange if scores or textures else None


def _outlier_scores(
    manifest: Manifest, predictions: Predictions, outliers: Outliers | None
) -> list[float | None] | None:
    if not manifest.outliers or not outliers:
        return None
    scores = outliers.score(predictions.embedding)
    return [float(score) if row.any() else None for score, row in zip(scores, predictions.embedding, strict=True)]


def _texture_scores(manifest: Manifest, predictions: Predictions) -> list[float | None] | None:
    if not manifest.textures or predictions.texture_score is None:
        return None
    return [None if np.isnan(score) else float(score) for score in predictions.texture_score]
