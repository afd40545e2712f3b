"""Runs the serving twin: `python -m dermis.serving`."""

import functools
import os
import sys
import threading

from dermis.serving.bootstrap import build, show_health
from dermis.serving.settings import ServingSettings
from dermis.shared.errors import DermisError
from dermis.shared.metrics import serve_metrics
from dermis.shared.rpc import serve
from dermis.shared.settings import load
from dermis.shared.stores import open_store
from dermis.shared.telemetry import configure_logs
from dermis.shared.tracing import configure_traces


def main() -> None:
    settings = load(ServingSettings, "SERVING", os.environ)
    configure_logs(part="serving", level=settings.log_level, form=settings.log_format)
    configure_traces(part="serving", url=settings.traces_url)
    serve_metrics(settings.metrics_listen)
    server, models, state = build(open_store(settings.store_url), threads=settings.threads)
    stop = threading.Event()
    follow = functools.partial(
        models.follow, every_s=settings.poll_seconds, stop=stop, changed=functools.partial(show_health, state)
    )

    def leaving() -> None:
        stop.set()
        state.enter_graceful_shutdown()

    serve(
        server,
        settings.listen,
        ready=threading.Thread(target=follow, name="models").start,
        leaving=leaving,
        leave_s=settings.leave_seconds,
    )


if __name__ == "__main__":
    try:
        main()
    except DermisError as error:
        sys.exit(f"serving: {error.detail}")
