"""The app and tasks of a worker that delivers webhooks and does nothing else, on threads: it waits for receivers.

It imports neither numpy nor OpenCV, and takes no case's turn.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.signals import worker_init, worker_ready
from kombu.exceptions import OperationalError

from dermis.shared.errors import DermisError
from dermis.shared.jobs import WEBHOOK_DELIVER, WEBHOOK_DRAIN, WEBHOOKS_QUEUE
from dermis.shared.metrics import serve_metrics
from dermis.shared.presence import Presence
from dermis.shared.stores import open_store
from dermis.shared.telemetry import configure_logs, log
from dermis.shared.tracing import configure_traces
from dermis.shared.webhook_store import CACHE_SECONDS, Endpoints
from dermis.shared.webhooks import DeliverJob, DrainJob
from dermis.worker.adapters.alive import signs_of_life
from dermis.worker.adapters.webhook_http import WebhookPoster
from dermis.worker.celery_app import make_celery
from dermis.worker.deliver import Deliveries
from dermis.worker.metrics import OfAllProcesses, WebhookMetrics
from dermis.worker.settings import WorkerSettings


def build(settings: WorkerSettings, folder: Path) -> Celery:
    """Return the Celery app, whose metrics are kept in `folder`; the store is opened on first use."""
    metrics = WebhookMetrics()

    @cache
    def deliveries() -> Deliveries:
        store = open_store(settings.store_url)
        return Deliveries(
            store=store,
            poster=WebhookPoster(networks=settings.networks, seconds=settings.webhook_seconds),
            endpoints=Endpoints(store, keep_seconds=CACHE_SECONDS),
            counted=lambda verdict: metrics.tries.labels(verdict).inc(),
        )

    def started(**_: object) -> None:
        configure_logs(part="worker", level=settings.log_level, form=settings.log_format)
        configure_traces(part="worker", url=settings.traces_url)
        serve_metrics(settings.metrics_listen, OfAllProcesses(folder))

    def show_presence(**_: object) -> None:
        Presence(settings.broker_url, "webhooks").keep_shown()

    worker_init.connect(started, weak=False)
    worker_ready.connect(show_presence, weak=False)
    app = make_celery(settings)
    app.conf.update(task_time_limit=None, task_soft_time_limit=None)  # threads have none: a request has its deadline
    add_webhook_tasks(app, deliveries)
    if settings.alive_file:
        app.steps["worker"].add(signs_of_life(settings.alive_file))
    return app


def add_webhook_tasks(app: Celery, deliveries: Callable[[], Deliveries]) -> None:
    """Give the app its tasks; what one can't do now stays pending, and the sweep sends word of it again."""

    @app.task(name=WEBHOOK_DELIVER, bind=True, pydantic=True)  # type: ignore[untyped-decorator]
    def deliver(_self: "Task[Any, Any]", job: DeliverJob) -> None:
        try:
            deliveries().deliver(job.key)
        except DermisError as error:
            log.warning("webhook left", reason=error.reason, detail=error.detail)

    @app.task(name=WEBHOOK_DRAIN, bind=True, pydantic=True)  # type: ignore[untyped-decorator]
    def drain(self: "Task[Any, Any]", job: DrainJob) -> None:
        try:
            if deliveries().drain(job.endpoint_id):
                self.app.send_task(WEBHOOK_DRAIN, kwargs={"job": job.model_dump()}, queue=WEBHOOKS_QUEUE, retry=False)
        except DermisError as error:
            log.warning("webhooks left", reason=error.reason, detail=error.detail)
        except OperationalError as fault:
            log.warning("webhooks left", fault=type(fault).__name__)
