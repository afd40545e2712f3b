"""The tasks of long work that is done in steps: shards of a profile of images, and steps of a batch."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from billiard.exceptions import SoftTimeLimitExceeded
from celery import Celery, Task

from dermis.shared.batches import RUN_BATCH, BatchJob
from dermis.shared.errors import DermisError
from dermis.shared.jobs import IMAGES_SHARD, ShardJob
from dermis.shared.telemetry import log
from dermis.worker.adapters.turns import Turns
from dermis.worker.batches import Batches
from dermis.worker.limits import ComputedTooLong, computing_limit
from dermis.worker.metrics import Metrics
from dermis.worker.row_by_row import MOST_LOSSES
from dermis.worker.settings import WorkerSettings
from dermis.worker.shards import Shards
from dermis.worker.tasks import RETRY_AFTER_S, RETRY_WITHIN_S, taken_up
from dermis.worker.turn_tasks import turn

J_contra = TypeVar("J_contra", contravariant=True)


class Steps(Protocol[J_contra]):
    """Long work whose steps may be done in any order, by anyone, more than once."""

    def run(self, job: J_contra, *, row_by_row: bool = False) -> int:
        """Do a step, `row_by_row` where it lost its worker before, and return how many of its rows were done."""
        ...

    def length(self, job: J_contra) -> int:
        """Return how many rows a step has; 0 where there is nothing to do."""
        ...

    def fail(self, job: J_contra, detail: str) -> None:
        """Note why a step can't be done."""
        ...

    def count_redelivery(self, job: J_contra) -> int:
        """Note that a step was delivered again; return how often it was."""
        ...

    def forgive_redelivery(self, job: J_contra, n: int) -> None:
        """Take the note with number `n` back: the worker was not lost, whatever became of the step."""
        ...


def add_step_tasks(
    app: Celery,
    settings: WorkerSettings,
    metrics: Metrics,
    *,
    shards: Callable[[], Shards],
    batches: Callable[[], Batches],
    turns: Callable[[], Turns],
) -> None:
    """Give the app its tasks; `shards`, `batches` and `turns` give each process its own, made after fork."""

    @app.task(name=IMAGES_SHARD, bind=True, pydantic=True)  # type: ignore[untyped-decorator]
    def measure(self: "Task[Any, Any]", job: ShardJob) -> None:
        with turn(self, job, turns()) as may_work:
            if may_work:
                with taken_up(self, metrics, profile_id=job.profile_id, shard=job.shard):
                    work(shards(), job, settings=settings, redelivered=_redelivered(self))

    @app.task(name=RUN_BATCH, bind=True, pydantic=True)  # type: ignore[untyped-decorator]
    def run_batch(self: "Task[Any, Any]", job: BatchJob) -> None:
        with turn(self, job, turns()) as may_work:
            if may_work:
                with taken_up(self, metrics, batch_id=job.batch_id, step=job.step):
                    work(batches(), job, settings=settings, redelivered=_redelivered(self))


def work(steps: Steps[J_contra], job: J_contra, *, settings: WorkerSettings, redelivered: bool) -> None:
    """Do a step.

    What can't be done now is left to who waits for it or to the sweep, what can never be done is noted.
    """
    times = 0
    try:
        with computing_limit(soft_s=settings.soft_time_limit_seconds, hard_s=settings.hard_time_limit_seconds):
            times = steps.count_redelivery(job) if redelivered else 0
            if times > settings.max_redeliveries + MOST_LOSSES * steps.length(job):
                steps.fail(job, "the worker was lost each time that it took up this step, also row by row")
                return
            _run(steps, job, row_by_row=redelivered)
    except ComputedTooLong:
        log.error("time limit", limit_s=settings.soft_time_limit_seconds)
        steps.fail(job, f"it took more than {settings.soft_time_limit_seconds:g} s of computing: use smaller steps")
    except SoftTimeLimitExceeded:
        log.warning("step left", reason="SLOW", limit_s=settings.soft_time_limit_seconds)
    except DermisError as error:
        if error.retryable:
            log.warning("step left", reason=error.reason, detail=error.detail)
        else:
            log.error("step failed", reason=error.reason)
            steps.fail(job, error.detail)
    except Exception as error:  # noqa: BLE001 - the last net of a task: who waits is told
        log.exception("step failed")
        steps.fail(job, f"INTERNAL: {type(error).__name__}, see the worker's log")
    if times:
        with suppress(DermisError):
            steps.forgive_redelivery(job, times)


def _run(steps: Steps[J_contra], job: J_contra, *, row_by_row: bool) -> None:
    begun = time.monotonic()
    for wait in (*RETRY_AFTER_S, None):
        try:
            start = time.monotonic()
            count = steps.run(job, row_by_row=row_by_row)
        except DermisError as error:
            if wait is None or not error.retryable or time.monotonic() - begun + wait > RETRY_WITHIN_S:
                raise
            time.sleep(wait)
        else:
            log.info("step done", count=count, ms=round((time.monotonic() - start) * 1000))
            return


def _redelivered(task: "Task[Any, Any]") -> bool:
    return bool((task.request.delivery_info or {}).get("redelivered"))
