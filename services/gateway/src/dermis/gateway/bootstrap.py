"""The gateway over real parts."""

from fastapi import FastAPI

from dermis.gateway.adapters.broker import RedisBroker
from dermis.gateway.adapters.rates import SharedRates
from dermis.gateway.app import create_app
from dermis.gateway.auth import AccessGuard
from dermis.gateway.dependencies import Dependencies
from dermis.gateway.metrics import GatewayMetrics
from dermis.gateway.pipeline import CasePipeline
from dermis.gateway.settings import GatewaySettings
from dermis.gateway.sign_in import sign_in_of
from dermis.shared.audit import Audit
from dermis.shared.stores import open_store
from dermis.shared.webhook_store import CACHE_SECONDS, Outbox


def build(settings: GatewaySettings) -> FastAPI:
    """Return the application that `settings` describe; nothing is connected to before it starts."""
    store = open_store(settings.store_url)
    metrics = GatewayMetrics()
    outbox = Outbox(store, keep_seconds=CACHE_SECONDS)
    pipeline = CasePipeline(store=store, outbox=outbox, count_feedback=metrics.feedback)
    metrics.watch_room(store.room, least_bytes=settings.min_free_bytes, least_inodes=settings.min_free_inodes)
    if settings.tls_certificate:
        metrics.watch_certificate(settings.tls_certificate)
    guard = AccessGuard(store, SharedRates(settings.broker_url), settings, shares=pipeline.shares)
    return create_app(
        Dependencies(
            settings=settings,
            pipeline=pipeline,
            broker=RedisBroker(settings.broker_url),
            guard=guard,
            audit=Audit(store, "gateway"),
            sign_in=sign_in_of(settings, pipeline.clock),
            metrics=metrics,
        )
    )
