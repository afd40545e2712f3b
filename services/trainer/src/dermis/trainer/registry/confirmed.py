"""The cases of a store whose condition was confirmed, and how the versions on trial did on them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from dermis.shared.case import (
    CASES_PREFIX,
    ConfirmedBy,
    Consent,
    GivenFeedback,
    Outcome,
    Received,
    fact_key,
    feedback_key,
)
from dermis.shared.ids import is_id, made_at
from dermis.shared.manifest import VersionRef
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.releases import shadow_key
from dermis.shared.vocabulary import SelfReport, monk_bin
from dermis.trainer.registry.gate import TOP

CONFIRMED = (ConfirmedBy.DOCTOR, ConfirmedBy.DERMATOLOGIST, ConfirmedBy.LABORATORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedCase:
    """A case with a confirmed condition; a score is None where that version did not answer it."""

    case_id: str
    current: float | None
    candidate: float | None
    slices: Mapping[str, str]


def confirmed_cases(
    store: BlobStore,
    current: VersionRef,
    candidate: VersionRef,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[ConfirmedCase]:
    """Yield the confirmed cases, received in [since, until), of people who agreed that theirs make dermis better."""
    for (owner, case_id), group in groupby(store.list(CASES_PREFIX), key=lambda key: tuple(key.split("/")[1:3])):
        names = {key.split("/", 3)[-1] for key in group}
        if not is_id("case", case_id) or "erased.json" in names or "outcome.json" not in names:
            continue
        at = made_at(case_id)
        if (since and at < since) or (until and at >= until) or not any(name.startswith("feedback/") for name in names):
            continue
        try:
            case = _case(store, owner, case_id, names, (current, candidate))
        except BlobNotFound:  # erased meanwhile
            continue
        if case:
            yield case


def _case(
    store: BlobStore, owner: str, case_id: str, names: set[str], versions: tuple[VersionRef, VersionRef]
) -> ConfirmedCase | None:
    received = Received.model_validate_json(store.get(fact_key(owner, case_id, "received")))
    if not received.livemode or received.consent is not Consent.KEEP_FOR_IMPROVEMENT:
        return None
    condition = _confirmed(store, owner, case_id, names)
    if condition is None:
        return None
    outcome = Outcome.model_validate_json(store.get(fact_key(owner, case_id, "outcome")))
    current, candidate = (_score(outcome, ref, condition) for ref in versions)
    key = shadow_key(owner, case_id, versions[1].name, versions[1].version)
    if candidate is None and key.split("/", 3)[-1] in names:
        candidate = _score(Outcome.model_validate_json(store.get(key)), versions[1], condition)
    return ConfirmedCase(case_id=case_id, current=current, candidate=candidate, slices=_tones(received.self_report))


def _confirmed(store: BlobStore, owner: str, case_id: str, names: set[str]) -> str | None:
    """Return the condition that was confirmed last; None if none was."""
    numbers = sorted(
        (int(name.removeprefix("feedback/").removesuffix(".json")) for name in names if name.startswith("feedback/")),
        reverse=True,
    )
    for k in numbers:
        fact = GivenFeedback.model_validate_json(store.get(feedback_key(owner, case_id, k)))
        if fact.condition and fact.confirmed_by in CONFIRMED:
            return fact.condition
    return None


def _score(outcome: Outcome, ref: VersionRef, condition: str) -> float | None:
    """Return how a version did by its answer, None where the answer is another's."""
    model = outcome.model
    if model is None or (model.name, model.version) != (ref.name, ref.version):
        return None
    return float(condition in [ranked.condition for ranked in outcome.differential[:TOP]])


def _tones(report: SelfReport) -> dict[str, str]:
    """Return a case's groups as its person said: nobody estimated a type."""
    return {
        "monk_bin": monk_bin(report.monk_skin_tone),
        "fitzpatrick_self": report.fitzpatrick_skin_type or "",
    }
