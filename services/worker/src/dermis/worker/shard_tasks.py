"""The task that measures a shard of a profile of images."""

import time
from collections.abc import Callable
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery, Task
from structlog.contextvars import bound_contextvars

from dermis.shared.errors import DermisError
from dermis.shared.jobs import IMAGES_SHARD, ShardJob
from dermis.shared.telemetry import log
from dermis.worker.settings import WorkerSettings
from dermis.worker.shards import Shards
from dermis.worker.tasks import RETRY_AFTER_S


def add_shard_task(app: Celery, settings: WorkerSettings, shards: Callable[[], Shards]) -> None:
    """Give the app its task; `shards` gives each process its own, made after fork."""

    @app.task(name=IMAGES_SHARD, bind=True, pydantic=True)  # type: ignore[untyped-decorator]
    def measure(self: "Task[Any, Any]", job: ShardJob) -> None:
        with bound_contextvars(profile_id=job.profile_id, shard=job.shard):
            work(shards(), job, settings=settings, redelivered=bool((self.request.delivery_info or {}).get("redelivered")))


def work(shards: Shards, job: ShardJob, *, settings: WorkerSettings, redelivered: bool) -> None:
    """Measure a shard; what can't be done now is left to who waits for it, what can never be done is noted."""
    try:
        if redelivered and shards.count_redelivery(job) > settings.max_redeliveries:
            shards.fail(job, "the worker was lost each time that it took up this shard: one of its images may be the cause")
            return
        _measure(shards, job)
    except SoftTimeLimitExceeded:
        log.error("time limit", limit_s=settings.soft_time_limit_seconds)
        shards.fail(job, f"it took longer than {settings.soft_time_limit_seconds:g} s: use a smaller shard size")
    except DermisError as error:
        if error.retryable:
            log.warning("shard left", reason=error.reason, detail=error.detail)
            return
        log.error("shard failed", reason=error.reason)
        shards.fail(job, error.detail)
    except Exception as error:  # noqa: BLE001 - the last net of a task: who waits is told
        log.exception("shard failed")
        shards.fail(job, f"INTERNAL: {type(error).__name__}, see the worker's log")


def _measure(shards: Shards, job: ShardJob) -> None:
    for wait in (*RETRY_AFTER_S, None):
        try:
            start = time.monotonic()
            images = shards.measure(job)
        except DermisError as error:
            if wait is None or not error.retryable:
                raise
            time.sleep(wait)
        else:
            log.info("shard done", images=images, ms=round((time.monotonic() - start) * 1000))
            return
