"""The gateway over real parts."""

from fastapi import FastAPI

from dermis.gateway.adapters.broker import RedisBroker
from dermis.gateway.app import create_app
from dermis.gateway.parts import Parts
from dermis.gateway.pipeline import Pipeline
from dermis.gateway.settings import GatewaySettings
from dermis.shared.stores import open_store


def build(settings: GatewaySettings) -> FastAPI:
    """Return the application that `settings` describe; nothing is connected to before it starts."""
    pipeline = Pipeline(store=open_store(settings.store_url))
    return create_app(Parts(settings=settings, pipeline=pipeline, broker=RedisBroker(settings.broker_url)))
