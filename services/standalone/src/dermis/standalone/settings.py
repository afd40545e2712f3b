"""What may be set from outside: DERMIS_STANDALONE_<NAME>."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from dermis.shared.settings import Settings, load


class StandaloneSettings(Settings):
    state: Path = Field(description="folder of the store and of Redis on this machine")
    redis_port: int = Field(0, ge=0, le=65535, description="port of the Redis that is started here; 0 takes a free one")


def with_defaults(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with the state folder (XDG base directories) and the store in it, where they are not given."""
    data = Path(environ.get("XDG_DATA_HOME") or Path(environ.get("HOME") or os.path.expanduser("~")) / ".local" / "share")
    state = Path(environ.get("DERMIS_STANDALONE_STATE") or data / "dermis").absolute()
    return {"DERMIS_STORE_URL": (state / "store").as_uri(), **environ, "DERMIS_STANDALONE_STATE": str(state)}


def load_standalone(environ: Mapping[str, str]) -> StandaloneSettings:
    return load(StandaloneSettings, "STANDALONE", with_defaults(environ))
