"""The evaluation report: every figure with its n, its interval, its floor and what a perfect model would show.

`docs/explanation/evaluation.md` says what each figure means, `dermis.shared.evaluation` how the report is written;
`page.py` makes it a page.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import (
    FORMAT,
    AnsweredByType,
    CohortStep,
    Confusion,
    EvaluationReport,
    Figure,
    Figures,
    Floors,
    GraderAgreement,
    GroupCoverage,
    Interval,
    PerfectModel,
    Slice,
)
from dermis.shared.manifest import Manifest
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.trainer import metrics as measures
from dermis.trainer.evaluation.cohort import evaluated_steps
from dermis.trainer.evaluation.conditions import condition_rows, ranking_curves
from dermis.trainer.evaluation.decisions import at, decided
from dermis.trainer.evaluation.gaps import gaps_between
from dermis.trainer.evaluation.grouped_answers import grouped_rows
from dermis.trainer.evaluation.intervals import rounded, rounded_pair, with_interval, with_intervals
from dermis.trainer.evaluation.malignant import benign_alarms, malignant_rows
from dermis.trainer.evaluation.mistakes import worst_mistakes
from dermis.trainer.evaluation.predictions import Predictions
from dermis.trainer.evaluation.slices import TYPE_SCALES, cut_by, fitzpatrick_types, slices
from dermis.trainer.evaluation.trust import reliability_bins, risk_curves, soft_band
from dermis.trainer.metrics import Floats, Judged
from dermis.trainer.registry.gate import N_MIN
from dermis.worker.core.differential import FITZPATRICK_GROUPS
from dermis.worker.core.outliers import Outliers


def evaluate(
    manifest: Manifest,
    predictions: Predictions,
    *,
    prior: Floats,
    calibrated_on: int | None,
    data: str,
    outliers: Outliers | None = None,
    graders: Sequence[Sequence[Mapping[str, float]]] | None = None,
    cohort: Sequence[CohortStep] = (),
    draws: int = measures.DRAWS,
    by_fold: Mapping[int, Manifest] | None = None,
) -> EvaluationReport:
    """Return the report; each case is decided as the worker decides it, and the same input gives the same report.

    `prior` [K]: the conditions' shares in training. `calibrated_on`: cases behind the thresholds, None if unknown.
    `graders`: of each case each grader's differential, where they can be told apart. `cohort`: the steps from the data
    set to these cases. `by_fold`: of pooled predictions the manifest of each fold's model (`by_other_folds`). Cases
    without a condition that the model knows are counted and left out.
    """
    labelled = predictions.labels >= 0
    if not labelled.any():
        detail = f"none of {len(predictions)} cases has a condition that {manifest.key} knows: measure on others"
        raise DermisError(Kind.INVALID, "NO_LABEL", detail)
    unlabelled = int((~labelled).sum())
    graders = None if graders is None else list(itertools.compress(graders, labelled))
    every, predictions = predictions, at(predictions, labelled)
    judged, strange = decided(manifest, predictions, outliers, by_fold=by_fold)
    rng = np.random.default_rng(0)
    weights = measures.draw_weights(predictions.groups, rng, draws=draws)
    bootstrapped = measures.figures(judged, weights)
    if strange is not None:
        bootstrapped["out_of_distribution"] = measures.mean(strange, weights)
    overall = with_intervals(bootstrapped, predictions.groups, judged.answered)
    confidence = judged.probabilities.max(1)
    mass = judged.target[np.arange(len(judged)), judged.probabilities.argmax(1)]
    cut = slices(manifest, predictions)
    rows = {
        name: _rows(values, judged, weights, predictions.groups, strange, prior=prior) for name, values in cut.items()
    }
    return EvaluationReport(
        format=FORMAT,
        model=predictions.model,
        purpose=manifest.purpose,
        data=data,
        data_digest=predictions.data,
        n=len(judged),
        groups=len(set(predictions.groups)),
        unlabelled=unlabelled,
        answered_n=int(judged.answered.sum()),
        folds=len(set(predictions.fold.tolist())),
        interval=f"95 %, bootstrap over groups of connected cases, {draws} draws; none under {measures.FEWEST_GROUPS} "
        "groups; Wilson's over groups where a share is 0 or 1",
        metrics={
            name: rounded(bootstrapped[name][0])
            for name in ("top_1", "top_3", "expected_calibration_error", "set_coverage", "abstained")
        },
        mean_set_size=rounded(bootstrapped["set_size"][0]),
        intervals={name: overall[name].interval for name in ("top_1", "top_3")},
        overall=overall,
        calibrated_on=calibrated_on,
        prior={
            condition.name: round(float(share), 6) for condition, share in zip(manifest.conditions, prior, strict=True)
        },
        floors=_floors(judged, prior),
        shown=_by_input(predictions, weights),
        perfect_model_at_this_n=PerfectModel(
            expected_calibration_error=rounded_pair(measures.perfect_calibration_error(confidence, rng, draws=draws)),
            expected_calibration_error_soft=rounded_pair(soft_band(confidence, mass, rng, draws)),
            set_coverage=_exact_coverage(manifest, rng, calibrated_on=calibrated_on, n=len(judged)),
            meaning="calibration error: mean and 95th percentile; coverage: middle 95 %, one threshold for all; "
            "sets hold at least the most probable condition, so coverage is at least top-1",
        ),
        coverage=_coverage(manifest, rows["fitzpatrick_group"], rng),
        slices=rows,
        gaps=gaps_between(judged, predictions.groups, cut, weights, rng),
        reliability=reliability_bins(confidence, mass, judged, weights, predictions.groups),
        risk_coverage=risk_curves(judged, weights, predictions.groups, cut["monk_bin"]),
        confusion=_confusion(manifest, judged),
        human_agreement=_human(graders, predictions.groups, rng),
        malignant=malignant_rows(manifest, judged, weights, predictions.groups),
        benign_with_malignant=benign_alarms(manifest, judged, weights, predictions.groups),
        answered_by_type=_answered_by_type(manifest, predictions, outliers, weights, by_fold=by_fold),
        grouped_answers=grouped_rows(manifest, judged, weights, predictions.groups, cut, prior=prior, by_fold=by_fold),
        n_min=N_MIN,
        by_condition=condition_rows(manifest, judged, weights, predictions.groups),
        curves=ranking_curves(manifest, judged, n_min=N_MIN),
        mistakes=worst_mistakes(manifest, predictions, judged),
        cohort=(*cohort, *evaluated_steps(every, labelled, judged)),
    )


def _answered_by_type(
    manifest: Manifest,
    predictions: Predictions,
    outliers: Outliers | None,
    weights: Floats,
    *,
    by_fold: Mapping[int, Manifest] | None,
) -> AnsweredByType | None:
    """Return what telling the type changes; by the scale that the bundle counts people by, as if they had told it."""
    types = fitzpatrick_types(predictions, TYPE_SCALES[manifest.knowledge.scale if manifest.knowledge else "painted"])
    here = np.array([FITZPATRICK_GROUPS.get(each) is not None for each in types])
    if not here.any():
        return None
    groups, among = list(itertools.compress(predictions.groups, here)), at(predictions, here)

    def answered(reported: Sequence[FitzpatrickSkinType | None]) -> Figure:
        judged, _ = decided(manifest, among, outliers, by_fold=by_fold, types=reported)
        return with_interval(measures.mean(judged.answered, weights[:, here]), groups)

    return AnsweredByType(
        n=len(among),
        with_type=answered(list(itertools.compress(types, here))),
        without_type=answered([None] * len(among)),
    )


def _rows(
    values: Sequence[str],
    judged: Judged,
    weights: Floats,
    groups: Sequence[str],
    strange: measures.Hits | None,
    *,
    prior: Floats,
) -> tuple[Slice, ...]:
    rows = []
    for value, here in cut_by(values):
        bootstrapped = measures.figures(judged.at(here), weights[:, here])
        if strange is not None:
            bootstrapped["out_of_distribution"] = measures.mean(strange[here], weights[:, here])
        own = list(itertools.compress(groups, here))
        row: dict[str, Any] = {"value": value, "n": int(here.sum()), "groups": len(set(own))}
        row["answered_n"] = int(judged.answered[here].sum())
        for name, figure in with_intervals(bootstrapped, own, judged.answered[here]).items():
            row[name], row[f"{name}_interval"] = figure.value, figure.interval
        for top in measures.TOPS:
            row[f"top_{top}_floor"] = rounded(measures.floor(judged.labels[here], prior, top=top))
            row[f"top_{top}_soft_floor"] = rounded(measures.soft_floor(judged.target[here], prior, top=top))
        rows.append(Slice.model_validate(row))
    return tuple(rows)


def _floors(judged: Judged, prior: Floats) -> Floors:
    best = judged.target.mean(0)
    hard = np.bincount(judged.labels, minlength=len(prior)) / len(judged)
    floors: dict[str, float | None] = {}
    for top in measures.TOPS:
        floors[f"top_{top}"] = rounded(measures.floor(judged.labels, prior, top=top))
        floors[f"top_{top}_soft"] = rounded(measures.soft_floor(judged.target, prior, top=top))
        floors[f"top_{top}_best_constant"] = rounded(measures.floor(judged.labels, hard, top=top))
        floors[f"top_{top}_soft_best_constant"] = rounded(measures.soft_floor(judged.target, best, top=top))
    meaning = (
        "the best constant list, by the training cases' prior; best_constant: by these very cases, the most any "
        "list could score"
    )
    return Floors.model_validate(floors | {"meaning": meaning})


def _by_input(predictions: Predictions, weights: Floats) -> dict[str, Figures]:
    """Return what each of images and answers gives alone.

    By the raw probabilities, as calibration was made for both together.
    """
    rows: dict[str, Figures] = {}
    for what, table in predictions.raw.items():
        values = {
            f"top_{top}": measures.mean(measures.hits(table, predictions.labels, top=top), weights)
            for top in measures.TOPS
        }
        values["top_3_soft"] = measures.mean(measures.soft_hits(table, predictions.target, top=3), weights)
        alone = Judged.undecided(table, labels=predictions.labels, target=predictions.target, fold=predictions.fold)
        values |= measures.of_ranking(alone, weights)
        figures = with_intervals(values, predictions.groups)
        flat: dict[str, float | Interval] = {name: figure.value for name, figure in figures.items()}
        rows[what] = Figures.model_validate(
            flat | {f"{name}_interval": figure.interval for name, figure in figures.items()}
        )
    return rows


def _exact_coverage(manifest: Manifest, rng: np.random.Generator, *, calibrated_on: int | None, n: int) -> Interval:
    if not calibrated_on:
        return None
    return rounded_pair(
        measures.perfect_coverage(manifest.prediction_sets.coverage, rng, calibrated_on=calibrated_on, n=n)
    )


def _coverage(manifest: Manifest, rows: Sequence[Slice], rng: np.random.Generator) -> tuple[GroupCoverage, ...]:
    """Return the coverage of each self-reported Fitzpatrick group beside what exact thresholds would show.

    No claim for pooled ones.
    """
    sets, groups = manifest.prediction_sets, []
    thresholds: dict[str, float] = dict(sets.thresholds.items())
    calibrated_on: dict[str, int] = dict(sets.calibrated_on.items())
    for row in rows:
        cases = calibrated_on.get(row.value)
        claimed = row.value not in sets.pooled
        groups.append(
            GroupCoverage(
                value=row.value,
                n=row.n,
                threshold=thresholds.get(row.value),
                calibrated_on=cases,
                claimed=sets.coverage if claimed else None,
                pooled=not claimed,
                set_coverage_soft=row.figures["set_coverage_soft"].value,
                set_coverage_soft_interval=row.figures["set_coverage_soft"].interval,
                set_coverage=row.figures["set_coverage"].value,
                set_coverage_interval=row.figures["set_coverage"].interval,
                set_size=row.figures["set_size"].value,
                perfect_model_at_this_n=_exact_coverage(
                    manifest, rng, calibrated_on=cases if claimed else None, n=row.n
                ),
            )
        )
    return tuple(groups)


def _confusion(manifest: Manifest, judged: Judged) -> Confusion:
    table = np.zeros((len(manifest.conditions),) * 2, int)
    np.add.at(table, (judged.labels, np.argsort(-judged.probabilities, axis=1, kind="stable")[:, 0]), 1)
    return Confusion(
        conditions=tuple(condition.name for condition in manifest.conditions), rows="reference", n=table.tolist()
    )


def _human(
    graders: Sequence[Sequence[Mapping[str, float]]] | None, groups: Sequence[str], rng: np.random.Generator
) -> GraderAgreement:
    if graders is None:
        return GraderAgreement(n=0)
    agreement = {}
    for name, value in measures.agreement_of_graders(graders, groups, rng).items():
        agreement[name] = (
            rounded_pair(value) if isinstance(value, tuple) else rounded(value) if isinstance(value, float) else value
        )
    return GraderAgreement.model_validate(agreement)
