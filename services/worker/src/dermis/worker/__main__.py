"""Runs a worker: `python -m dermis.worker`."""

import os
import sys
import warnings

from celery.platforms import SecurityWarning

from dermis.shared.errors import DermisError
from dermis.shared.settings import load
from dermis.shared.telemetry import configure_logs
from dermis.worker.bootstrap import build
from dermis.worker.settings import WorkerSettings


def main() -> None:
    # Celery warns of root, and of a container's user that has no name; neither is news here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    settings = load(WorkerSettings, "WORKER", os.environ)
    configure_logs(part="worker", level=settings.log_level, form=settings.log_format)
    app = build(settings)
    app.worker_main(
        [
            "--quiet",
            "worker",
            "--pool=prefork",
            f"--queues={settings.queues}",
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
