"""Puts a version on trial beside the current one, as a shadow or as a canary, has it judged, and ends that."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from dermis.shared.bundles import read_current, read_manifest, stage, unstage
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id
from dermis.shared.manifest import Canary, Current, VersionRef
from dermis.shared.ports import BlobStore
from dermis.shared.promotions import GateVerdict, PromotionAction, PromotionFact
from dermis.trainer.records.layout import read_version
from dermis.trainer.registry.feedback import (
    FEEDBACK,
    FeedbackJudgement,
    FeedbackVerdict,
    judge_canary,
    judge_shadow,
    rows,
)
from dermis.trainer.registry.gate import Judgement
from dermis.trainer.registry.promote import (
    RULE,
    PromotionRequest,
    bundle_faults,
    do,
    judge_evaluations,
    measured,
    purpose_faults,
)

UNJUDGED = "evaluation"
"""The waiver under which a version becomes a canary that was not compared with the current one."""
Trial = Literal["shadow", "canary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """What the gate says of two evaluations, if there are such; `reasons` why the version may not answer people."""

    reasons: tuple[str, ...]
    data: str | None = None
    opponent: str | None = None
    judgement: Judgement | None = None


def start_shadow(store: BlobStore, request: PromotionRequest, *, models_root: str) -> PromotionFact:
    """Have a version answer beside the current one; refused where its bundle is not whole or reads race."""
    pointer = _standing(store, request)
    record = PromotionFact(
        id=new_id("promotion"),
        at=datetime.now(UTC),
        action=PromotionAction.SHADOW_STARTED,
        ref=request.ref,
        over=pointer.current,
    )
    faults = bundle_faults(store, read_version(store, request.ref))
    canary = pointer.canary if pointer.canary and pointer.canary.ref != request.ref else None
    to = pointer.model_copy(update={"shadow": request.ref, "canary": canary})
    return _start(store, record, tuple(faults), partial(stage, store, to, over=pointer, models_root=models_root))


def start_canary(store: BlobStore, request: PromotionRequest, *, percent: int, models_root: str) -> PromotionFact:
    """Have a version answer a share of the cases.

    Refused where its bundle or purpose is at fault, or the gate refuses it on evaluations of the same cases. Groups of
    too few cases are no hindrance: a canary is how they get them. Without such evaluations it takes a waiver.
    """
    pointer = _standing(store, request)
    manifest = read_version(store, request.ref)
    faults = [
        *bundle_faults(store, manifest),
        *purpose_faults(manifest, read_manifest(store, pointer.current), request),
    ]
    compared = _Compared(reasons=tuple(faults)) if faults else _compare(store, request, pointer)
    judgement = compared.judgement
    record = PromotionFact(
        id=new_id("promotion"),
        at=datetime.now(UTC),
        action=PromotionAction.CANARY_STARTED,
        ref=request.ref,
        over=pointer.current,
        data=compared.data,
        compared_with=compared.opponent,
        **RULE,
        overall=measured(judgement.overall) if judgement else None,
        tones=tuple(map(measured, judgement.tones)) if judgement else (),
        waivers=request.waivers,
        lower_purpose=request.lower_purpose,
        percent=percent,
    )
    shadow = pointer.shadow if pointer.shadow != request.ref else None
    canary = Canary(ref=request.ref, percent=percent, promotion=record.id)
    to = pointer.model_copy(update={"shadow": shadow, "canary": canary})
    return _start(store, record, compared.reasons, partial(stage, store, to, over=pointer, models_root=models_root))


def _compare(store: BlobStore, request: PromotionRequest, pointer: Current) -> _Compared:
    unjudged = any(waiver.group == UNJUDGED for waiver in request.waivers)
    groups = tuple(waiver for waiver in request.waivers if waiver.group != UNJUDGED)
    try:
        data, opponent, judgement = judge_evaluations(store, replace(request, waivers=groups), pointer.current)
    except DermisError as error:
        if error.retryable:
            raise
        remedy = f'or let it on trial unjudged: --waive {UNJUDGED} --reason "..."'
        return _Compared(reasons=() if unjudged and not groups else (f"{error.detail}; {remedy}",))
    refused = (judgement.overall, *judgement.tones)
    names = {part.name for part in refused if part.verdict is GateVerdict.REFUSED}
    reasons = tuple(reason for reason in judgement.reasons if reason.partition(":")[0] in names)
    return _Compared(reasons=reasons, data=data, opponent=opponent, judgement=judgement)


def end_trial(store: BlobStore, trial: Trial, *, by: str = "operator", **findings: Any) -> PromotionFact:
    """End the shadow or the canary; `findings` is what the record says of why. CONFLICT if there is none."""
    pointer = read_current(store)
    canary = pointer.canary.ref if pointer.canary else None
    ref = pointer.shadow if trial == "shadow" else canary
    if ref is None:
        raise DermisError(Kind.CONFLICT, "NO_TRIAL", f"no version is a {trial}; `dermis models` shows which are")
    record = PromotionFact(
        id=new_id("promotion"),
        at=datetime.now(UTC),
        action=PromotionAction.SHADOW_ENDED if trial == "shadow" else PromotionAction.CANARY_ENDED,
        ref=ref,
        over=pointer.current,
        percent=pointer.canary.percent if trial == "canary" and pointer.canary else None,
        by=by,
        **findings,
    )
    to = pointer.model_copy(update={trial: None})
    return do(store, record, partial(unstage, store, to, over=pointer))


def _standing(store: BlobStore, request: PromotionRequest) -> Current:
    pointer = read_current(store)
    if pointer.current == request.ref:
        detail = f"{request.ref.name} {request.ref.version} is current already: it can't be tried beside itself"
        raise DermisError(Kind.CONFLICT, "ALREADY_CURRENT", detail)
    return pointer


def _start(
    store: BlobStore, record: PromotionFact, reasons: tuple[str, ...], move: Callable[[], object]
) -> PromotionFact:
    if reasons:
        record = record.model_copy(update={"action": PromotionAction.REFUSED, "reasons": reasons})
    return do(store, record, move)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedTrial:
    """A version on trial, its judgement, and the record of its end if that ended it."""

    role: Trial
    ref: VersionRef
    judgement: FeedbackJudgement
    ended: PromotionFact | None = None

    def summary(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "role": self.role,
            "version": f"{self.ref.name}/{self.ref.version}",
            "verdict": self.judgement.verdict.value,
            "groups": list(rows(self.judgement)),
            "waived": list(self.judgement.waived),
            "reasons": list(self.judgement.reasons),
            "ended": self.ended.id if self.ended else None,
        }


def judge_trials(store: BlobStore, *, waived: Collection[str] = (), end: bool = False) -> list[JudgedTrial]:
    """Judge the shadow and the canary of a store; `end` those that are refused, with a record of why."""
    pointer = read_current(store)
    judged: list[JudgedTrial] = []
    if pointer.shadow:
        judgement = judge_shadow(store, pointer.current, pointer.shadow, waived=waived)
        judged.append(JudgedTrial(role="shadow", ref=pointer.shadow, judgement=judgement))
    if pointer.canary:
        judgement = judge_canary(store, pointer.current, pointer.canary, waived=waived)
        judged.append(JudgedTrial(role="canary", ref=pointer.canary.ref, judgement=judgement))
    if not end:
        return judged
    return [_ended(store, each) if each.judgement.verdict is FeedbackVerdict.REFUSED else each for each in judged]


def _ended(store: BlobStore, trial: JudgedTrial) -> JudgedTrial:
    judgement, over = trial.judgement, read_current(store).current
    record = end_trial(
        store,
        trial.role,
        by="gate",
        **RULE,
        compared_with=f"{over.name} {over.version}, {FEEDBACK}",
        overall=measured(judgement.overall.judged),
        tones=tuple(measured(each.judged) for each in judgement.tones),
        reasons=judgement.reasons,
    )
    return replace(trial, ended=record)
