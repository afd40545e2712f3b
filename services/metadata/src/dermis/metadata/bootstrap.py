"""Puts the service together."""

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from dermis.api.metadata.v1 import features_pb2 as pb
from dermis.api.metadata.v1 import features_pb2_grpc as api
from dermis.metadata.adapters.schemas import StoreSchemas
from dermis.metadata.servicer import FeatureServicer
from dermis.shared.ports import BlobStore
from dermis.shared.rpc import make_server

SERVICE = pb.DESCRIPTOR.services_by_name["FeatureService"].full_name


def build(store: BlobStore, *, threads: int) -> tuple[grpc.Server, health.HealthServicer]:
    """Return the server, not yet started, with the feature service, health and reflection."""
    server = make_server(threads=threads)
    api.add_FeatureServiceServicer_to_server(FeatureServicer(StoreSchemas(store)), server)  # type: ignore[no-untyped-call]
    state = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    reflection.enable_server_reflection(
        (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME), server
    )
    for name in ("", SERVICE):
        state.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
    return server, state
