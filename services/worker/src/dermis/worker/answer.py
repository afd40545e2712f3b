"""Answers a case: asks the model, decides, and explains the differential."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from billiard.exceptions import SoftTimeLimitExceeded

from dermis.shared.case import AnswerShare, AssessedImage, Heatmap, ModelKnowledge, ModelRef, Outcome, OutcomeKind
from dermis.shared.manifest import ImageFit, Manifest
from dermis.shared.releases import Arm, ReleaseAnswer, mark_key
from dermis.shared.report import QualityReport
from dermis.shared.telemetry import log
from dermis.shared.test_images import ForcedEnd
from dermis.shared.vocabulary import SelfReport
from dermis.worker.core import differential, heatmap, notices, prepare, red_flags
from dermis.worker.core.answer_shares import answer_shares
from dermis.worker.core.differential import Decision
from dermis.worker.core.forced import forced_decision
from dermis.worker.core.measured import measured_for
from dermis.worker.core.quality import Reason
from dermis.worker.core.release import arm_of
from dermis.worker.facts import now
from dermis.worker.judge import Image
from dermis.worker.limits import ComputedTooLong
from dermis.worker.ports import Candidates, Inputs, Outputs, Ports
from dermis.worker.stages import Stages

_MOST_EXPLAINED = 3
Keep = Callable[[ModelRef, Sequence[tuple[Heatmap, bytes]]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The outcome of a case; `mark` is to be put where it counts for a canary, `shadow` to be asked after it."""

    outcome: Outcome
    mark: str | None = None
    shadow: Manifest | None = None


def answer(
    ports: Ports,
    case_id: str,
    report: SelfReport,
    assessed: Iterable[AssessedImage],
    images: dict[int, Image],
    stages: Stages,
    *,
    keep: Keep | None,
    forced: ForcedEnd | None = None,
) -> Answer:
    """Return the outcome of a case; `keep`, if given, gets the heatmaps before the outcome names them.

    No model is asked where no image can be used, nor for anyone under 18, nor of a test image that forces an answer. A
    canary answers its share of the cases, and of what is no case nothing. Where it can't, the current version answers.
    """
    reports = [image.quality for image in assessed]
    minor = bool(report.under_18) or (forced is not None and forced.reason == "UNDER_18")
    kind, reason = _without_model(reports, under_18=minor)
    outcome = Outcome(
        case_id=case_id,
        finished_at=now(),
        kind=kind,
        reason=reason,
        advice=_advice(reports),
        red_flags=red_flags.red_flags(report),
        notices=notices.notices(report),
        stages=stages.taken(),
    )
    if not images or kind is OutcomeKind.ABSTENTION:
        return Answer(outcome=outcome)
    manifest, candidates = ports.models.pinned(), ports.models.candidates() if keep else Candidates()
    case = _Case(outcome=outcome, report=report, images=images, stages=stages, draws=keep is not None)
    if forced:
        finished = _concluded(ports, case, manifest, forced_decision(forced, manifest))
        return Answer(outcome=finished.model_copy(update={"finished_at": now(), "stages": stages.taken()}))
    arm = arm_of(case_id, candidates.percent) if candidates.canary else None
    by_canary = _by_canary(ports, candidates.canary, case) if candidates.canary and arm is Arm.CANARY else None
    finished, heatmaps = by_canary or _finished(ports, manifest, case)
    if keep and finished.model:
        with stages("store"):
            keep(finished.model, heatmaps)
    result = ReleaseAnswer.FAILED if arm is Arm.CANARY and by_canary is None else answer_of(finished)
    if by_canary is None:
        ports.answered(manifest, "current", answer_of(finished), report.monk_skin_tone)
    mark = mark_key(candidates.promotion, arm, result, case_id) if arm else None
    return Answer(
        outcome=finished.model_copy(update={"finished_at": now(), "stages": stages.taken()}),
        mark=mark,
        shadow=None if by_canary else candidates.shadow,
    )


def answer_of(outcome: Outcome) -> ReleaseAnswer:
    return ReleaseAnswer.ABSTAINED if outcome.kind is OutcomeKind.ABSTENTION else ReleaseAnswer.ANSWERED


def _by_canary(ports: Ports, canary: Manifest, case: "_Case") -> tuple[Outcome, list[tuple[Heatmap, bytes]]] | None:
    """Return what the canary makes of a case, None where it can't: a case never fails by a version on trial."""
    if ports.candidate_classifier is None:
        return None
    try:
        finished = _finished(replace(ports, classifier=ports.candidate_classifier), canary, case)
    except (SoftTimeLimitExceeded, ComputedTooLong):
        raise
    except Exception as fault:  # noqa: BLE001 - whatever is wrong with it, the current version answers
        log.warning("canary can't answer", model=canary.key, fault=getattr(fault, "reason", type(fault).__name__))
        ports.answered(canary, "canary", ReleaseAnswer.FAILED, case.report.monk_skin_tone)
        return None
    ports.answered(canary, "canary", answer_of(finished[0]), case.report.monk_skin_tone)
    return finished


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A case as every version takes it; `outcome` has what needs no model."""

    outcome: Outcome
    report: SelfReport
    images: dict[int, Image]
    stages: Stages
    draws: bool


def _finished(ports: Ports, manifest: Manifest, case: _Case) -> tuple[Outcome, list[tuple[Heatmap, bytes]]]:
    """Return what a version makes of a case, explained, and its heatmaps."""
    asked = ask(ports, manifest, case.report, case.images, case.stages)
    conditions = _explained_conditions(asked.decision, manifest)
    with case.stages("explain"):
        shares = _shares(ports, manifest, asked.features, asked.outputs, conditions)
    heatmaps: list[tuple[Heatmap, bytes]] = []
    if case.draws:
        with case.stages("heatmap"):
            heatmaps = list(_heatmaps(case.images, asked.outputs, conditions, manifest.image_fit))
    explained = {"answer_shares": shares, "heatmaps": tuple(drawn for drawn, _ in heatmaps)}
    return _concluded(ports, case, manifest, asked.decision).model_copy(update=explained), heatmaps


def _concluded(ports: Ports, case: _Case, manifest: Manifest, decision: Decision) -> Outcome:
    """Return an outcome with what a model decided, and what is to be said of that model."""
    return case.outcome.model_copy(
        update={
            **facts_of(manifest, decision),
            "images_used": tuple(case.images),
            "red_flags": red_flags.with_growth(case.outcome.red_flags)
            if manifest.malignant and decision.kind is OutcomeKind.DIFFERENTIAL
            else case.outcome.red_flags,
            "notices": (*notices.notices_of_model(manifest, case.report), *case.outcome.notices),
            "measured": measured_for(ports.models.evaluation(manifest), case.report.fitzpatrick_skin_type),
            "knowledge": _knowledge(manifest),
            "urgency_threshold": manifest.urgency_threshold,
        }
    )


def ask(
    ports: Ports, manifest: Manifest, report: SelfReport, images: dict[int, Image], stages: Stages
) -> "AskedVersion":
    """Return what a version says of a case, and what follows from it by its manifest."""
    with stages("features"):
        features = ports.features.encode(manifest.feature_schema, report)
    with stages("fit"):
        inputs = _inputs(manifest, images, features)
    with stages("predict"):
        outputs = ports.classifier.predict(manifest, inputs)
    outliers = ports.models.outliers(manifest)
    score = None if outliers is None or outputs.embedding is None else float(outliers.score(outputs.embedding))
    textures = ports.models.textures(manifest)
    decision = differential.decide(
        outputs.probabilities,
        manifest,
        report.fitzpatrick_skin_type,
        outlier_score=score,
        texture_score=None if textures is None else textures.case_score(inputs.images[inputs.image_mask]),
        answer_unmeasured=ports.answer_unmeasured,
    )
    return AskedVersion(features=features, outputs=outputs, decision=decision)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedVersion:
    features: npt.NDArray[np.float32]
    outputs: Outputs
    decision: Decision


def facts_of(manifest: Manifest, decision: Decision) -> dict[str, Any]:
    """Return the fields of an outcome that say what was decided, and by whom."""
    return {
        "kind": decision.kind,
        "reason": decision.reason,
        "differential": decision.differential,
        "coverage": decision.coverage,
        "grouped_answer": decision.grouped_answer,
        "model": ModelRef(name=manifest.name, version=manifest.version, purpose=manifest.purpose),
        "feature_schema": manifest.feature_schema,
    }


def _knowledge(manifest: Manifest) -> ModelKnowledge | None:
    words = manifest.knowledge
    if words is None:
        return None
    return ModelKnowledge(kind=words.kind, unknown=words.unknown, data=words.data, painted=words.scale == "painted")


def _shares(
    ports: Ports,
    manifest: Manifest,
    features: npt.NDArray[np.float32],
    outputs: Outputs,
    conditions: Sequence[tuple[int, str]],
) -> tuple[AnswerShare, ...]:
    """Return what counted in the answers; nothing if the model is not linear in them, or not known well enough yet."""
    weights = ports.models.bundle_answer_weights(manifest) or ports.classifier.answer_weights(manifest, len(features))
    if weights is None:
        return ()
    if not weights.explain(features, outputs.answers_logits):
        log.warning("answers not explained", model=manifest.key)
        return ()
    return answer_shares(ports.models.feature_schema(manifest), features, weights, conditions)


def _inputs(manifest: Manifest, images: dict[int, Image], features: npt.NDArray[np.float32]) -> Inputs:
    size = manifest.image_size
    stacked = np.zeros((manifest.max_images, size, size, 3), np.uint8)
    mask = np.zeros(manifest.max_images, np.bool_)
    for slot, image in enumerate(images.values()):
        stacked[slot] = prepare.fit(image, size, manifest.image_fit)
        mask[slot] = True
    return Inputs(images=stacked, image_mask=mask, features=features)


def _heatmaps(
    images: dict[int, Image], outputs: Outputs, conditions: Sequence[tuple[int, str]], how: ImageFit
) -> Iterator[tuple[Heatmap, bytes]]:
    for place, condition in conditions:
        most = heatmap.peak(outputs.cam, place)
        for slot, (n, image) in enumerate(images.items()):
            drawn = heatmap.overlay(
                outputs.cam[slot, ..., place], height=image.shape[0], width=image.shape[1], most=most, how=how
            )
            yield Heatmap(n=n, condition=condition, place=place), drawn


def _explained_conditions(decision: Decision, manifest: Manifest) -> list[tuple[int, str]]:
    """Return place and id of the conditions that are explained: the first of the prediction set."""
    places = {condition.id: place for place, condition in enumerate(manifest.conditions)}
    inside = [ranked.condition for ranked in decision.differential if ranked.in_prediction_set]
    return [(places[condition], condition) for condition in inside[:_MOST_EXPLAINED]]


def _without_model(reports: Sequence[QualityReport], *, under_18: bool) -> tuple[OutcomeKind, str]:
    """Return the outcome, and its reason, of a case about which no model is asked."""
    if under_18:
        return OutcomeKind.ABSTENTION, "UNDER_18"
    if not reports:
        return OutcomeKind.ABSTENTION, "NO_IMAGE"
    return OutcomeKind.REJECTION, _why_rejected(reports)


def _why_rejected(reports: Sequence[QualityReport]) -> str:
    """Return NOT_SKIN where that is what every image was refused for: another light would not help."""
    refused = reports and all(report.reasons[:1] == (Reason.NOT_SKIN,) for report in reports)
    return Reason.NOT_SKIN if refused else "NO_USABLE_IMAGE"


def _advice(reports: Iterable[QualityReport]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(advice for report in reports for advice in report.advice))
