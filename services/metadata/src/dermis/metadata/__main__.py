"""Runs the feature service: `python -m dermis.metadata`."""

import os
import sys

from grpc_health.v1 import health_pb2

from dermis.metadata.bootstrap import SERVICE, build
from dermis.metadata.settings import MetadataSettings
from dermis.shared.errors import DermisError
from dermis.shared.metrics import serve_metrics
from dermis.shared.rpc import serve
from dermis.shared.settings import load
from dermis.shared.stores import open_store
from dermis.shared.telemetry import configure_logs
from dermis.shared.tracing import configure_traces


def main() -> None:
    settings = load(MetadataSettings, "METADATA", os.environ)
    configure_logs(part="metadata", level=settings.log_level, form=settings.log_format)
    configure_traces(part="metadata", url=settings.traces_url)
    serve_metrics(settings.metrics_listen)
    server, state = build(open_store(settings.store_url), threads=settings.threads)

    def ready() -> None:
        for name in ("", SERVICE):
            state.set(name, health_pb2.HealthCheckResponse.SERVING)

    serve(
        server,
        settings.listen,
        ready=ready,
        leaving=state.enter_graceful_shutdown,
        leave_s=settings.leave_seconds,
    )


if __name__ == "__main__":
    try:
        main()
    except DermisError as error:
        sys.exit(f"metadata: {error.detail}")
