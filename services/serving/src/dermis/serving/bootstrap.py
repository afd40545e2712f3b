"""Puts the twin together."""

import functools

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from dermis.serving.adapters.bundle import load_bundle
from dermis.serving.models import ServedModels
from dermis.serving.servicer import PREDICTION_SERVICE, handlers
from dermis.shared.ports import BlobStore
from dermis.shared.rpc import make_server

HEALTH_NAMES = ("", PREDICTION_SERVICE)


def build(store: BlobStore, *, threads: int) -> tuple[grpc.Server, ServedModels, health.HealthServicer]:
    """Return the server, not yet started, the models that it serves, none of them loaded, and its health."""
    models = ServedModels(store, functools.partial(load_bundle, store))
    server = make_server(threads=threads)
    server.add_generic_rpc_handlers(handlers(models))
    state = health.HealthServicer(experimental_non_blocking=True)
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    show_health(state, serving=False)
    return server, models, state


def show_health(state: health.HealthServicer, serving: bool) -> None:
    status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
    for name in HEALTH_NAMES:
        state.set(name, status)
