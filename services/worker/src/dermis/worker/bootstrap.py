"""Puts a worker process together."""

import resource
from functools import cache
from importlib import resources

import cv2
import redis
from celery import Celery
from celery.signals import worker_process_init

from dermis.shared.rpc import open_channel
from dermis.shared.stores import open_store
from dermis.shared.telemetry import configure_logs
from dermis.worker.adapters.alive import signs_of_life
from dermis.worker.adapters.announcer import RedisAnnouncer
from dermis.worker.adapters.models import StoreModels
from dermis.worker.adapters.rpc import MetadataClient, ServingClient
from dermis.worker.batches import Batches
from dermis.worker.core.quality import Policy
from dermis.worker.pipeline import Pipeline
from dermis.worker.settings import WorkerSettings
from dermis.worker.shards import Shards
from dermis.worker.step_tasks import add_step_tasks
from dermis.worker.tasks import make_app


def build(settings: WorkerSettings) -> Celery:
    """Return the Celery app; store, channels and Redis client are made once per process, on first use after fork."""

    @cache
    def pipeline() -> Pipeline:
        store = open_store(settings.store_url)
        serving = ServingClient(open_channel(settings.serving_address), deadline_s=settings.serving_deadline_seconds)
        return Pipeline(
            store=store,
            models=StoreModels(store, serving.available),
            features=MetadataClient(open_channel(settings.metadata_address), deadline_s=settings.metadata_deadline_seconds),
            classifier=serving,
            announcer=RedisAnnouncer(redis.Redis.from_url(settings.broker_url, socket_timeout=1, socket_connect_timeout=1)),
            policy=load_policy(),
        )

    @cache
    def shards() -> Shards:
        return Shards(open_store(settings.store_url), open_store)

    @cache
    def batches() -> Batches:
        return Batches(pipeline(), open_store)

    def started(**_: object) -> None:
        configure_logs(part="worker", level=settings.log_level, form=settings.log_format)
        if settings.memory_limit_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (settings.memory_limit_bytes, settings.memory_limit_bytes))
        cv2.setNumThreads(1)  # the processes share the cores; threads of their own would only contend
        pipeline()

    worker_process_init.connect(started, weak=False)
    app = make_app(settings, pipeline)
    add_step_tasks(app, settings, shards=shards, batches=batches)
    if settings.alive_file:
        app.steps["worker"].add(signs_of_life(settings.alive_file))
    return app


def load_policy() -> Policy:
    """Return the quality policy that ships with the worker."""
    return Policy.model_validate_json(resources.files("dermis.worker").joinpath("quality_policy.json").read_bytes())
