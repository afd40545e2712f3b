"""The Celery app of the worker and its tasks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery, Task
from opentelemetry.trace import SpanKind
from structlog.contextvars import bound_contextvars

from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import ASSESS, ASSESS_IMAGE, SENT_AT, AssessImageJob, AssessJob
from dermis.shared.telemetry import log
from dermis.shared.tracing import received_from, span, tracer
from dermis.worker.adapters.turns import Turns
from dermis.worker.celery_app import make_celery
from dermis.worker.limits import ComputedTooLong, computing_limit
from dermis.worker.metrics import Metrics
from dermis.worker.pipeline import Pipeline
from dermis.worker.settings import WorkerSettings
from dermis.worker.strikes import WORKER_LOST
from dermis.worker.turn_tasks import give_back, turn

RETRY_AFTER_S = (0.5, 1.5)
"""Waits between the tries inside one task; later ones begin at the end of the queue or are the sweep's."""
RETRY_WITHIN_S = 5.0
"""No try begins later than this after the first: what hangs is waited for by the sweep, not by a worker."""
_PEERS = ("METADATA_", "SERVING_", "MODEL_NOT_READY")
"""How the reasons of calls to other services begin, which are away for seconds where they are replaced by others."""
_WAITED_FOR = {"read": "STORE_SLOW", "store": "STORE_SLOW", "features": "METADATA_SLOW", "predict": "SERVING_SLOW"}
"""What a stage waits for, by its name; a stage that is not here computes."""


def make_app(
    settings: WorkerSettings, pipeline: Callable[[], Pipeline], metrics: Metrics, *, turns: Callable[[], Turns]
) -> Celery:
    """Return the app with its tasks; `pipeline` and `turns` give each process its own, made after fork."""
    app = make_celery(settings)

    @app.task(name=ASSESS, bind=True, pydantic=True)  # type: ignore[untyped-decorator]
    def assess(self: "Task[Any, Any]", job: AssessJob) -> None:
        redelivered = bool((self.request.delivery_info or {}).get("redelivered"))
        with turn(self, job, turns(), line=job.turn_of) as may_work:
            if may_work:
                turns().leave(job.turn_of, job.case_id)
                with taken_up(self, metrics, case_id=job.case_id, attempt=job.attempt):
                    peer_away = work(pipeline(), job, settings=settings, redelivered=redelivered, metrics=metrics)
                    if peer_away:
                        give_back(self, job, turns())

    @app.task(name=ASSESS_IMAGE, bind=True, pydantic=True, acks_late=False)  # type: ignore[untyped-decorator]
    def assess_image(self: "Task[Any, Any]", job: AssessImageJob) -> None:
        with turn(self, job, turns(), line=job.line) as may_work:
            if may_work:
                with taken_up(self, metrics, scratch_id=job.scratch_id):
                    pipeline().assess_image(job)

    return app


@contextmanager
def taken_up(task: "Task[Any, Any]", metrics: Metrics, **ids: str | int) -> Iterator[None]:
    """Log, count and trace a job while it is in work, as a part of the trace of who sent it."""
    headers, begun = task.request.headers or {}, time.time()
    carrier = {key: value for key, value in headers.items() if isinstance(value, str)}
    sent_at = headers.get(SENT_AT)
    with (
        bound_contextvars(**ids),
        span(str(task.name), kind=SpanKind.CONSUMER, context=received_from(carrier), **ids),
        metrics.in_work.track_inprogress(),
        metrics.job_seconds.labels(str(task.name)).time(),
    ):
        if isinstance(sent_at, float):
            metrics.waited.observe(max(0.0, begun - sent_at))
            tracer.start_span("wait in queue", start_time=int(sent_at * 1e9)).end(int(begun * 1e9))
        yield


def work(pipeline: Pipeline, job: AssessJob, *, settings: WorkerSettings, redelivered: bool, metrics: Metrics) -> bool:
    """Assess one case and return whether it waits for a peer that is away.

    What can't be done now for another reason is left to the sweep, what can never be done fails the case. A case that
    computes for too long fails; a wait that is too long, for whatever it is, ends the task and leaves the case open.
    """
    if redelivered:
        metrics.redeliveries.inc()
    try:
        with computing_limit(soft_s=settings.soft_time_limit_seconds, hard_s=settings.hard_time_limit_seconds):
            return _try(pipeline, job, settings=settings, redelivered=redelivered, metrics=metrics)
    except ComputedTooLong:
        log.error("time limit", limit_s=settings.soft_time_limit_seconds)
        detail = f"the case took more than {settings.soft_time_limit_seconds:g} s of computing"
        pipeline.fail(job, reason="TIME_LIMIT", detail=detail)
    except SoftTimeLimitExceeded as limit:
        stage = getattr(limit, "__notes__", ["read"])[0]
        reason = _WAITED_FOR.get(stage, "WORKER_SLOW")
        log.warning("case left", reason=reason, stage=stage, limit_s=settings.soft_time_limit_seconds)
        metrics.retries.labels(reason).inc()
        _give_up_if_old(pipeline, job, settings=settings, reason=reason)
    return False


def _try(pipeline: Pipeline, job: AssessJob, *, settings: WorkerSettings, redelivered: bool, metrics: Metrics) -> bool:
    begun = time.monotonic()
    for wait in (*RETRY_AFTER_S, None):
        try:
            state = pipeline.assess(job, redelivered=redelivered)
        except DermisError as error:
            if not error.retryable:
                log.error("case failed", reason=error.reason)
                detail = error.detail if error.reason == WORKER_LOST else "the case could not be assessed"
                pipeline.fail(job, reason=error.reason, detail=detail)
                return False
            metrics.retries.labels(error.reason).inc()
            if wait is None or time.monotonic() - begun + wait > RETRY_WITHIN_S:
                log.warning("case left", reason=error.reason, detail=error.detail)
                gave_up = _give_up_if_old(pipeline, job, settings=settings, reason=error.reason)
                return not gave_up and error.kind is Kind.UNAVAILABLE and error.reason.startswith(_PEERS)
            log.warning("try again", reason=error.reason, detail=error.detail, wait_s=wait)
            time.sleep(wait)
        except (SoftTimeLimitExceeded, ComputedTooLong):
            raise
        except Exception:  # noqa: BLE001 - the last net of a task: whatever it is, the case gets its failed fact
            log.exception("case failed")
            pipeline.fail(job, reason="INTERNAL", detail="the case could not be assessed")
            return False
        else:
            log.info("case done", status=state.status, outcome=state.outcome and state.outcome.kind)
            return False
    return False


def _give_up_if_old(pipeline: Pipeline, job: AssessJob, *, settings: WorkerSettings, reason: str) -> bool:
    marker = pipeline.marker(job)  # a replay opens the case anew
    old = marker and marker.attempt == job.attempt and pipeline.open_seconds(job) > settings.give_up_after_seconds
    if old:
        pipeline.fail(
            job, reason=reason, detail=f"the case could not be finished within {settings.give_up_after_seconds:g} s"
        )
    return bool(old)
