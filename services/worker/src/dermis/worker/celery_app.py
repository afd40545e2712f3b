"""The Celery app that all workers have, without their tasks."""

from celery import Celery

from dermis.shared.jobs import CASES_QUEUE
from dermis.worker.settings import WorkerSettings


def make_celery(settings: WorkerSettings) -> Celery:
    app = Celery("dermis", broker=settings.broker_url)
    app.conf.update(
        task_default_queue=CASES_QUEUE,
        task_acks_late=True,
        task_acks_on_failure_or_timeout=False,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_time_limit=settings.hard_time_limit_seconds,
        task_soft_time_limit=settings.soft_time_limit_seconds,
        worker_prefetch_multiplier=1,
        worker_concurrency=settings.processes,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_consumer="dermis.worker.adapters.consumer:PromptConsumer",
        broker_transport_options={
            "visibility_timeout": settings.visibility_timeout_seconds,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,  # kombu's own 10 would look for lost jobs every 100 s only
            "client_name": f"dermis-worker-{settings.queues.replace(',', '-')}",
            "socket_keepalive": True,
            "socket_connect_timeout": 2,
            "queue_order_strategy": "dermis.worker.adapters.queues:FirstsEverySecondTime",
        },
    )
    return app
