"""Runs the sweep: `python -m dermis.sweep`."""

import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime

from dermis.shared.audit import Audit
from dermis.shared.errors import DermisError
from dermis.shared.metrics import serve_metrics
from dermis.shared.queue import CeleryQueue
from dermis.shared.settings import load
from dermis.shared.stores import open_store
from dermis.shared.telemetry import configure_logs, log
from dermis.shared.tracing import configure_traces
from dermis.sweep import metrics
from dermis.sweep.batches import BatchSweep
from dermis.sweep.look import CaseSweep
from dermis.sweep.retention import Retention
from dermis.sweep.settings import SweepSettings


def main() -> None:
    settings = load(SweepSettings, "SWEEP", os.environ)
    configure_logs(part="sweep", level=settings.log_level, form=settings.log_format)
    configure_traces(part="sweep", url=settings.traces_url)
    serve_metrics(settings.metrics_listen)
    store, queue = open_store(settings.store_url), CeleryQueue(settings.broker_url)
    audit = Audit(store, "sweep")
    cases, batches = CaseSweep(store, queue, settings.policy), BatchSweep(store, queue, settings.policy)
    retention = Retention(store, settings.policy, audit)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("sweeping", every_s=settings.interval_seconds)
    while True:
        if settings.alive_file:
            settings.alive_file.touch()
        try:
            begun, now = time.monotonic(), datetime.now(UTC)
            done = cases.look(now) + batches.look(now)
            cleared = retention.clear_scratch(now)
            ended = retention.end_retention(now)
            retention.end_audit(now)
            audit.flush()
        except DermisError as error:
            log.warning("sweep broken off", reason=error.reason, detail=error.detail)
        else:
            metrics.looked(seconds=time.monotonic() - begun, actions=done, scratch=cleared, ended=ended)
            if done or cleared or ended:
                log.info("swept", scratch=cleared, ended=ended, **{str(action).lower(): count for action, count in done.items()})
        if stop.wait(settings.interval_seconds):
            audit.flush()
            return


if __name__ == "__main__":
    try:
        main()
    except DermisError as error:
        sys.exit(f"sweep: {error.detail}")
