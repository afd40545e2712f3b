"""The gateway's metrics, for Prometheus."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from dermis.gateway.ports import QueueLoad
from dermis.shared.case import GivenFeedback, Outcome
from dermis.shared.errors import DermisError
from dermis.shared.ports import Room

MEDIA_TYPE = CONTENT_TYPE_LATEST
_FIRST = 3
"""Conditions of an answer that feedback is compared with, as the promotion gate does."""
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
            "time to the last byte of an answer; paced_by client: it uploads, waits for a case or reads events",
            ("route", "paced_by"),
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
        self._feedback = Counter(
            "dermis_gateway_feedback",
            "feedback on outcomes, by whether the first three conditions hold the one that it names",
            ("version", "confirmed", "holds"),
            registry=self._registry,
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
        self._broker = Gauge("dermis_gateway_broker_up", "1 while Redis answers, else 0", registry=self._registry)
        # Shown as 0 from the start: Prometheus can't see the first step of a counter that appears with it.
        for queued in (True, False):
            self.cases.labels(queued)

    def feedback(self, fact: GivenFeedback, outcome: Outcome) -> None:
        """Count feedback by the version that answered, who confirmed it, and whether the answer held the condition.

        `holds` is empty where no condition is named; a test case's counts nowhere.
        """
        if not fact.livemode:
            return
        version = f"{fact.model.name}/{fact.model.version}" if fact.model else ""
        first = [ranked.condition for ranked in outcome.differential[:_FIRST]]
        holds = "" if fact.condition is None else str(fact.condition in first).lower()
        self._feedback.labels(version, fact.confirmed_by or "", holds).inc()

    def watch_room(self, room: Callable[[], Room | None], *, least_bytes: int, least_inodes: int) -> None:
        """Show what the store has free and below what no new case is taken, NaN where it has no bound."""

        def free(of: Callable[[Room], float | None]) -> float:
            try:
                now = room()
            except DermisError:
                return math.nan
            value = of(now) if now else None
            return math.nan if value is None else value

        for name, of, least in (
            ("bytes", lambda now: now.bytes, least_bytes),
            ("inodes", lambda now: now.inodes, least_inodes),
        ):
            Gauge(f"dermis_store_free_{name}", f"free {name} of the store", registry=self._registry).set_function(
                partial(free, of)
            )
            Gauge(
                f"dermis_gateway_least_free_{name}",
                f"free {name} of the store below which no new case is taken",
                registry=self._registry,
            ).set(least)

    def watch_certificate(self, file: Path) -> None:
        """Show when the certificate ends that callers see, as it was when the gateway began to use it."""
        from cryptography import x509  # here, as few gateways serve TLS themselves

        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
        Gauge(
            "dermis_gateway_certificate_end_timestamp_seconds",
            "when the certificate ends that the gateway serves TLS with",
            registry=self._registry,
        ).set(ends.timestamp())

    def answered(self, *, method: str, route: str, status: int, seconds: float, paced_by: str) -> None:
        self._requests.labels(method, route, status).inc()
        self._seconds.labels(route, paced_by).observe(seconds)

    def connection_refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def problem(self, reason: str) -> None:
        self._problems.labels(reason).inc()

    def render(self, load: QueueLoad | None) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.with_queue(load))

    def with_queue(self, load: QueueLoad | None) -> CollectorRegistry:
        """Return the registry of all metrics, those of the queue by its `load`."""
        self._broker.set(load is not None)
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
