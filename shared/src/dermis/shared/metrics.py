"""Metrics of a part that has no HTTP of its own, for Prometheus."""

import re
from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, start_http_server

from dermis.shared.errors import DermisError, Kind
from dermis.shared.telemetry import log

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
calls = Counter("dermis_rpc_calls", "calls that this server answered", ("method", "code"))
call_seconds = Histogram("dermis_rpc_call_seconds", "time to answer a call", ("method",), buckets=SECONDS)


def serve_metrics(listen: str, registry: CollectorRegistry = REGISTRY) -> Callable[[], None]:
    """Show `registry` at http://`listen`/metrics from a thread, if `listen` is not empty.

    Return what closes the socket after a fork.
    """
    if not listen:
        return lambda: None
    host, _, port = listen.rpartition(":")
    try:
        server, _ = start_http_server(int(port), re.sub(r"[\[\]]", "", host), registry)
    except OSError as fault:
        raise DermisError(
            Kind.UNAVAILABLE, "ADDRESS", f"can't show metrics on {listen}: is another process there?"
        ) from fault
    log.info("metrics", address=listen)
    return server.socket.close
