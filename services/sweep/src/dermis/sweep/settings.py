"""The sweep's settings, from variables DERMIS_SWEEP_<NAME>."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from dermis.shared.settings import LISTEN, RetentionSettings
from dermis.sweep.core.decide import SweepPolicy


class SweepSettings(RetentionSettings):
    interval_seconds: float = Field(30, gt=0, description="time between two looks at the open cases")
    resend_after_seconds: float = Field(
        45, gt=0, description="a case that has been open for so long is sent to the workers again"
    )
    incomplete_after_seconds: float = Field(
        600, gt=0, description="a case that was never wholly submitted is removed after this time"
    )
    alive_file: Path | None = Field(None, description="a file that is touched at each look, for probes")
    metrics_listen: str = Field("", pattern=LISTEN, description="host:port to show metrics on; empty: nowhere")

    reserve_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        description="space that is kept back on a disk, in bytes, for erasing and for the outcomes of accepted cases; "
        "at most an eighth of what is free",
    )
    erased_in_doubt: int = Field(
        0,
        ge=0,
        description="cases and batches that may be erased by their time although the clock is in doubt; `dermis sweep "
        "confirm` ends the doubt",
    )
    canary_interval_seconds: float = Field(
        120, gt=0, description="time between two looks at how often a canary fails and abstains"
    )
    audit_days: int = Field(365, ge=1, description="audit records are deleted after this time")
    checkpoint_seconds: float = Field(
        3600,
        gt=0,
        description="time between two checkpoints of the audit, by which `dermis audit verify` knows it whole",
    )

    @property
    def policy(self) -> SweepPolicy:
        return SweepPolicy(
            resend_after=timedelta(seconds=self.resend_after_seconds),
            incomplete_after=timedelta(seconds=self.incomplete_after_seconds),
            keep_for=timedelta(days=self.retention_days),
            keep_for_improvement=timedelta(days=self.improvement_retention_days),
            audit_for=timedelta(days=self.audit_days),
            checkpoint_every=timedelta(seconds=self.checkpoint_seconds),
            erased_in_doubt=self.erased_in_doubt,
        )
