"""Runs a worker: `python -m dermis.worker`."""

import logging
import os
import sys
import warnings

from celery import Celery
from celery.platforms import SecurityWarning

from dermis.shared.errors import DermisError
from dermis.shared.settings import load
from dermis.shared.telemetry import configure_logs
from dermis.shared.temporary import held_folder
from dermis.worker.settings import WorkerSettings


def main() -> None:
    # Celery warns of root, and of a container's user that has no name; neither is news here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    settings = load(WorkerSettings, "WORKER", os.environ)
    configure_logs(part="worker", level=settings.log_level, form=settings.log_format)
    with held_folder("dermis-worker-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        # Not before: the client of Prometheus reads the variable when it is imported.
        if settings.delivers:
            from dermis.worker.webhook_tasks import build
        else:
            from dermis.worker.bootstrap import build

        run(build(settings, folder), settings)


def run(app: Celery, settings: WorkerSettings) -> None:
    for name in (
        "celery.worker.strategy",
        "celery.app.trace",
    ):  # they tell of each job that is given back, too; ours tell what was done
        logging.getLogger(name).setLevel(logging.WARNING)
    app.worker_main(
        [
            "--quiet",
            "worker",
            f"--pool={'threads' if settings.delivers else 'prefork'}",
            f"--queues={','.join(settings.celery_queues)}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            f"--loglevel={settings.log_level}",
        ]
    )


if __name__ == "__main__":
    try:
        main()
    except DermisError as error:
        sys.exit(f"worker: {error.detail}")
