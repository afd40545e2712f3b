"""Runs the sweep: `python -m dermis.sweep`.

With arguments `dermis sweep`, where that command is not installed, as in its image.
"""

import os
import signal
import sys
import threading

from dermis.shared.errors import DermisError
from dermis.shared.metrics import serve_metrics
from dermis.shared.presence import LASTS_S, Presence
from dermis.shared.queue import CeleryQueue
from dermis.shared.settings import load
from dermis.shared.stores import open_store
from dermis.shared.telemetry import configure_logs, log
from dermis.shared.tracing import configure_traces
from dermis.sweep import commands
from dermis.sweep.bootstrap import Sweep
from dermis.sweep.settings import SweepSettings


def main() -> None:
    settings = load(SweepSettings, "SWEEP", os.environ)
    configure_logs(part="sweep", level=settings.log_level, form=settings.log_format)
    configure_traces(part="sweep", url=settings.traces_url)
    serve_metrics(settings.metrics_listen)
    sweep = Sweep(open_store(settings.store_url), CeleryQueue(settings.broker_url), settings)
    presence = Presence(settings.broker_url, "sweep", lasts_s=max(LASTS_S, 3 * settings.interval_seconds))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("sweeping", every_s=settings.interval_seconds)
    while True:
        if settings.alive_file:
            settings.alive_file.touch()
        sweep.look()
        presence.show()
        if stop.wait(settings.interval_seconds):
            sweep.audit.flush()
            return


if __name__ == "__main__":
    try:
        main() if len(sys.argv) == 1 else commands.sweep(prog_name="python -m dermis.sweep")
    except DermisError as error:
        sys.exit(f"sweep: {error.detail}")
