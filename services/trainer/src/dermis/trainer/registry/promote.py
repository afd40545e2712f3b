"""The registry is the store.

Versions lie below models/, their evaluations below evaluations/, records of promotions below promotions/.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from dermis.shared.bundles import point, read_current, read_feature_schema, read_manifest
from dermis.shared.errors import DermisError, Kind
from dermis.shared.evaluation import read_report
from dermis.shared.ids import new_id
from dermis.shared.manifest import EVALUATION_FILE, Canary, Current, Manifest, VersionRef
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.promotions import (
    ComparisonRecord,
    PromotionAction,
    PromotionFact,
    Waiver,
    promotions,
    put_promotion,
)
from dermis.trainer.evaluation.predictions import SERVED, Predictions, from_bytes
from dermis.trainer.metrics import Floats, Ints, soft_hits
from dermis.trainer.records.layout import evaluated_on, evaluation_key, read_version
from dermis.trainer.registry import gate
from dermis.trainer.registry.feedback import FEEDBACK, FeedbackVerdict, judge_canary
from dermis.trainer.registry.gate import Compared, Judgement, Paired, judge

CONSTANT = "the best constant list"
RULE: dict[str, Any] = {"measure": f"soft top-{gate.TOP}", "most_loss": gate.MOST_LOSS, "n_min": gate.N_MIN}
"""What versions are compared by, as records state it."""
CANARY = "canary"
"""The waiver under which a canary, running or ended, is promoted though confirmed cases refuse it.

Of a certain loss none is.
"""
_PURPOSES = ("demo", "research", "release")
"""From the least to the most; a version never takes the place of one of a higher purpose unless told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRequest:
    """What to promote, and how. `first`: nothing comparable is current, so the best constant list is the opponent."""

    ref: VersionRef
    data: str | None
    waivers: tuple[Waiver, ...] = ()
    first: bool = False
    lower_purpose: bool = False


def current_or_none(store: BlobStore) -> Current | None:
    try:
        return read_current(store)
    except DermisError as error:
        if error.reason != "NO_CURRENT_MODEL":
            raise
        return None


def check_files(store: BlobStore, manifest: Manifest) -> list[str]:
    """Return the faults of a bundle's files: each one has to be there with the digest of the manifest."""
    faults = []
    for path, digest in manifest.files.items():
        try:
            actual = hashlib.sha256(store.get(f"{manifest.key}/{path}")).hexdigest()
        except BlobNotFound:
            faults.append(f"{manifest.key}/{path} is missing: publish the bundle again, under a new version")
            continue
        if actual != digest:
            faults.append(
                f"{manifest.key}/{path} has SHA-256 {actual}, the manifest says {digest}: publish it again, "
                "under a new version"
            )
    return faults


def promote(store: BlobStore, request: PromotionRequest, *, models_root: str) -> PromotionFact:
    """Make a version current if it may be, and return the record; a refusal is a record too and changes nothing else.

    NOT_FOUND without such a version; CONFLICT if it is current already, or another promotion came in between.
    """
    manifest = read_version(store, request.ref)
    current = current_or_none(store)
    over = current.current if current else None
    if over == request.ref:
        raise DermisError(
            Kind.CONFLICT, "ALREADY_CURRENT", f"{request.ref.name} {request.ref.version} is current already"
        )
    below = read_manifest(store, over) if over else None
    reasons = [*bundle_faults(store, manifest), *purpose_faults(manifest, below, request)]
    judged: tuple[str | None, str, Judgement] | None = None
    if not reasons:
        try:
            judged = _judge(store, request, current)
        except DermisError as error:
            if error.retryable:
                raise
            reasons = [error.detail]
    data, opponent, judgement = judged or (request.data, None, None)
    record = PromotionFact(
        id=new_id("promotion"),
        at=datetime.now(UTC),
        action=PromotionAction.REFUSED
        if reasons or judgement is None or judgement.reasons
        else PromotionAction.PROMOTED,
        ref=request.ref,
        over=over,
        data=data,
        compared_with=opponent,
        **RULE,
        overall=measured(judgement.overall) if judgement else None,
        tones=tuple(map(measured, judgement.tones)) if judgement else (),
        waivers=request.waivers,
        lower_purpose=request.lower_purpose,
        reasons=tuple(reasons) or (judgement.reasons if judgement else ()),
    )
    move = partial(point, store, record.ref, models_root=models_root, over=record.over, first=record.over is None)
    return do(store, record, move)


def _judge(store: BlobStore, request: PromotionRequest, pointer: Current | None) -> tuple[str | None, str, Judgement]:
    """Return what `judge_evaluations` does, or the refusal of a canary by confirmed cases, on no data set."""
    over = pointer.current if pointer else None
    if pointer and (trial := _last_canary(store, pointer, request.ref)):
        canary, ended_at = trial
        feedback = judge_canary(store, pointer.current, canary, until=ended_at)
        groups = tuple(waiver for waiver in request.waivers if waiver.group != CANARY)
        if feedback.verdict is FeedbackVerdict.REFUSED and (groups == request.waivers or feedback.loss_is_certain):
            remedy = f'more cases may clear it, or take it on yourself: --waive {CANARY} --reason "..."'
            if feedback.loss_is_certain:
                instead = "keep the current version" if ended_at else "`dermis promote --end-canary`"
                remedy = f"that loss is certain, and no waiver helps: {instead}"
            refusal = Judgement(
                overall=feedback.overall.judged,
                tones=tuple(each.judged for each in feedback.tones),
                waived=(),
                reasons=tuple(f"{reason}, as a canary; {remedy}" for reason in feedback.reasons),
            )
            return None, f"{pointer.current.name} {pointer.current.version}, {FEEDBACK}", refusal
        if feedback.verdict is FeedbackVerdict.REFUSED:
            request = replace(request, waivers=groups)
    return judge_evaluations(store, request, None if request.first else over)


def _last_canary(store: BlobStore, pointer: Current, ref: VersionRef) -> tuple[Canary, datetime | None] | None:
    """Return the last time that a version was a canary beside the current one, and when that ended, if it did."""
    if pointer.canary and pointer.canary.ref == ref:
        return pointer.canary, None
    last: tuple[Canary, datetime | None] | None = None
    for record in promotions(store):
        started = record.action is PromotionAction.CANARY_STARTED
        if started and record.ref == ref and record.over == pointer.current and record.percent:
            last = Canary(ref=ref, percent=record.percent, promotion=record.id), None
        elif last and last[1] is None and _ends_canary(record, ref):
            last = last[0], record.at
    return last if last and last[1] else None  # one without an end never came to be


def _ends_canary(record: PromotionFact, ref: VersionRef) -> bool:
    if record.action is PromotionAction.SHADOW_STARTED:
        return record.ref == ref
    return record.action in (
        PromotionAction.CANARY_STARTED,
        PromotionAction.CANARY_ENDED,
        PromotionAction.PROMOTED,
        PromotionAction.ROLLED_BACK,
    )


def rollback(store: BlobStore, *, models_root: str) -> PromotionFact:
    """Make the previous version current again, its files checked; CONFLICT if there is none or they are not whole."""
    pointer = read_current(store)
    if pointer.previous is None:
        raise DermisError(
            Kind.CONFLICT,
            "NO_PREVIOUS",
            f"{pointer.current.name} {pointer.current.version} is the first: there is nothing before it; promote one",
        )
    faults = check_files(store, read_manifest(store, pointer.previous))
    record = PromotionFact(
        id=new_id("promotion"),
        at=datetime.now(UTC),
        action=PromotionAction.REFUSED if faults else PromotionAction.ROLLED_BACK,
        ref=pointer.previous,
        over=pointer.current,
        **RULE,
        reasons=tuple(faults),
    )
    return do(store, record, partial(point, store, record.ref, models_root=models_root, over=record.over))


def do(store: BlobStore, record: PromotionFact, move: Callable[[], object]) -> PromotionFact:
    """Record, then move the pointer: no promotion is without its record.

    If the pointer can't be moved that is recorded as well.
    """
    put_promotion(store, record, part="trainer")
    if record.action is PromotionAction.REFUSED:
        return record
    try:
        move()
    except DermisError as error:
        failed = {"id": new_id("promotion"), "action": PromotionAction.REFUSED, "reasons": (error.detail,)}
        put_promotion(store, record.model_copy(update=failed), part="trainer")
        raise DermisError(
            error.kind, error.reason, f"the pointer was not moved: {error.detail}; look at `dermis models`"
        ) from error
    return record


def bundle_faults(store: BlobStore, manifest: Manifest) -> list[str]:
    faults = check_files(store, manifest)
    if (
        not faults
        and not read_feature_schema(store, VersionRef(name=manifest.name, version=manifest.version)).promotable
    ):
        faults.append("its feature schema reads race or ethnicity, which is for audit only: train without")
    return faults


def purpose_faults(manifest: Manifest, below: Manifest | None, request: PromotionRequest) -> list[str]:
    """Return why a version may not follow `below`, the current one, for what the two are made for."""
    faults = []
    if below and _PURPOSES.index(manifest.purpose) < _PURPOSES.index(below.purpose) and not request.lower_purpose:
        faults.append(
            f"its purpose is {manifest.purpose}, that of the current version {below.purpose}: --lower-purpose "
            "if that is meant"
        )
    if (
        request.first
        and below
        and _same_conditions(manifest, below)
        and (manifest.purpose == "demo" or below.purpose != "demo")
    ):
        faults.append(f"{below.name} {below.version} is current and can be compared with: leave --first out")
    if not request.first and not below:
        faults.append(f"no version is current: --first compares with {CONSTANT}")
    return faults


def _same_conditions(one: Manifest, other: Manifest) -> bool:
    return {condition.id for condition in one.conditions} == {condition.id for condition in other.conditions}


def judge_evaluations(
    store: BlobStore, request: PromotionRequest, opponent: VersionRef | None
) -> tuple[str, str, Judgement]:
    """Return the data set's digest, who the candidate was compared with, and the judgement.

    INVALID if they can't be compared.
    """
    data = request.data or _only_data(store, request.ref, opponent)
    candidate = read_predictions(store, data, request.ref)
    _unseen(store, data, request.ref)
    scores = _scores(candidate)
    if opponent is None:
        paired = Paired(
            current=soft_hits(gate.best_constant(candidate.target), candidate.target, top=gate.TOP),
            candidate=scores,
            groups=candidate.groups,
        )
    else:
        current = read_predictions(store, data, opponent)
        place = _pairing(candidate, current)
        paired = Paired(current=_scores(current)[place], candidate=scores, groups=candidate.groups)
    judgement = judge(paired, candidate.slices, waived=frozenset(waiver.group for waiver in request.waivers))
    idle = {waiver.group for waiver in request.waivers} - {
        name for group in judgement.waived for name in (group, group.split("=")[0])
    }
    if idle:
        raise _incomparable(
            f"the waiver of {min(idle)} waives nothing: name a group that is INSUFFICIENT, such as monk_bin=MST_7_10"
        )
    return candidate.data, f"{opponent.name} {opponent.version}" if opponent else CONSTANT, judgement


def _unseen(store: BlobStore, data: str, ref: VersionRef) -> None:
    """Raise INVALID if the evaluation says that the version learned from its cases."""
    try:
        seen = read_report(store, f"{evaluation_key(data, ref)}/{EVALUATION_FILE}").seen_in_training
    except BlobNotFound:
        return
    if seen and seen.cases != 0:
        count = "some" if seen.cases is None else f"{seen.cases:,}"
        detail = (
            f"{count} of {seen.of:,} cases of the data set {data} were in the training of {ref.name} "
            f"{ref.version}, {seen.how}"
        )
        raise _incomparable(f"{detail}: evaluate it on cases that it has not seen")


def _only_data(store: BlobStore, ref: VersionRef, opponent: VersionRef | None) -> str:
    both = set(evaluated_on(store, ref))
    if opponent:
        both &= set(evaluated_on(store, opponent))
    if len(both) != 1:
        data_sets = ", ".join(sorted(both)) or "none"
        raise _incomparable(
            f"data sets on which the versions were evaluated: {data_sets}; name one with --data-digest, or "
            "run `dermis evaluate`"
        )
    return both.pop()


def read_predictions(store: BlobStore, data: str, ref: VersionRef) -> Predictions:
    """Return what a version said of a data set.

    INVALID if it was not evaluated on it, or the file is of something else.
    """
    key = f"{evaluation_key(data, ref)}/predictions.npz"
    try:
        predictions = from_bytes(store.get(key))
    except BlobNotFound as error:
        raise _incomparable(
            f"{ref.name} {ref.version} has no evaluation on the data set {data}: run `dermis evaluate`"
        ) from error
    if predictions.model != f"{ref.name}/{ref.version}" or not predictions.data.startswith(data):
        raise _incomparable(f"{key} is of model {predictions.model} on the data set {predictions.data}: evaluate again")
    if not len(predictions):
        raise _incomparable(f"{key} holds no case: evaluate on a data set with labelled cases")
    return predictions


def _pairing(candidate: Predictions, current: Predictions) -> Ints:
    """Return where the current version's row of each of the candidate's cases is.

    INVALID unless both are of the same cases and labels.
    """
    if candidate.data != current.data or set(candidate.ids) != set(current.ids):
        raise _incomparable(
            f"the versions were evaluated on other data: {candidate.data}, {len(candidate)} cases, and "
            f"{current.data}, {len(current)} cases"
        )
    columns = {condition.id: k for k, condition in enumerate(current.conditions)}
    if columns.keys() != {condition.id for condition in candidate.conditions}:
        differing = sorted(columns.keys() ^ {condition.id for condition in candidate.conditions})
        raise _incomparable(
            f"the versions name other conditions ({', '.join(differing[:5])}): with --first it is compared "
            f"with {CONSTANT}"
        )
    row = {case: n for n, case in enumerate(current.ids)}
    place = np.array([row[case] for case in candidate.ids])
    order = [columns[condition.id] for condition in candidate.conditions]
    if not np.allclose(current.target[place][:, order], candidate.target):
        raise _incomparable("the versions were evaluated against other reference differentials: evaluate both again")
    return place


def _scores(predictions: Predictions) -> Floats:
    if SERVED not in predictions.raw:
        raise _incomparable(f"the predictions of {predictions.model} were not made from {SERVED}: evaluate again")
    return soft_hits(predictions.raw[SERVED], predictions.target, top=gate.TOP)


def measured(compared: Compared) -> ComparisonRecord:
    return ComparisonRecord.model_validate({name: getattr(compared, name) for name in Compared.__slots__})


def _incomparable(detail: str) -> DermisError:
    return DermisError(Kind.INVALID, "EVALUATION", detail)


def rows(measured: Sequence[ComparisonRecord]) -> Iterator[Mapping[str, str]]:
    """Yield what a table of a promotion shows, one row a group."""
    for part in measured:
        yield {
            "group": part.name,
            "cases": str(part.n),
            "independent": str(part.independent),
            "current": _figure(part.current),
            "candidate": _figure(part.candidate),
            "gain": "-" if part.gain is None else f"{part.gain:+.3f}",
            "95 % interval": "-" if part.interval is None else f"{part.interval[0]:+.3f} to {part.interval[1]:+.3f}",
            "detectable loss": _figure(part.detectable),
            "verdict": part.verdict.value,
        }


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
