"""The workers' queue, from the sender's side."""

import time
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import redis
from opentelemetry.trace import SpanKind

from dermis.shared import lines
from dermis.shared.batches import BATCHES_QUEUE, RUN_BATCH, BatchJob
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import (
    ASSESS,
    CASES_QUEUE,
    CASES_QUEUES,
    SENT_AT,
    WEBHOOK_DRAIN,
    WEBHOOKS_QUEUE,
    AssessJob,
    cases_queue,
)
from dermis.shared.tracing import sent_along, span
from dermis.shared.webhooks import DrainJob

if TYPE_CHECKING:
    from celery import Celery

_WAIT_S = 2.0


class Queue(Protocol):
    """Where jobs go; a fault of the broker is a `DermisError` of kind UNAVAILABLE."""

    def waiting(self) -> int:
        """Return how many jobs no worker has taken yet."""
        ...

    def send(self, job: AssessJob) -> None: ...

    def waiting_steps(self) -> int:
        """Return how many steps of batches no worker has taken yet."""
        ...

    def send_step(self, job: BatchJob) -> None: ...

    def waiting_drains(self) -> int:
        """Return how many jobs of webhooks no worker has taken yet."""
        ...

    def send_drain(self, job: DrainJob) -> None: ...


class CeleryQueue:
    """Queue over Celery on Redis, a producer by task name."""

    def __init__(self, broker_url: str) -> None:
        self._broker_url = broker_url
        self._redis = redis.Redis.from_url(broker_url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S)

    def waiting(self) -> int:
        return self._length(*CASES_QUEUES)

    def waiting_steps(self) -> int:
        return self._length(BATCHES_QUEUE)

    def send(self, job: AssessJob) -> None:
        self._send(ASSESS, job, cases_queue(self._place(job)))

    def send_step(self, job: BatchJob) -> None:
        self._send(RUN_BATCH, job, BATCHES_QUEUE)

    def waiting_drains(self) -> int:
        return self._length(WEBHOOKS_QUEUE)

    def send_drain(self, job: DrainJob) -> None:
        self._send(WEBHOOK_DRAIN, job, WEBHOOKS_QUEUE)

    def _place(self, job: AssessJob) -> int:
        try:
            with self._redis.pipeline() as pipe:
                lines.join(pipe, job.turn_of, job.case_id, now=time.time())
                return int(pipe.execute()[-1])
        except redis.RedisError as fault:
            raise _unavailable(fault) from fault

    def _length(self, *queues: str) -> int:
        try:
            return sum(int(self._redis.llen(queue)) for queue in queues)
        except redis.RedisError as fault:
            raise _unavailable(fault) from fault

    def _send(self, task: str, job: AssessJob | BatchJob | DrainJob, queue: str) -> None:
        from kombu.exceptions import OperationalError

        try:
            ids = job.model_dump(include={"case_id", "batch_id", "step", "endpoint_id"})
            with span(f"send {task} again", kind=SpanKind.PRODUCER, **ids):
                headers = {SENT_AT: time.time(), **sent_along()}
                self._app.send_task(task, kwargs={"job": job.model_dump()}, queue=queue, headers=headers, retry=False)
        except (OperationalError, redis.RedisError) as fault:
            raise _unavailable(fault) from fault

    @cached_property
    def _app(self) -> "Celery":
        from celery import Celery  # here, as it takes half a second, and most looks of the sweep send nothing

        app = Celery("dermis", broker=self._broker_url)
        app.conf.update(
            task_default_queue=CASES_QUEUE,
            task_ignore_result=True,
            broker_connection_timeout=_WAIT_S,
            broker_transport_options={"socket_timeout": _WAIT_S, "socket_connect_timeout": _WAIT_S},
        )
        return app


def _unavailable(fault: Exception) -> DermisError:
    return DermisError(Kind.UNAVAILABLE, "BROKER", f"Redis doesn't take the job ({type(fault).__name__})")
