"""What may be set from outside: DERMIS_STANDALONE_<NAME> and DERMIS_SWEEP_<NAME>."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from dermis.shared.settings import LISTEN, Retention, Settings, load
from dermis.standalone.core.sweep import Policy


class StandaloneSettings(Settings):
    state: Path = Field(description="folder of the store and of Redis on this machine")
    redis_port: int = Field(0, ge=0, le=65535, description="port of the Redis that is started here; 0 takes a free one")


class SweepSettings(Retention):
    interval_seconds: float = Field(30, gt=0, description="time between two looks at the open cases")
    resend_after_seconds: float = Field(45, gt=0, description="a case that has been open for so long is sent to the workers again")
    incomplete_after_seconds: float = Field(600, gt=0, description="a case that was never wholly submitted is removed after this time")
    alive_file: Path | None = Field(None, description="a file that is touched at each look, for probes")
    metrics_listen: str = Field("", pattern=LISTEN, description="host:port to show metrics on; empty: nowhere")

    audit_days: int = Field(365, ge=1, description="audit records are deleted after this time")

    @property
    def policy(self) -> Policy:
        return Policy(
            resend_after=timedelta(seconds=self.resend_after_seconds),
            incomplete_after=timedelta(seconds=self.incomplete_after_seconds),
            keep_for=timedelta(days=self.retention_days),
            keep_for_improvement=timedelta(days=self.improvement_retention_days),
            audit_for=timedelta(days=self.audit_days),
        )


def with_defaults(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with the state folder (XDG base directories) and the store in it, where they are not given."""
    data = Path(environ.get("XDG_DATA_HOME") or Path(environ.get("HOME") or os.path.expanduser("~")) / ".local" / "share")
    state = Path(environ.get("DERMIS_STANDALONE_STATE") or data / "dermis").absolute()
    return {"DERMIS_STORE_URL": (state / "store").as_uri(), **environ, "DERMIS_STANDALONE_STATE": str(state)}


def load_standalone(environ: Mapping[str, str]) -> StandaloneSettings:
    return load(StandaloneSettings, "STANDALONE", with_defaults(environ))
