"""Whether metadata and serving answer, and with which version: what `dermis doctor` and `dermis status` both ask.

gRPC is imported where it is used: an image may lack it, and then nothing is asked.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dermis.shared.manifest import VersionRef

_WAIT_S = 3.0
_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAnswer:
    """What a peer answered. `ok`: None where it can't be asked from here; `version`: of dermis, None of another."""

    ok: bool | None
    detail: str
    version: str | None = None
    took_ms: float = 0.0


def ask_health(address: str) -> PeerAnswer:
    """Ask a peer for its gRPC health."""

    def ask(channel: Any) -> tuple[bool, str, Any]:
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        check = health_pb2_grpc.HealthStub(channel).Check
        answer, call = check.with_call(health_pb2.HealthCheckRequest(), timeout=_WAIT_S)
        state = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return state == "SERVING", f"{address} is {state}", call

    return _ask(address, ask)


def ask_serving(address: str, ref: VersionRef) -> PeerAnswer:
    """Ask serving whether it has a version AVAILABLE; TensorFlow Serving has no health of gRPC's kind to ask for."""
    name = f"{ref.name} version {ref.version}"

    def ask(channel: Any) -> tuple[bool, str, Any]:
        from dermis.api.serving.v1 import serving_pb2 as serving

        request = serving.GetModelStatusRequest(model_spec=serving.ModelSpec(name=ref.name))
        request.model_spec.version.value = ref.version
        status = channel.unary_unary(
            _STATUS,
            request_serializer=serving.GetModelStatusRequest.SerializeToString,
            response_deserializer=serving.GetModelStatusResponse.FromString,
        )
        answer, call = status.with_call(request, timeout=_WAIT_S)
        states = [serving.ModelVersionStatus.State.Name(each.state) for each in answer.model_version_status]
        return states == ["AVAILABLE"], f"{address}: {name} is {', '.join(states) or 'not there'}", call

    return _ask(address, ask, without=f"{address} does not have {name}")


def _ask(address: str, ask: Callable[[Any], tuple[bool, str, Any]], *, without: str = "") -> PeerAnswer:
    try:
        import grpc
        import grpc_health  # noqa: F401 - both come with an extra

        from dermis.shared.rpc import VERSION_METADATA
    except ModuleNotFoundError as fault:
        return PeerAnswer(ok=None, detail=f"{fault.name} is not installed here")
    begun = time.perf_counter()
    with grpc.insecure_channel(address) as channel:
        try:
            ok, detail, call = ask(channel)
        except grpc.RpcError as fault:
            code = fault.code().name
            return PeerAnswer(ok=False, detail=f"{without or f'{address} does not answer'} ({code})")
    metadata = dict(call.initial_metadata())
    took_ms = (time.perf_counter() - begun) * 1000
    return PeerAnswer(ok=ok, detail=detail, version=metadata.get(VERSION_METADATA), took_ms=took_ms)
