"""Whether a part is ready; each answers within about a second and never raises.

The clients of Redis and gRPC are imported where they are used: by then the parts are starting, and don't wait for it.
"""

import http.client
import ssl
from collections.abc import Callable
from pathlib import Path

Probe = Callable[[], bool]
_WAIT_S = 1.0


def always() -> bool:
    return True


def serves(address: str) -> Probe:
    """Ready once its gRPC health says SERVING."""

    def probe() -> bool:
        import grpc
        from grpc_health.v1 import health_pb2, health_pb2_grpc

        with grpc.insecure_channel(address) as channel:
            try:
                answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_WAIT_S)
            except grpc.RpcError:
                return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    return probe


def answers_ok(host: str, port: int, path: str, *, certificate: Path | None = None, tls: bool = False) -> Probe:
    """Ready once GET `path` is answered 200, under `tls` or with this very `certificate` where one is stated."""

    def probe() -> bool:
        connection = (
            http.client.HTTPSConnection(
                host,
                port,
                timeout=_WAIT_S,
                context=ssl.create_default_context(cafile=str(certificate) if certificate else None),
            )
            if certificate or tls
            else http.client.HTTPConnection(host, port, timeout=_WAIT_S)
        )
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe


def redis_answers(url: str) -> Probe:
    """Ready once Redis has loaded its data."""

    def probe() -> bool:
        import redis

        try:
            with redis.Redis.from_url(url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    return probe


def queue_is_read(url: str) -> Probe:
    """Ready once somebody waits for jobs; where Redis does not let one look, it counts as ready."""

    def probe() -> bool:
        import redis

        try:
            with redis.Redis.from_url(url, socket_timeout=_WAIT_S, socket_connect_timeout=_WAIT_S) as client:
                return any(other["cmd"] == "brpop" for other in client.client_list())
        except redis.exceptions.NoPermissionError:
            return True
        except redis.RedisError:
            return False

    return probe
