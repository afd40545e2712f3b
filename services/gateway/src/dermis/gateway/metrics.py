"""The gateway's metrics, for Prometheus."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from dermis.gateway.ports import QueueLoad

MEDIA_TYPE = CONTENT_TYPE_LATEST
_SCRAPE_SECONDS = 10
"""Prometheus' own limit of a look (scrape_timeout)."""
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class GatewayMetrics:
    """Counters of one application; labels hold routes and reasons, never paths or values."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "dermis_gateway_requests", "answered requests", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "dermis_gateway_request_seconds",
            "time to the last byte of an answer",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._problems = Counter("dermis_gateway_problems", "problems by reason", ("reason",), registry=self._registry)
        self.cases = Counter("dermis_gateway_cases", "cases taken in", ("queued",), registry=self._registry)
        self.test_cases = Counter(
            "dermis_gateway_test_cases", "test keys' cases taken in", ("queued",), registry=self._registry
        )
        self.body_bytes = Gauge(
            "dermis_gateway_upload_bytes", "bytes of the uploads that are read now", registry=self._registry
        )
        self._refused = Counter(
            "dermis_gateway_connections_refused",
            "connections ended before a request",
            ("reason",),
            registry=self._registry,
        )
        self._depth = Gauge(
            "dermis_queue_depth",
            "cases that wait for a worker; NaN if the broker doesn't answer",
            registry=self._registry,
        )
        self._age = Gauge("dermis_queue_oldest_seconds", "wait of the oldest case that waits", registry=self._registry)

    def answered(self, *, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def connection_refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def problem(self, reason: str) -> None:
        self._problems.labels(reason).inc()

    def render(self, load: QueueLoad | None) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.with_queue(load))

    def with_queue(self, load: QueueLoad | None) -> CollectorRegistry:
        """Return the registry of all metrics, those of the queue by its `load`."""
        self._depth.set(load.depth if load else float("nan"))
        self._age.set(load.age if load else float("nan"))
        return self._registry


class MetricsOfLoop(CollectorRegistry):
    """The metrics for a thread of their own, which asks for the queue's load on the application's loop."""

    def __init__(
        self,
        metrics: GatewayMetrics,
        loop: asyncio.AbstractEventLoop,
        load: Callable[[], Coroutine[Any, Any, QueueLoad | None]],
    ) -> None:
        super().__init__()
        self._metrics, self._loop, self._load = metrics, loop, load

    def collect(self) -> Iterable[Metric]:
        load = asyncio.run_coroutine_threadsafe(self._load(), self._loop).result(timeout=_SCRAPE_SECONDS)
        return self._metrics.with_queue(load).collect()
