"""Redis: Celery as a producer by name, which shares nothing with the worker but the payloads' models, and wake-ups."""

import asyncio
import collections
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis.asyncio
from celery import Celery
from kombu.exceptions import OperationalError
from opentelemetry.trace import SpanKind

from dermis.gateway.hub import Hub
from dermis.gateway.ports import QueueLoad
from dermis.shared import lines
from dermis.shared.batches import BATCHES_QUEUE, RUN_BATCH, BatchJob
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import (
    ASSESS,
    ASSESS_IMAGE,
    CASES_QUEUES,
    SCRATCH_QUEUE,
    SENT_AT,
    WEBHOOK_DELIVER,
    WEBHOOKS_QUEUE,
    AssessImageJob,
    AssessJob,
    cases_queue,
    reply_key,
    wakeup_channel,
)
from dermis.shared.presence import presence_pattern
from dermis.shared.telemetry import log
from dermis.shared.tracing import sent_along, span
from dermis.shared.webhooks import DeliverJob

_SOCKET_SECONDS = 1.0
_PAUSE_SECONDS = 2.0
_THREADS = 4
_MOST_WAITING = 64
_MOST_KEPT = 10_000
_FAULTS = (redis.RedisError, OperationalError, OSError, TimeoutError)


class RedisBroker:
    """Broker over Redis; sends on threads of its own and, after a failure, leaves Redis alone for two seconds.

    Jobs that could not be sent are kept, the latest 10,000, and sent once it answers again; what a crash loses of them
    is the sweep's.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._app = Celery("dermis.gateway", broker=url, set_as_current=False)
        self._app.conf.update(
            broker_pool_limit=_THREADS,
            broker_transport_options={
                "socket_connect_timeout": _SOCKET_SECONDS,
                "socket_timeout": _SOCKET_SECONDS,
                "max_retries": 0,
            },
            task_ignore_result=True,
        )
        self._redis = redis.asyncio.from_url(
            url, socket_connect_timeout=_SOCKET_SECONDS, socket_timeout=_SOCKET_SECONDS
        )
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="queue")
        self._ready = self._threads.submit(self._prepare)
        self._waiting = 0
        self._paused_until = 0.0
        self._kept: collections.deque[AssessJob] = collections.deque(maxlen=_MOST_KEPT)
        self._unread_until = 0.0

    def _prepare(self) -> None:
        """Import the transport, half a second, and make Celery's pools.

        Of threads that make them at once, one fails.
        """
        self._app.connection_for_write().get_transport_cls()
        self._app.amqp.producer_pool  # noqa: B018 (made by looking)

    async def send(self, job: AssessJob) -> bool:
        sent = await self._send_case(job)
        if not sent:
            self._kept.append(job)
            log.warning("not queued yet", case_id=job.case_id)
        return sent

    async def send_batch(self, jobs: Sequence[BatchJob]) -> None:
        for job in jobs:
            if not await self._send(RUN_BATCH, BATCHES_QUEUE, job.model_dump()):
                log.warning("batch not queued whole", batch_id=job.batch_id, step=job.step)
                return

    async def send_deliveries(self, jobs: Sequence[DeliverJob]) -> None:
        for job in jobs:
            if not await self._send(WEBHOOK_DELIVER, WEBHOOKS_QUEUE, job.model_dump()):
                log.warning("webhook not sent at once")
                return

    async def delivers_webhooks(self) -> bool | None:
        try:
            return bool([key async for key in self._redis.scan_iter(match=presence_pattern("webhooks"), count=1000)])
        except _FAULTS:
            return None

    async def ask(self, job: AssessImageJob, *, seconds: float) -> bytes | None:
        if not await self._send(ASSESS_IMAGE, SCRATCH_QUEUE, job.model_dump(), expires=seconds):
            raise DermisError(
                Kind.UNAVAILABLE, "BROKER_UNAVAILABLE", "no worker can be asked now; try again, or submit a case"
            )
        client = redis.asyncio.from_url(
            self._url, socket_connect_timeout=_SOCKET_SECONDS, socket_timeout=seconds + _SOCKET_SECONDS
        )
        with contextlib.suppress(*_FAULTS):
            async with client:
                reply: Any = await client.blpop([reply_key(job.scratch_id)], timeout=seconds)
                return bytes(reply[1]) if reply else None
        return None

    async def announce(self, case_id: str, fact: str) -> None:
        with contextlib.suppress(*_FAULTS):
            await self._redis.publish(wakeup_channel(case_id), fact)

    async def load(self, line: str = "") -> QueueLoad | None:
        if time.monotonic() < self._unread_until:
            return None
        try:
            return await self._read_load(line)
        except _FAULTS:
            self._unread_until = time.monotonic() + _PAUSE_SECONDS
            return None

    async def feed(self, hub: Hub) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_kept())
            while True:
                try:
                    await self._feed(hub)
                except _FAULTS:
                    pass
                except Exception as fault:  # noqa: BLE001 (a feed that ends unseen leaves all to rely on news that never come)
                    log.error("news broken off", cause=type(fault).__name__)
                hub.fed = False
                await asyncio.sleep(_SOCKET_SECONDS)

    async def close(self) -> None:
        await self._redis.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._app.close()

    async def _send_kept(self) -> None:
        while True:
            await asyncio.sleep(_SOCKET_SECONDS)
            while self._kept and await self._send_case(self._kept[0]):
                self._kept.popleft()

    async def _send_case(self, job: AssessJob) -> bool:
        return await self._send(ASSESS, cases_queue(await self._place(job)), job.model_dump())

    async def _place(self, job: AssessJob) -> int:
        """Put a case into its line and return its place; the first, if that doesn't work."""
        if time.monotonic() >= self._paused_until:
            with contextlib.suppress(*_FAULTS):
                async with self._redis.pipeline(transaction=False) as pipe:
                    lines.join(pipe, job.turn_of, job.case_id, now=time.time())
                    return int((await pipe.execute())[-1])
        return 1

    async def _send(self, task: str, queue: str, job: Mapping[str, Any], *, expires: float | None = None) -> bool:
        if time.monotonic() < self._paused_until or self._waiting >= _MOST_WAITING:
            return False

        def send(headers: Mapping[str, Any]) -> None:
            self._ready.result()
            self._app.send_task(task, kwargs={"job": job}, queue=queue, headers=headers, expires=expires, retry=False)

        self._waiting += 1
        try:
            with span(f"send {task}", kind=SpanKind.PRODUCER):
                headers = {SENT_AT: time.time(), **sent_along()}
                await asyncio.get_running_loop().run_in_executor(self._threads, send, headers)
        except _FAULTS as fault:
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            log.warning("broker failed", fault=type(fault).__name__)
            return False
        except Exception as fault:  # noqa: BLE001 (what was stored is accepted, whatever becomes of the job: the sweep sends another)
            log.error("job not sent", fault=type(fault).__name__)
            return False
        finally:
            self._waiting -= 1
        return True

    async def _read_load(self, line: str) -> QueueLoad:
        async with self._redis.pipeline(transaction=False) as pipe:
            for queue in CASES_QUEUES:
                pipe.llen(queue)
                pipe.lindex(queue, -1)
            lines.look(pipe, line)
            *queues, waiting, first = await pipe.execute()
        depth = sum(map(int, queues[::2]))
        return QueueLoad(
            depth=depth,
            age=max(map(_age, queues[1::2])),
            line=min(depth, int(waiting)),  # a line may have lost its queue
            line_age=max(0.0, time.time() - first[0][1]) if first else 0.0,
        )

    async def _feed(self, hub: Hub) -> None:
        async with (
            redis.asyncio.from_url(self._url, socket_connect_timeout=_SOCKET_SECONDS, socket_timeout=None) as client,
            client.pubsub() as pubsub,
        ):
            await pubsub.psubscribe(wakeup_channel("*"))
            hub.fed = True
            hub.wake_all()
            async for message in pubsub.listen():
                if message["type"] == "pmessage":
                    hub.wake(message["channel"].decode().removeprefix(wakeup_channel("")))


def _age(message: bytes | None) -> float:
    """Return for how many seconds a message has waited; 0 for one that the gateway didn't send."""
    if not message:
        return 0.0
    try:
        return max(0.0, time.time() - float(json.loads(message)["headers"][SENT_AT]))
    except (ValueError, LookupError, TypeError):
        return 0.0
