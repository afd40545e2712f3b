"""The run that a training is recorded under: started, resumed, stopped, failed; `epoch_log` records the epochs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import click

from dermis.data.dataset import Dataset
from dermis.data.split.split import Split
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.trainer.config import Config, as_json
from dermis.trainer.records.facts import RunConfig
from dermis.trainer.records.runs import Run


def run_config(config: Config, dataset: Dataset, split: Split) -> RunConfig:
    """Return what a run depends on, as it is recorded: the same command finds its run by it."""
    return RunConfig(
        name=config.name,
        purpose=config.purpose,
        parameters=as_json(config),
        data={dataset.name: dataset.digest},
        split=split.digest,
        seeds={"training": config.seed, "split": split.seed},
    )


def open_run(store: BlobStore, record: RunConfig, *, resume: str | None) -> Run:
    """Resume the run of that id, or an unfinished one of this record, or start one; INVALID if the record differs."""
    run = Run.resume(store, resume) if resume else Run.start_or_resume(store, record)
    if run.started.config != record:
        raise DermisError(
            Kind.INVALID, "RUN", f"run {run.id} was started with other data or settings: give them as they were"
        )
    click.echo(f"run {run.id}, attempt {run.attempt}")
    return run


def record_stop(run: Run, scratch: str, signal_name: str) -> str:
    """Record that an attempt was stopped, leave nothing half-done behind, and return a line for whoever stopped it."""
    run.stop(signal_name)
    shutil.rmtree(scratch, ignore_errors=True)
    return f"stopped by {signal_name}; the same command goes on with {run.id}"


@contextmanager
def failures_recorded(run: Run) -> Iterator[None]:
    """Within, an error is recorded as the end of this attempt, unless another process has taken the run over."""
    try:
        yield
    except DermisError as error:
        if error.reason != "RUN_RESUMED":
            run.fail(error.reason, error.detail)
        raise
