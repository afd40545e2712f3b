"""Turns a model's probabilities into the differential, its prediction set, or an abstention."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dermis.shared.case import AnswerEntry, GroupedAnswer, OutcomeKind, RankedCondition
from dermis.shared.codes import codes_of
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import FitzpatrickGroup, MalignantRule, Manifest, OutlierRule, PredictionSets, TextureRule
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.worker.core.condition_groups import NestedAnswer, grouped_answer

Floats = npt.NDArray[np.floating[Any]]
_LEAST = 1e-12
_LEVELS: tuple[Literal["CONDITION"], Literal["GROUP"], Literal["BROAD_GROUP"]] = ("CONDITION", "GROUP", "BROAD_GROUP")
FITZPATRICK_GROUPS: dict[FitzpatrickSkinType | None, FitzpatrickGroup] = {
    FitzpatrickSkinType.FST1: "FST_I_II",
    FitzpatrickSkinType.FST2: "FST_I_II",
    FitzpatrickSkinType.FST3: "FST_III_IV",
    FitzpatrickSkinType.FST4: "FST_III_IV",
    FitzpatrickSkinType.FST5: "FST_V_VI",
    FitzpatrickSkinType.FST6: "FST_V_VI",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`differential` holds every condition, most probable first.

    `reason` is why not to rely on it, None unless abstained.

    `coverage` is what is claimed of the prediction set, None where the calibration cases were too few to claim any.

    `grouped_answer`: conditions or groups, by bundles that answer so, None where they abstain.
    """

    kind: OutcomeKind
    reason: str | None
    differential: tuple[RankedCondition, ...]
    coverage: float | None
    grouped_answer: GroupedAnswer | None = None


def decide(
    probabilities: Floats,
    manifest: Manifest,
    fitzpatrick: FitzpatrickSkinType | None,
    *,
    outlier_score: float | None = None,
    texture_score: float | None = None,
    answer_unmeasured: bool = False,
) -> Decision:
    """Calibrate and rank a model's probabilities [K], mark the prediction set, and abstain where the manifest says so.

    A bundle with `grouped_answers` answers by these: it abstains where no answer is sure enough, and neither a low
    probability nor a large set is a reason to.

    `outlier_score`: that of the case's embedding (`outliers.Outliers.score`), None where the bundle knows none.
    `texture_score`: that of its images (`texture.Textures.case_score`).
    `answer_unmeasured`: also answer people of a Fitzpatrick group for which the model was not measured.
    Raises INTERNAL if they are not one probability for each condition of the manifest.
    """
    values = np.asarray(probabilities)
    if (
        values.shape != (len(manifest.conditions),)
        or not np.isfinite(values).all()
        or values.min() < 0
        or values.sum() <= 0
    ):
        raise DermisError(
            Kind.INTERNAL,
            "MODEL_OUTPUT",
            f"model {manifest.name} {manifest.version} gave {values.shape} values for {len(manifest.conditions)} "
            "conditions, or some that are no probability; check the bundle",
        )
    calibrated = calibrate(values, manifest.calibration.temperature)
    order = rank(calibrated)
    inside = prediction_set(calibrated, threshold(manifest.prediction_sets, fitzpatrick))
    if manifest.malignant:
        inside |= with_malignant(calibrated, [c.id for c in manifest.conditions], manifest.malignant)
    grouped, reason = None, None
    if unmeasured(manifest, fitzpatrick) and not answer_unmeasured:
        reason = "NOT_MEASURED_FOR_GROUP"
    elif _exceeds(manifest.outliers, outlier_score) or _exceeds(manifest.textures, texture_score):
        reason = "OUT_OF_DISTRIBUTION"
    elif manifest.grouped_answers:
        grouped = grouped_answer(calibrated, manifest.conditions, manifest.grouped_answers)
        reason = None if grouped else "NO_ANSWER_SURE_ENOUGH"
    elif calibrated[order[0]] < manifest.abstention.min_probability:
        reason = "LOW_PROBABILITY"
    elif inside.sum() > manifest.abstention.max_set_size:
        reason = "LARGE_PREDICTION_SET"
    return Decision(
        kind=OutcomeKind.ABSTENTION if reason else OutcomeKind.DIFFERENTIAL,
        reason=reason,
        differential=tuple(
            RankedCondition(
                condition=manifest.conditions[i].id,
                name=manifest.conditions[i].name,
                probability=float(calibrated[i]),
                in_prediction_set=bool(inside[i]),
                codes=codes_of(manifest.conditions[i].name),
            )
            for i in order
        ),
        coverage=None
        if FITZPATRICK_GROUPS.get(fitzpatrick) in manifest.prediction_sets.pooled
        else manifest.prediction_sets.coverage,
        grouped_answer=_fact(grouped, calibrated, manifest, manifest.grouped_answers.coverage)
        if grouped and manifest.grouped_answers
        else None,
    )


def _fact(answer: NestedAnswer, probabilities: Floats, manifest: Manifest, coverage: float) -> GroupedAnswer:
    """Return an answer over groups as the outcome keeps it."""
    entries = tuple(
        AnswerEntry(
            level=_LEVELS[entry.height],
            id=entry.id,
            name=entry.name,
            probability=float(sum(probabilities[place] for place in entry.places)),
            conditions=tuple(manifest.conditions[place].id for place in entry.places),
        )
        for entry in answer.entries
    )
    return GroupedAnswer(
        level=_LEVELS[max(entry.height for entry in answer.entries)],
        entries=entries,
        coverage=coverage,
    )


def unmeasured(manifest: Manifest, fitzpatrick: FitzpatrickSkinType | None) -> bool:
    """Tell whether the model was not measured for the group of a self-reported type; of none, nothing is inferred."""
    group = FITZPATRICK_GROUPS.get(fitzpatrick)
    return bool(group and manifest.knowledge and group in manifest.knowledge.not_measured)


def _exceeds(rule: OutlierRule | TextureRule | None, score: float | None) -> bool:
    return rule is not None and score is not None and score > rule.threshold


def calibrate(probabilities: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Return softmax(log p / temperature) over the last axis, in which zeros count as 1e-12 (Guo et al. 2017)."""
    scaled = np.log(np.maximum(np.asarray(probabilities, np.float64), _LEAST)) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def rank(probabilities: Floats) -> list[int]:
    """Return the places of the probabilities [K], highest first; of equals, the one that the manifest names first."""
    return [int(i) for i in np.argsort(-probabilities, kind="stable")]


def threshold(sets: PredictionSets, fitzpatrick: FitzpatrickSkinType | None) -> float:
    """Return the threshold of a self-reported skin type's group.

    The lowest where none is reported or the group has none.
    """
    group = FITZPATRICK_GROUPS.get(fitzpatrick)
    lowest = min(sets.thresholds.values(), default=0.0)
    return sets.thresholds.get(group, lowest) if group else lowest


def with_malignant(probabilities: Floats, conditions: Sequence[str], rule: MalignantRule) -> npt.NDArray[np.bool_]:
    """Return bool[K]: the most probable malignant condition, where all of them together reach the rule's threshold."""
    malignant = np.isin(conditions, rule.conditions)
    chosen = np.zeros(len(probabilities), bool)
    if malignant.any() and probabilities[malignant].sum() >= rule.threshold:
        chosen[np.flatnonzero(malignant)[np.argmax(probabilities[malignant])]] = True
    return chosen


def prediction_set(probabilities: Floats, threshold: float) -> npt.NDArray[np.bool_]:
    """Return bool[K]: every condition at or above the threshold, and the most probable in any case.

    Source: Sadinle et al. 2019.
    """
    inside = np.asarray(probabilities >= threshold)
    inside[rank(probabilities)[0]] = True
    return inside
