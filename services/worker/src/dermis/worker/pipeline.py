"""One case, from the originals in the store to its one outcome."""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from dermis.shared.case import (
    AnswerShare,
    Assessed,
    AssessedImage,
    CaseState,
    Erased,
    Fact,
    FactName,
    Failed,
    Heatmap,
    ModelRef,
    OpenCase,
    Outcome,
    OutcomeKind,
    Received,
    ReceivedImage,
    Stage,
    case_key,
    fact_key,
    failed_key,
    fold,
    heatmap_key,
    image_key,
    open_key,
)
from dermis.shared.erasing import clear
from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.header import Reason, is_refusal
from dermis.shared.images.icc import Color
from dermis.shared.jobs import AssessImageJob, AssessJob, scratch_key
from dermis.shared.manifest import ImageFit, Manifest
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.telemetry import log
from dermis.shared.tracing import span
from dermis.shared.vocabulary import SelfReport
from dermis.worker.core import decode, differential, heatmap, notices, phash, prepare, quality, red_flags
from dermis.worker.core.answer_shares import answer_shares
from dermis.worker.core.differential import Decision
from dermis.worker.core.measured import measured_for
from dermis.worker.ports import Announcer, Classifier, Features, Inputs, Models, Outputs

F = TypeVar("F", bound=Fact)
_MOST_EXPLAINED = 3
_FORMS: tuple[Literal["original", "profile", "prepared"], ...] = ("original", "profile", "prepared")
Image = npt.NDArray[np.uint8]
Keep = Callable[[ModelRef, Sequence[tuple[Heatmap, bytes]]], None]
Exceeded = Callable[[], object]
"""Called where an image takes more processor time to decode than it may; the process ends then."""
WORKER_LOST = "WORKER_LOST"
TOO_COSTLY = "the photo takes too long to decode: save it as an ordinary (baseline) JPEG, or send a smaller copy"
_CALLS_AT_ONCE = 8


class FactBroken(DermisError):
    """A fact of the case is there and can't be read."""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Original:
    """An image to judge, with what was kept of its dropped metadata; None where the bytes still say it."""

    data: bytes
    content_type: str | None = None
    orientation: int | None = None
    color: Color | None = None


class Stages:
    """Wall time of each named stage, in milliseconds; a stage entered again adds up."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._ms: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = self._clock()
        try:
            with span(name):
                yield
        except BaseException as fault:
            fault.add_note(name)  # says in which stage a time limit was met
            raise
        finally:
            self._ms[name] = self._ms.get(name, 0) + (self._clock() - start) * 1000

    def taken(self) -> tuple[Stage, ...]:
        return tuple(Stage(name=name, ms=round(ms, 2)) for name, ms in self._ms.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The use-cases of a worker over its ports."""

    store: BlobStore
    models: Models
    features: Features
    classifier: Classifier
    announcer: Announcer
    policy: quality.Policy
    noted: Callable[[Fact], None] = lambda _: None
    """Told of each fact that this worker was the first to put."""
    guard: Callable[[Exceeded], AbstractContextManager[None]] = lambda _: nullcontext()
    """Limits the processor time of what runs under it."""
    max_redeliveries: int = 2
    answer_unmeasured: bool = False
    """Answer people of a skin type for which the model was not measured, with a warning."""
    _mark: bytes = field(default_factory=lambda: secrets.token_hex(8).encode())
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="store")
    )
    """For calls of the store that don't wait for each other."""

    def assess(self, job: AssessJob, *, redelivered: bool = False) -> CaseState:
        """Bring a case to its outcome and return its state; a closed case is left as it is.

        Every fact is put once: of two workers on one case the first wins and the other takes what it finds. A retryable
        `DermisError` leaves the case open. A `redelivered` job whose worker was lost too often at the images raises
        WORKER_LOST.
        """
        state = self._read(job)
        if state.received is None or state.closed:
            return self._close(job, state)
        stages = Stages()
        images, assessed = self._look(job, state.received, stages, redelivered=redelivered)
        outcome = self._put(
            job,
            "outcome",
            self._answer(
                job.case_id,
                state.received.self_report,
                assessed.images,
                images,
                stages,
                keep=partial(self._keep_heatmaps, job),
            ),
        )
        erased = self._get(fact_key(job.owner, job.case_id, "erased"), Erased)
        return self._close(job, state.model_copy(update={"assessed": assessed, "outcome": outcome, "erased": erased}))

    def assess_row(
        self, name: str, originals: Sequence[bytes], report: SelfReport, *, exceeded: Exceeded = lambda: None
    ) -> tuple[Outcome, tuple[AssessedImage, ...]]:
        """Return the outcome that a case of these images and answers would get; nothing is kept."""
        stages = Stages()
        images: dict[int, Image] = {}
        assessed = []
        for n, data in enumerate(originals, start=1):
            quality_report, working = self._judge(Original(data), stages, exceeded)
            usable = working is not None and quality_report.verdict is not Verdict.UNUSABLE
            hash_text = None if working is None else phash.to_text(phash.phash(working))
            assessed.append(AssessedImage(n=n, quality=quality_report, phash=hash_text))
            if usable and working is not None:
                images[n] = working
        return self._answer(name, report, assessed, images, stages, keep=None), tuple(assessed)

    def assess_image(self, job: AssessImageJob) -> None:
        """Judge one image that a client wants judged at once, answer, and remove it."""
        key = scratch_key(job.scratch_id)
        try:
            data = self.store.get(key)
            color = self.store.get(scratch_key(job.profile_id)) if job.profile_id else job.color
        except BlobNotFound:
            return  # nobody waits any more
        original = Original(data, job.content_type, job.orientation, color)
        report, _ = self._judge(original, Stages(), partial(self._reply, job, self._too_costly()))
        self._reply(job, report)

    def _reply(self, job: AssessImageJob, report: QualityReport) -> None:
        self.announcer.reply(job.scratch_id, report.model_dump_json().encode())
        for scratch_id in filter(None, (job.scratch_id, job.profile_id)):
            self.store.delete(scratch_key(scratch_id))

    def _too_costly(self) -> QualityReport:
        return quality.unreadable(self.policy, TOO_COSTLY)

    def fail(self, job: AssessJob, *, reason: str, detail: str) -> CaseState:
        """End this attempt and close the case, unless it has its outcome already."""
        try:
            state = self._read(job)
        except FactBroken:  # there is nothing to go on with, at no later time either; its retention ends it
            self._put_failed(job, reason=reason, detail=detail)
            self.store.delete(open_key(job.case_id))
            return fold(())
        if state.received is not None and not state.closed:
            self._put_failed(job, reason=reason, detail=detail)
        return self._close(job, self._read(job))

    def _put_failed(self, job: AssessJob, *, reason: str, detail: str) -> None:
        fact = Failed(case_id=job.case_id, attempt=job.attempt, failed_at=now(), reason=reason, detail=detail)
        with suppress(BlobConflict):
            if self.store.put_once(
                failed_key(job.owner, job.case_id, job.attempt), fact.model_dump_json().encode(), reserved=True
            ):
                self.noted(fact)
        self.announcer.announce(job.case_id, "failed")

    @contextmanager
    def at_risk(self, job: AssessJob) -> Iterator[None]:
        """Keep a mark while the images of a job that was delivered again are looked at.

        The mark outlives Redis and this process.

        A mark that stays says that the worker was lost there: the images may be the cause. WORKER_LOST if that was so
        too often.
        """
        n, key = 0, ""
        while not key:
            n += 1
            with suppress(
                BlobConflict
            ):  # somebody else's, who was lost; a mark of our own that could not be removed is taken again
                self.store.put_once(
                    place := f"{case_key(job.owner, job.case_id)}/redelivered/{job.attempt}-{n}",
                    self._mark,
                    reserved=True,
                )
                key = place
        if n > self.max_redeliveries:
            raise DermisError(
                Kind.INTERNAL, WORKER_LOST, "the worker was lost each time that it looked at the images of this case"
            )
        try:
            yield
        finally:
            with suppress(DermisError):
                self.store.delete(key)

    def marker(self, job: AssessJob) -> OpenCase | None:
        """Return the marker of an open case, or None if it is not open."""
        return self._get(open_key(job.case_id), OpenCase)

    def open_seconds(self, job: AssessJob) -> float:
        """Return for how long a case is open, by the store's clock: this machine's or the gateway's may be far off."""
        try:
            return (self.store.clock() - self.store.written_at(open_key(job.case_id))).total_seconds()
        except BlobNotFound:  # closed meanwhile
            return 0

    def _read(self, job: AssessJob) -> CaseState:
        submit, owner, case_id = self._threads.submit, job.owner, job.case_id
        reads = (
            submit(self._get, fact_key(owner, case_id, "received"), Received),
            submit(self._get, fact_key(owner, case_id, "assessed"), Assessed),
            submit(self._get, fact_key(owner, case_id, "outcome"), Outcome),
            submit(self._get, failed_key(owner, case_id, job.attempt), Failed),
            submit(self._get, fact_key(owner, case_id, "erased"), Erased),
        )
        return fold(read.result() for read in reads)

    def _look(
        self, job: AssessJob, received: Received, stages: Stages, *, redelivered: bool
    ) -> tuple[dict[int, Image], Assessed]:
        """Decode and judge each image; return the working images (uint8[H, W, 3]) that may be used, by number."""
        images: dict[int, Image] = {}
        judged, prepared = [], {}
        with stages("read"):
            originals = list(self._threads.map(partial(self._read_image, received), received.images))
        with self.at_risk(job) if redelivered else nullcontext():
            for image, original in zip(received.images, originals, strict=True):
                exceeded = partial(self.fail, job, reason=Reason.COST, detail=f"image {image.n}: {TOO_COSTLY}")
                report, working = self._judge(original, stages, exceeded)
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
            self._put_all(prepared)
        assessed = Assessed(case_id=received.case_id, assessed_at=now(), images=tuple(judged), stages=stages.taken())
        with stages("store"):
            standing = self._put(job, "assessed", assessed)
            self._remove_originals(received)
            return images, standing

    def _read_image(self, received: Received, image: ReceivedImage) -> Original:
        """Return an image as it came in; where that could not be kept and is gone, as it was prepared."""
        if image.keep_original:
            data = self.store.get(image_key(received.owner, received.case_id, image.n, "original"))
            return Original(data, image.content_type, image.orientation, image.color)
        whole, profile, prepared = (
            self._blob(image_key(received.owner, received.case_id, image.n, form)) for form in _FORMS
        )
        color = image.color or profile
        if (
            whole is None or color is None
        ):  # without its profile an original is half gone: another worker removes it now
            return Original(prepared or b"")
        return Original(whole, image.content_type, image.orientation, color)

    def _remove_originals(self, received: Received) -> None:
        for image in received.images:
            if not image.keep_original:
                for form in ("original", "profile"):
                    self.store.delete(image_key(received.owner, received.case_id, image.n, form))

    def _blob(self, key: str) -> bytes | None:
        try:
            return self.store.get(key)
        except BlobNotFound:
            return None

    def _judge(self, original: Original, stages: Stages, exceeded: Exceeded) -> tuple[QualityReport, Image | None]:
        """Return an image's report and, if it can be decoded, its working image."""
        try:
            with stages("decode"), self.guard(exceeded):
                working = decode.decode(
                    original.data,
                    content_type=original.content_type,
                    orientation=original.orientation,
                    color=original.color,
                ).image
        except DermisError as error:
            if not is_refusal(error):
                raise
            return quality.unreadable(self.policy, error.detail), None
        with stages("quality"):
            return quality.assess(working, self.policy), working

    def _answer(
        self,
        case_id: str,
        report: SelfReport,
        assessed: Iterable[AssessedImage],
        images: dict[int, Image],
        stages: Stages,
        *,
        keep: Keep | None,
    ) -> Outcome:
        """Return the outcome of a case; `keep`, if given, gets the heatmaps before the outcome names them."""
        outcome = Outcome(
            case_id=case_id,
            finished_at=now(),
            kind=OutcomeKind.REJECTION,
            reason="NO_USABLE_IMAGE",
            advice=_advice(image.quality for image in assessed),
            red_flags=red_flags.red_flags(report),
            notices=notices.notices(report),
            stages=stages.taken(),
        )
        if not images:
            return outcome
        manifest = self.models.pinned()
        with stages("features"):
            features = self.features.encode(manifest.feature_schema, report)
        with stages("fit"):
            inputs = _inputs(manifest, images, features)
        with stages("predict"):
            outputs = self.classifier.predict(manifest, inputs)
        fitzpatrick = report.fitzpatrick_skin_type
        outliers = self.models.outliers(manifest)
        score = None if outliers is None or outputs.embedding is None else float(outliers.score(outputs.embedding))
        decision = differential.decide(
            outputs.probabilities,
            manifest,
            fitzpatrick,
            outlier_score=score,
            answer_unmeasured=self.answer_unmeasured,
        )
        conditions = _shown(decision, manifest)
        with stages("explain"):
            shares = self._shares(manifest, features, outputs, conditions)
        model = ModelRef(name=manifest.name, version=manifest.version, purpose=manifest.purpose)
        heatmaps: list[tuple[Heatmap, bytes]] = []
        if keep:
            with stages("heatmap"):
                heatmaps = list(_heatmaps(images, outputs, conditions, manifest.image_fit))
            with stages("store"):
                keep(model, heatmaps)
        return outcome.model_copy(
            update={
                "finished_at": now(),
                "kind": decision.kind,
                "reason": decision.reason,
                "differential": decision.differential,
                "coverage": decision.coverage,
                "model": model,
                "feature_schema": manifest.feature_schema,
                "images_used": tuple(images),
                "answer_shares": shares,
                "heatmaps": tuple(drawn for drawn, _ in heatmaps),
                "red_flags": red_flags.with_growth(outcome.red_flags)
                if manifest.malignant and decision.kind is OutcomeKind.DIFFERENTIAL
                else outcome.red_flags,
                "notices": (*notices.notices_of_model(manifest, report), *outcome.notices),
                "measured": measured_for(self.models.evaluation(manifest), fitzpatrick),
                "stages": stages.taken(),
            }
        )

    def _keep_heatmaps(self, job: AssessJob, model: ModelRef, heatmaps: Sequence[tuple[Heatmap, bytes]]) -> None:
        self._put_all({heatmap_key(job.owner, job.case_id, drawn, model): overlay for drawn, overlay in heatmaps})

    def _put_all(self, objects: Mapping[str, bytes]) -> None:
        """Put objects at once; what an earlier attempt, another worker or another version put stands."""

        def put(item: tuple[str, bytes]) -> None:
            with suppress(BlobConflict):
                self.store.put_once(*item, reserved=True)

        list(self._threads.map(put, objects.items()))

    def _shares(
        self,
        manifest: Manifest,
        features: npt.NDArray[np.float32],
        outputs: Outputs,
        conditions: Sequence[tuple[int, str]],
    ) -> tuple[AnswerShare, ...]:
        """Return what counted in the answers; nothing if the model is not linear in them."""
        weights = self.classifier.answer_weights(manifest, len(features))
        if not weights.explain(features, outputs.answers_logits):
            log.warning("answers not explained", model=manifest.key)
            return ()
        return answer_shares(self.models.feature_schema(manifest), features, weights, conditions)

    def _put(self, job: AssessJob, name: FactName, fact: F) -> F:
        """Put a fact and return the one that stands: of two workers on one case, the first one's counts."""
        key = fact_key(job.owner, job.case_id, name)
        try:
            self.store.put_once(key, fact.model_dump_json().encode(), reserved=True)
        except BlobConflict:
            return type(fact).model_validate_json(self.store.get(key))
        self.announcer.announce(job.case_id, name)
        self.noted(fact)
        return fact

    def _get(self, key: str, model: type[F]) -> F | None:
        try:
            return model.model_validate_json(self.store.get(key))
        except BlobNotFound:
            return None
        except ValidationError as error:
            raise FactBroken(Kind.INTERNAL, "FACT_BROKEN", f"a {error.title} in the store can't be read") from None

    def _close(self, job: AssessJob, state: CaseState) -> CaseState:
        """Remove what a closed case no longer needs; of an erased case, everything that came after its tombstone.

        A failure closes its own attempt: the marker of a later one, which was opened by a replay, stays.
        """
        if state.erased:
            clear(self.store, owner=job.owner, case_id=job.case_id)
        if state.erased or state.outcome or (state.failed and not self._is_reopened(job)):
            self.store.delete(open_key(job.case_id))
            if not state.erased and self._get(fact_key(job.owner, job.case_id, "erased"), Erased):
                clear(self.store, owner=job.owner, case_id=job.case_id)  # who erased it just now counted on the marker
        return state

    def _is_reopened(self, job: AssessJob) -> bool:
        marker = self.marker(job)
        return marker is not None and marker.attempt > job.attempt


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


def _shown(decision: Decision, manifest: Manifest) -> list[tuple[int, str]]:
    """Return place and id of the conditions that are explained: the first of the prediction set."""
    places = {condition.id: place for place, condition in enumerate(manifest.conditions)}
    inside = [ranked.condition for ranked in decision.differential if ranked.in_prediction_set]
    return [(places[condition], condition) for condition in inside[:_MOST_EXPLAINED]]


def _advice(reports: Iterable[QualityReport]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(advice for report in reports for advice in report.advice))
