"""Assesses a case, from the originals in the store to its one outcome."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

from dermis.shared.case import (
    Assessed,
    AssessedImage,
    CaseState,
    Erased,
    Heatmap,
    ModelRef,
    Received,
    ReceivedImage,
    case_key,
    fact_key,
    heatmap_key,
    image_key,
)
from dermis.shared.images.header import ImageRefusal
from dermis.shared.jobs import AssessJob
from dermis.shared.ports import BlobNotFound
from dermis.shared.report import Verdict
from dermis.shared.test_images import ForcedKind, forced_by
from dermis.worker.answer import answer
from dermis.worker.core import phash, prepare
from dermis.worker.facts import close, get, now, put, put_all, put_hint, read
from dermis.worker.fail import fail
from dermis.worker.judge import TOO_COSTLY, Image, Original, forced_report, judge
from dermis.worker.ports import Ports
from dermis.worker.shadow import shadow
from dermis.worker.stages import Stages

_FORMS: tuple[Literal["original", "profile", "prepared"], ...] = ("original", "profile", "prepared")


def assess(ports: Ports, job: AssessJob, *, redelivered: bool) -> CaseState:
    """Bring a case to its outcome and return its state; a closed case is left as it is.

    Every fact is put once: of two workers on one case the first wins and the other takes what it finds. A retryable
    `DermisError` leaves the case open. One whose images cost too many workers raises `WorkerLost`.
    """
    state = read(ports, job)
    received = state.received
    if received is None or state.closed:
        return close(ports, job, state)
    ports, stages, forced = ports.for_case(received), Stages(), forced_by(received)
    images, assessed = _look(ports, job, received, stages, redelivered=redelivered)
    if forced and forced.kind is ForcedKind.FAILED:
        return fail(ports, job, reason="TEST_IMAGE", detail="a test image forced this failure")
    answered = answer(
        ports,
        job.case_id,
        received.self_report,
        assessed.images,
        images,
        stages,
        keep=partial(_keep_heatmaps, ports, job),
        forced=forced,
    )
    outcome = put(ports, job, "outcome", answered.outcome)
    erased = get(ports, fact_key(job.owner, job.case_id, "erased"), Erased)
    state = close(ports, job, state.model_copy(update={"assessed": assessed, "outcome": outcome, "erased": erased}))
    if answered.mark and received.livemode:
        put_hint(ports, answered.mark)
    if answered.shadow and received.livemode and not state.erased:
        shadow(ports, job, answered.shadow, received, images, beside=outcome)
    return state


def _look(
    ports: Ports, job: AssessJob, received: Received, stages: Stages, *, redelivered: bool
) -> tuple[dict[int, Image], Assessed]:
    """Decode and judge each image; return the working images (uint8[H, W, 3]) that may be used, by number."""
    images: dict[int, Image] = {}
    judged, prepared = [], {}
    with stages("read"):
        originals = list(ports.threads.map(partial(_read_image, ports, received), received.images))
    place, most = f"{case_key(job.owner, job.case_id)}/redelivered/{job.attempt}", ports.max_redeliveries + 1
    with ports.strikes.at_risk(place, most=most, redelivered=redelivered):
        for image, original in zip(received.images, originals, strict=True):
            exceeded = partial(fail, ports, job, reason=ImageRefusal.COST, detail=f"image {image.n}: {TOO_COSTLY}")
            report, working = judge(ports, original, stages, exceeded)
            if forced := forced_by(received):
                report = forced_report(ports, forced, report)
            hash_text = None
            if working is not None:
                with stages("hash"):
                    hash_text = phash.to_text(phash.phash(working))
                with stages("prepare"):
                    prepared[image_key(received.owner, received.case_id, image.n, "prepared")] = (
                        prepare.encode_prepared(working)
                    )
                if report.verdict is not Verdict.UNUSABLE:
                    images[image.n] = working
            judged.append(AssessedImage(n=image.n, quality=report, phash=hash_text))
    with stages("store"):
        put_all(ports, prepared)
    assessed = Assessed(case_id=received.case_id, assessed_at=now(), images=tuple(judged), stages=stages.taken())
    with stages("store"):
        standing = put(ports, job, "assessed", assessed)
        ports.outbox.put(standing, owner=job.owner)
        _remove_originals(ports, received)
        return images, standing


def _read_image(ports: Ports, received: Received, image: ReceivedImage) -> Original:
    """Return an image as it came in; where that could not be kept and is gone, as it was prepared."""
    if image.keep_original:
        data = ports.store.get(image_key(received.owner, received.case_id, image.n, "original"))
        return Original(data, image.content_type, image.orientation, image.color)
    whole, profile, prepared = (
        _blob(ports, image_key(received.owner, received.case_id, image.n, form)) for form in _FORMS
    )
    color = image.color or profile
    if whole is None or color is None:  # without its profile an original is half gone: another worker removes it now
        return Original(prepared or b"")
    return Original(whole, image.content_type, image.orientation, color)


def _remove_originals(ports: Ports, received: Received) -> None:
    for image in received.images:
        if not image.keep_original:
            for form in ("original", "profile"):
                ports.store.delete(image_key(received.owner, received.case_id, image.n, form))


def _blob(ports: Ports, key: str) -> bytes | None:
    try:
        return ports.store.get(key)
    except BlobNotFound:
        return None


def _keep_heatmaps(ports: Ports, job: AssessJob, model: ModelRef, heatmaps: Sequence[tuple[Heatmap, bytes]]) -> None:
    put_all(ports, {heatmap_key(job.owner, job.case_id, drawn, model): overlay for drawn, overlay in heatmaps})
