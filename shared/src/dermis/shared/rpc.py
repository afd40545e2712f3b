"""gRPC plumbing: a server with drain, a kept channel, and our errors as status codes and back."""

import functools
import gc
import signal
import threading
import time
import traceback
from collections.abc import Callable
from concurrent import futures
from importlib.metadata import version
from typing import Any, TypeVar, cast

import grpc
from opentelemetry.trace import Span, SpanKind, StatusCode

from dermis.shared.errors import GRPC_CODE, DermisError, Kind
from dermis.shared.metrics import call_seconds, calls
from dermis.shared.telemetry import log
from dermis.shared.tracing import received_from, sent_along, span

Handler = TypeVar("Handler", bound=Callable[..., Any])
VERSION_METADATA = "dermis-version"
"""Where an answer about health or models has the version of the part; TensorFlow Serving's have none."""
_ABOUT_ITSELF = ("Health/", "ModelService/")
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
_KINDS = {
    "INVALID_ARGUMENT": Kind.INVALID,
    "NOT_FOUND": Kind.NOT_FOUND,
    "ALREADY_EXISTS": Kind.CONFLICT,
    "PERMISSION_DENIED": Kind.PERMISSION,
    "UNAUTHENTICATED": Kind.UNAUTHENTICATED,
    "FAILED_PRECONDITION": Kind.INVALID,
    "RESOURCE_EXHAUSTED": Kind.EXHAUSTED,
    "UNAVAILABLE": Kind.UNAVAILABLE,
    "DEADLINE_EXCEEDED": Kind.DEADLINE,
    "CANCELLED": Kind.UNAVAILABLE,
}
_POLICY = """{"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [{"name": [{}], "retryPolicy": {
 "maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
 "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""
_CONNECTION_MS = 60_000
"""Life of a connection.

When it ends the client asks for the peer's addresses again, and so finds servers that came later.
"""


def open_channel(address: str) -> grpc.Channel:
    """Open a channel for idempotent calls.

    All addresses of the peer take turns, UNAVAILABLE is retried, a dead peer is noticed.

    Open it after fork only.
    """
    channel = grpc.insecure_channel(
        address,
        options=[
            ("grpc.service_config", _POLICY),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.max_reconnect_backoff_ms", 1_000),
            ("grpc.dns_min_time_between_resolutions_ms", 1_000),
        ],
    )
    return grpc.intercept_channel(channel, _SendTrace())


class _Details(grpc.ClientCallDetails):
    """A call's details with the trace in its metadata; grpc names the attributes."""

    def __init__(self, details: grpc.ClientCallDetails) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = (*(details.metadata or ()), *sent_along().items())
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


class _SendTrace(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(self, continuation: Any, details: grpc.ClientCallDetails, request: Any) -> Any:
        with span(_short(details.method), kind=SpanKind.CLIENT) as current:
            call = continuation(_Details(details), request)
            _tell(current, call.code())
            return call


class _Watch(grpc.ServerInterceptor):
    """Counts and times each unary call of the services, their health apart, as a part of the caller's trace."""

    def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        method = _short(details.method)
        if handler is None or not handler.unary_unary or method.startswith("Health/"):
            return handler
        carrier = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}

        def watched(request: Any, context: grpc.ServicerContext) -> Any:
            begun = time.perf_counter()
            with span(method, kind=SpanKind.SERVER, context=received_from(carrier)) as current:
                code = grpc.StatusCode.INTERNAL
                try:
                    response = handler.unary_unary(request, context)
                    code = context.code() or grpc.StatusCode.OK  # type: ignore[attr-defined]
                    return response
                except Exception:
                    code = context.code() or grpc.StatusCode.UNKNOWN  # type: ignore[attr-defined]
                    raise
                finally:
                    _tell(current, code)
                    calls.labels(method, code.name).inc()
                    call_seconds.labels(method).observe(time.perf_counter() - begun)

        return grpc.unary_unary_rpc_method_handler(watched, handler.request_deserializer, handler.response_serializer)


class _TellVersion(grpc.ServerInterceptor):
    """Puts the version of this code into the answers about health and models, for who looks at a running system."""

    def intercept_service(self, continuation: Any, details: grpc.HandlerCallDetails) -> Any:
        handler = continuation(details)
        if handler is None or not handler.unary_unary or not _short(details.method).startswith(_ABOUT_ITSELF):
            return handler

        def telling(request: Any, context: grpc.ServicerContext) -> Any:
            context.send_initial_metadata(((VERSION_METADATA, version("dermis")),))
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(telling, handler.request_deserializer, handler.response_serializer)


def _short(method: str | bytes) -> str:
    """`/tensorflow.serving.PredictionService/Predict` is PredictionService/Predict."""
    return (method.decode() if isinstance(method, bytes) else method).rpartition(".")[2]


def _tell(current: Span, code: grpc.StatusCode) -> None:
    current.set_attribute("rpc.grpc.status_code", code.value[0])
    if code is not grpc.StatusCode.OK:
        current.set_status(StatusCode.ERROR, code.name)


def error_of(fault: grpc.RpcError, peer: str) -> DermisError:
    """Return what a failed call means; `peer` names the other side."""
    code = fault.code().name if isinstance(fault, grpc.Call) else "UNKNOWN"
    detail = (fault.details() if isinstance(fault, grpc.Call) else None) or str(fault)
    return DermisError(_KINDS.get(code, Kind.INTERNAL), f"{peer.upper()}_{code}", f"{peer}: {detail}")


def answer_errors(handler: Handler) -> Handler:
    """Wrap a handler, a function or a method, so that a DermisError becomes its status code and sentence.

    What nobody foresaw is logged and answered without its text, which may hold what a person wrote.
    """

    @functools.wraps(handler)
    def wrapped(*arguments: Any) -> Any:
        context = arguments[-1]
        try:
            return handler(*arguments)
        except DermisError as error:
            context.abort(grpc.StatusCode[GRPC_CODE[error.kind]], error.detail)
        except Exception as fault:
            if context.code() is not None:  # the handler's own abort
                raise
            log.error("call failed", fault=type(fault).__name__, frames=traceback.format_tb(fault.__traceback__)[-5:])
            context.abort(grpc.StatusCode.INTERNAL, "something went wrong on our side")

    return cast(Handler, wrapped)


def make_server(*, threads: int) -> grpc.Server:
    return grpc.server(
        futures.ThreadPoolExecutor(threads),
        interceptors=[_Watch(), _TellVersion()],
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            ("grpc.max_connection_age_ms", _CONNECTION_MS),
            ("grpc.max_connection_age_grace_ms", _CONNECTION_MS),
        ],
    )


def serve(
    server: grpc.Server,
    address: str,
    *,
    ready: Callable[[], None],
    leaving: Callable[[], None],
    leave_s: float = 0,
    grace_s: float = 10,
) -> None:
    """Serve on `address` until SIGTERM or SIGINT, then go on for `leave_s`, in which clients learn to go elsewhere.

    After that new calls are refused, and running ones end within `grace_s`. A second signal ends the wait.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise DermisError(
            Kind.UNAVAILABLE, "ADDRESS", f"can't listen on {address}: is another process there?"
        ) from error
    gc.collect()
    gc.freeze()  # what stands now stays: a full collection in a call's midst would look through all of it
    server.start()
    ready()
    log.info("serving", address=address, port=port)
    stop.wait()
    stop.clear()
    leaving()
    stop.wait(leave_s)
    server.stop(grace_s).wait()
    log.info("stopped")
