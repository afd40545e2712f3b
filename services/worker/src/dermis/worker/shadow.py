"""Has a version answer a case beside the current one, once the case has its outcome; nobody is shown that answer."""

from contextlib import suppress
from dataclasses import replace

from dermis.shared.case import Consent, Erased, Outcome, Received, fact_key
from dermis.shared.jobs import AssessJob
from dermis.shared.manifest import Manifest
from dermis.shared.ports import BlobConflict
from dermis.shared.releases import ReleaseAnswer, shadow_key
from dermis.shared.telemetry import log
from dermis.worker.answer import answer_of, ask, facts_of
from dermis.worker.facts import get, now
from dermis.worker.judge import Image
from dermis.worker.ports import Classifier, Ports
from dermis.worker.stages import Stages


def shadow(
    ports: Ports,
    job: AssessJob,
    manifest: Manifest,
    received: Received,
    images: dict[int, Image],
    *,
    beside: Outcome | None,
) -> None:
    """Put what a version makes of a closed case, whose outcome is `beside`, into its folder; never raises.

    Only of a case that may be kept for improvement: nobody else agreed to more than an assessment. Dropped while others
    wait for a worker.
    """
    classifier = ports.candidate_classifier
    if classifier is None or received.consent is not Consent.KEEP_FOR_IMPROVEMENT:
        return
    try:
        outcome = _answer(ports, classifier, job, manifest, received, images) if ports.idle() else None
        result = answer_of(outcome) if outcome else ReleaseAnswer.DROPPED
        if outcome and beside:
            ports.compared(manifest, agree(outcome, beside), received.self_report.monk_skin_tone)
    except Exception as fault:  # noqa: BLE001 - time limits too: the case is closed, and nothing may come of this
        log.warning("shadow can't answer", model=manifest.key, fault=getattr(fault, "reason", type(fault).__name__))
        result = ReleaseAnswer.FAILED
    ports.answered(manifest, "shadow", result, received.self_report.monk_skin_tone)


def agree(one: Outcome, other: Outcome) -> bool:
    """Return whether two outcomes are of one kind and name the same condition first."""
    first = [outcome.differential[0].condition if outcome.differential else None for outcome in (one, other)]
    return one.kind is other.kind and first[0] == first[1]


def _answer(
    ports: Ports,
    classifier: Classifier,
    job: AssessJob,
    manifest: Manifest,
    received: Received,
    images: dict[int, Image],
) -> Outcome:
    asked = ask(replace(ports, classifier=classifier), manifest, received.self_report, images, Stages())
    outcome = Outcome(
        case_id=job.case_id, finished_at=now(), images_used=tuple(images), **facts_of(manifest, asked.decision)
    )
    key = shadow_key(job.owner, job.case_id, manifest.name, manifest.version)
    with suppress(BlobConflict):  # another worker's, or that of a try before
        ports.store.put_once(key, outcome.model_dump_json().encode())
    if get(ports, fact_key(job.owner, job.case_id, "erased"), Erased):  # who erased it did not see this yet
        ports.store.delete(key)
    return outcome
