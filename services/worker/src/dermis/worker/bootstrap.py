"""Puts a worker process together."""

import resource
from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from importlib import resources
from pathlib import Path

import cv2
import redis
from celery import Celery
from celery.signals import worker_init, worker_process_init, worker_process_shutdown, worker_ready
from kombu.exceptions import OperationalError

from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import WEBHOOK_DELIVER, WEBHOOKS_QUEUE
from dermis.shared.metrics import serve_metrics
from dermis.shared.ports import BlobStore
from dermis.shared.presence import Presence
from dermis.shared.rpc import open_channel
from dermis.shared.stores import open_source, open_store, overlap
from dermis.shared.telemetry import configure_logs, log
from dermis.shared.tracing import configure_traces, flush_traces
from dermis.shared.webhook_store import CACHE_SECONDS, Outbox
from dermis.shared.webhooks import DeliverJob
from dermis.worker.adapters.alive import signs_of_life
from dermis.worker.adapters.announcer import RedisAnnouncer
from dermis.worker.adapters.cpu_guard import CpuGuard
from dermis.worker.adapters.models import StoreModels
from dermis.worker.adapters.rpc import MetadataClient, ServingClient
from dermis.worker.adapters.turns import Turns
from dermis.worker.batches import Batches
from dermis.worker.core.quality import Policy
from dermis.worker.core.skin import Gate, read_gate
from dermis.worker.metrics import Metrics, OfAllProcesses
from dermis.worker.pipeline import Pipeline
from dermis.worker.settings import WorkerSettings
from dermis.worker.shards import Shards
from dermis.worker.step_tasks import add_step_tasks
from dermis.worker.strikes import Strikes
from dermis.worker.tasks import make_app


def build(settings: WorkerSettings, folder: Path) -> Celery:
    """Return the Celery app, whose metrics and turns are kept in `folder`.

    Store, channels and Redis client are made once per process, on first use after fork.
    """

    metrics = Metrics()
    close_metrics: list[Callable[[], None]] = []

    @cache
    def client() -> "redis.Redis":
        return redis.Redis.from_url(settings.broker_url, socket_timeout=1, socket_connect_timeout=1)

    @cache
    def turns() -> Turns:
        return Turns(folder, settings.concurrency, client())

    @cache
    def strikes() -> Strikes:
        return Strikes(
            store=open_store(settings.store_url), longest=timedelta(seconds=settings.hard_time_limit_seconds)
        )

    @cache
    def pipeline() -> Pipeline:
        store = open_store(settings.store_url)
        channel = open_channel(settings.serving_address)
        serving = ServingClient(channel, deadline_s=settings.serving_deadline_seconds)
        return Pipeline(
            store=store,
            models=StoreModels(store, serving.available),
            features=MetadataClient(
                open_channel(settings.metadata_address), deadline_s=settings.metadata_deadline_seconds
            ),
            classifier=serving,
            candidate_classifier=ServingClient(channel, deadline_s=settings.candidate_deadline_seconds),
            idle=turns().idle,
            answered=metrics.answered,
            compared=metrics.compared,
            announcer=RedisAnnouncer(client()),
            policy=load_policy(),
            gate=load_gate() if settings.skin_gate else None,
            strikes=strikes(),
            outbox=Outbox(store, send=partial(send_delivery, app), keep_seconds=CACHE_SECONDS),
            noted=metrics.note,
            noted_test=metrics.note_test,
            max_redeliveries=settings.max_redeliveries,
            answer_unmeasured=settings.answer_unmeasured,
            guard=CpuGuard(settings.decode_cpu_seconds),
        )

    @cache
    def shards() -> Shards:
        return Shards(strikes(), open_store, load_gate=load_gate, guard=CpuGuard(settings.decode_cpu_seconds))

    @cache
    def batches() -> Batches:
        return Batches(
            pipeline(),
            partial(open_source_of, settings.store_url),
            give_up_after=timedelta(seconds=settings.give_up_after_seconds),
        )

    def started(**_: object) -> None:
        for close in close_metrics:
            close()
        set_process_up(settings)
        pipeline()

    def leaving(**_: object) -> None:
        flush_traces()

    def show_metrics(**_: object) -> None:
        close_metrics.append(serve_metrics(settings.metrics_listen, OfAllProcesses(folder)))

    def show_presence(**_: object) -> None:
        Presence(settings.broker_url, "worker").keep_shown()

    worker_init.connect(show_metrics, weak=False)
    worker_ready.connect(show_presence, weak=False)
    worker_process_init.connect(started, weak=False)
    worker_process_shutdown.connect(leaving, weak=False)
    app = make_app(settings, pipeline, metrics, turns=turns)
    add_step_tasks(app, settings, metrics, shards=shards, batches=batches, turns=turns)
    if settings.alive_file:
        app.steps["worker"].add(signs_of_life(settings.alive_file))
    return app


def set_process_up(settings: WorkerSettings) -> None:
    """Set up what a process has for itself after fork: logs, traces, its memory limit and OpenCV's threads."""
    configure_logs(part="worker", level=settings.log_level, form=settings.log_format)
    configure_traces(part="worker", url=settings.traces_url)
    if settings.memory_limit_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (settings.memory_limit_bytes, settings.memory_limit_bytes))
    cv2.setNumThreads(1)  # the processes share the cores; threads of their own would only contend


def send_delivery(app: Celery, job: DeliverJob) -> None:
    """Send word of a delivery; without Redis the sweep does so later."""
    try:
        app.send_task(WEBHOOK_DELIVER, kwargs={"job": job.model_dump()}, queue=WEBHOOKS_QUEUE, retry=False)
    except OperationalError as fault:
        log.warning("webhook not sent at once", fault=type(fault).__name__)


def open_source_of(store_url: str, source_url: str) -> BlobStore:
    """Open what a batch reads from; INVALID if it shares objects with the store, where cases and keys are."""
    if overlap(store_url, source_url):
        raise DermisError(
            Kind.INVALID, "BATCH_SOURCE", "the batch's source and the store share objects; name a source of its own"
        )
    return open_source(source_url)


@cache
def load_gate() -> Gate:
    """Return the skin gate that ships with the worker, one per process."""
    return read_gate(resources.files("dermis.worker"))


def load_policy() -> Policy:
    """Return the quality policy that ships with the worker."""
    return Policy.model_validate_json(resources.files("dermis.worker").joinpath("quality_policy.json").read_bytes())
