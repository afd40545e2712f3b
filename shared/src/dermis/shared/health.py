"""Asks the part that runs in this container whether it is well, `python -m dermis.shared.health`; exit code 1 if not.

What is asked follows from the variables that the part was given. A container without a long-running part is well.
"""

import os
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

_WAIT_S = 3
_STALE_S = 60


def is_well(part: str, environ: Mapping[str, str]) -> bool:
    """Return whether a part is alive.

    Gateway, metadata or serving answers, or the file of worker or sweep was touched within a minute.
    """
    for name in ("WORKER", "SWEEP"):
        if file := environ.get(f"DERMIS_{name}_ALIVE_FILE"):
            return time.time() - Path(file).stat().st_mtime < _STALE_S
    if part == "gateway":
        url = f"http://127.0.0.1:{environ.get('DERMIS_GATEWAY_PORT', 8080)}/readyz"
        return bool(urllib.request.urlopen(url, timeout=_WAIT_S).status == 200)
    if part in ("metadata", "serving"):
        return _answers(environ[f"DERMIS_{part.upper()}_LISTEN"].rpartition(":")[2])
    return True


def _answers(port: str) -> bool:
    import grpc  # the gateway's image has none
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=_WAIT_S)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    try:
        well = is_well(os.environ.get("PART", ""), os.environ)
    except Exception as fault:  # noqa: BLE001 - whatever it is, the part is not well, and one line says why
        sys.exit(f"{type(fault).__name__}: {fault}")
    sys.exit(not well)
