"""Finds, configures and repairs a Redis of this machine's own."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from dermis.shared.errors import DermisError, Kind
from dermis.standalone.addresses import LOOPBACK
from dermis.standalone.state import make_folder

_QUEUE_FILES = ("appendonly.aof", "appendonlydir", "dump.rdb")
"""Of Redis 6, of Redis 7, and a snapshot."""


def find_redis_server(environ: Mapping[str, str], prefix: Path = Path(sys.prefix)) -> Path:
    """Return a redis-server: on PATH, else the one that a wheel put into this environment.

    NOT_FOUND names what to install.
    """
    on_path = shutil.which("redis-server", path=environ.get("PATH", ""))
    for candidate in (
        Path(on_path) if on_path else None,
        prefix / "bin" / "redis-server",
        prefix / "redis" / "bin" / "redis-server",
    ):
        if candidate and shutil.which(candidate):
            return candidate
    package = {"darwin": "brew install redis"}.get(
        sys.platform, "apt-get install redis-server, or pip install 'dermis[local]'"
    )
    raise DermisError(
        Kind.NOT_FOUND,
        "NO_REDIS",
        f"no redis-server on PATH; install it ({package}), or set DERMIS_BROKER_URL to a Redis that runs",
    )


def redis_config(folder: Path) -> Path:
    return folder.with_suffix(".conf")


def write_redis_config(*, port: int, folder: Path, password: str) -> None:
    """Write what a Redis on loopback is started with, that keeps its queue in `folder` over a restart.

    Whoever is on this machine can reach loopback: it asks for `password`, which it reads from a file of its owner's
    alone, as every user may read a command.
    """
    make_folder(folder)
    options = {
        "bind": LOOPBACK,
        "port": str(port),
        "dir": f'"{folder}"',
        "appendonly": "yes",
        "save": '""',
        "loglevel": "warning",
    }
    lines = [f"{name} {value}" for name, value in {**options, "requirepass": password}.items()]
    redis_config(folder).unlink(missing_ok=True)
    with open(redis_config(folder), "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as config:
        config.write("\n".join(lines) + "\n")


def move_queue_aside(folder: Path) -> str:
    """Move what Redis could not load out of its way, and say so; "" if there is nothing.

    What is lost with it, the sweep sends again.
    """
    queue = [path for name in _QUEUE_FILES if (path := folder / name).exists()]
    if not queue:
        return ""
    aside = folder / "damaged"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    for path in queue:
        path.rename(aside / path.name)
    return f"its queue can't be loaded: moved to {aside}, and started empty; the sweep sends open cases again"
