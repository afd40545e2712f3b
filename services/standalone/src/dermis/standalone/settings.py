"""What may be set from outside: DERMIS_STANDALONE_<NAME>."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from dermis.shared.settings import Settings, load, with_state_folder


class StandaloneSettings(Settings):
    state: Path = Field(description="folder of the store and of Redis on this machine")
    redis_port: int = Field(0, ge=0, le=65535, description="port of the Redis that is started here; 0 takes a free one")


def load_standalone(environ: Mapping[str, str]) -> StandaloneSettings:
    return load(StandaloneSettings, "STANDALONE", with_state_folder(environ))
