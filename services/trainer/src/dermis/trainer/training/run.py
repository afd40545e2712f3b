"""What `dermis train` does: open the data, split it, train under a run of the store, publish the version."""

import importlib
import re
import runpy
import shutil
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from dermis.data.dataset import Dataset, mix, open_dataset
from dermis.data.split.groups import read_duplicates
from dermis.data.split.split import Split, from_text
from dermis.shared.bundles import publish
from dermis.shared.errors import DermisError, Kind
from dermis.shared.manifest import MODEL_NAME, VersionRef
from dermis.shared.ports import BlobConflict, BlobStore
from dermis.shared.stores import open_store
from dermis.trainer.config import Config, as_json
from dermis.trainer.evaluation.seen_in_training import case_keys
from dermis.trainer.model.bundle import restated
from dermis.trainer.records.layout import next_version
from dermis.trainer.records.runs import Run, RunConfig
from dermis.trainer.training.grid_search import _pair, search, with_settings
from dermis.trainer.training.signals import Stop
from dermis.trainer.training.stages import Parts
from dermis.trainer.training.train import train, train_on_all


def load_config(name: str) -> Config:
    """Return the CONFIG of a page that ships, or of a Python file; NOT_FOUND for another name, INVALID if it holds none."""
    if name.endswith(".py") and Path(name).is_file():
        found = runpy.run_path(name).get("CONFIG")
    elif re.fullmatch(r"[a-z0-9_]+", name) and find_spec(f"dermis.trainer.configs.{name}"):
        found = importlib.import_module(f"dermis.trainer.configs.{name}").CONFIG
    else:
        folder = Path(str(importlib.import_module("dermis.trainer.configs").__file__)).parent
        known = ", ".join(sorted(path.stem for path in folder.glob("[a-z]*.py")))
        raise DermisError(Kind.NOT_FOUND, "CONFIG", f"no config {name!r}: use {known}, or a Python file with CONFIG")
    if not isinstance(found, Config):
        raise DermisError(Kind.INVALID, "CONFIG", f"{name} has no CONFIG of dermis.trainer.config.Config")
    return found


def run(
    config: str,
    store: str,
    data: Sequence[str],
    mapping: str | None,
    policy: str | None,
    duplicates: Path | None,
    split: Path | None,
    on_all: int | None,
    settings: Sequence[str],
    grid: Sequence[str],
    resume: str | None,
    cache: Path,
    tensorboard: Path | None,
    quiet: bool,
    stop: Stop,
) -> None:
    """Train and publish; say where the run and the version are. `stop` is told how to say that the run was stopped."""
    chosen = with_settings(load_config(config), dict(map(_pair, settings)))
    dataset = _open(chosen, data, mapping, policy, duplicates)
    dataset.check_images()
    made = from_text(split.read_bytes()) if split else dataset.split(seed=chosen.seed)
    parts = _parts(dataset, made)
    target = open_store(store)
    if grid and not resume:
        chosen = search(chosen, parts, [_pair(axis) for axis in grid], cache=cache, quiet=quiet)
    lineage = {"config": config, "data": dataset.digest, "split": made.digest}
    record = _record(chosen, dataset, made)
    attempt = Run.resume(target, resume) if resume else Run.start_or_resume(target, record)
    if attempt.started.config != record:
        raise DermisError(Kind.INVALID, "RUN", f"run {attempt.id} was started with other data or settings: give them as they were")
    click.echo(f"run {attempt.id}, attempt {attempt.attempt}")
    attempt.learns({"train": case_keys(dataset.labelled())} if on_all else {name: case_keys(part) for name, part in _taught(parts)})
    try:
        with TemporaryDirectory() as scratch:
            stop.say = partial(_stopped, attempt, scratch)
            folder = Path(scratch, "bundle")
            about: dict[str, Any] = {"cache": cache, "data": f"{dataset.name}; {dataset.policy}", "run": attempt, "quiet": quiet}
            about |= {"lineage": {**lineage, "run": attempt.id, "code": attempt.started.code}, "tensorboard": tensorboard}
            if on_all:
                train_on_all(chosen, dataset.labelled(), folder, folds=on_all, **about)
            else:
                train(chosen, parts, folder, **about)
            ref = publish_next(target, folder)
    except DermisError as error:
        if error.reason != "RUN_RESUMED":
            attempt.fail(error.reason, error.detail)
        raise
    attempt.finish(ref)
    click.echo(f"published {ref.name}/{ref.version} in {store}")


def _stopped(attempt: Run, scratch: str, signal_name: str) -> str:
    """Note that an attempt was stopped, and leave nothing half-done behind."""
    attempt.stop(signal_name)
    shutil.rmtree(scratch, ignore_errors=True)
    return f"stopped by {signal_name}; the same command goes on with {attempt.id}"


def publish_next(store: BlobStore, folder: Path) -> VersionRef:
    """Publish a bundle under the next free number of its name; where another run takes it first, under the one after."""
    while True:
        manifest = restated(folder, version=next_version(store, MODEL_NAME))
        try:
            publish(store, folder)
        except BlobConflict:
            continue
        return VersionRef(name=manifest.name, version=manifest.version)


def _open(config: Config, data: Sequence[str], mapping: str | None, policy: str | None, duplicates: Path | None) -> Dataset:
    urls = data or ((config.data,) if config.data else ())
    if not urls:
        raise DermisError(Kind.INVALID, "DATA", f"the config {config.name} names no data: give --data")
    known = read_duplicates(duplicates.read_bytes()) if duplicates else None
    rules = mapping or (config.mapping if len(urls) == 1 else None)
    opened = [open_dataset(url, mapping=rules, policy=policy or config.policy, duplicates=known) for url in urls]
    return opened[0] if len(opened) == 1 else mix(*opened)


def _parts(dataset: Dataset, split: Split) -> Parts:
    parts = {name: dataset.part(split, name) for name in ("train", "validation", "calibration", "test")}
    unlabelled = parts["train"].unlabelled()
    known = {name: part.labelled() for name, part in parts.items()}
    return Parts(
        train=known["train"],
        calibration=known["calibration"],
        test=known["test"],
        validation=known["validation"] if len(known["validation"]) else None,
        unlabelled=unlabelled if len(unlabelled) else None,
    )


def _taught(parts: Parts) -> list[tuple[str, Dataset]]:
    """Return the parts that a model is made from, by name; cases without a label may teach too."""
    named = [("train", parts.train), ("validation", parts.validation), ("calibration", parts.calibration), ("unlabelled", parts.unlabelled)]
    return [(name, part) for name, part in named if part is not None]


def _record(config: Config, dataset: Dataset, split: Split) -> RunConfig:
    return RunConfig(
        name=config.name,
        purpose=config.purpose,
        parameters=as_json(config),
        data={dataset.name: dataset.digest},
        split=split.digest,
        seeds={"training": config.seed, "split": split.seed},
    )
