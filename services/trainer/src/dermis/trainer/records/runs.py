"""A training run in the store.

Its facts lie below `runs/<run id>/`: how they are read, and the one who writes them.

A run goes on after a kill at any point: an epoch's fact comes first, then its checkpoint, which counts once its
`complete.json` is there, put last; an epoch that is done again keeps its first fact. Whoever resumes a run takes the
next attempt; the process of an older attempt learns of it and stops.
"""

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Self

from dermis.shared.case import Fact
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id, new_id
from dermis.shared.manifest import VersionRef
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore
from dermis.trainer.records.facts import (
    AnyRunFact,
    Checkpoint,
    Epoch,
    Learned,
    Resumed,
    RunConfig,
    RunFailed,
    RunFinished,
    RunState,
    RunStopped,
    Started,
    fold_run,
)

RUNS = "runs/"
LEARNED_FILE = "learned.json"
_SOURCES = ("shared", "worker/core", "metadata/core", "data", "trainer")


_FACTS: dict[str, type[AnyRunFact]] = {
    "started.json": Started,
    "finished.json": RunFinished,
    "resumed": Resumed,
    "epochs": Epoch,
    "stopped": RunStopped,
    "failed": RunFailed,
}


def run_key(run_id: str) -> str:
    return f"{RUNS}{run_id}"


def run_ids(store: BlobStore) -> list[str]:
    """Return the runs of a store, the oldest first: one listed key each, whatever they hold."""
    ids: list[str] = []
    while (key := next(store.list(RUNS, after=f"{run_key(ids[-1])}/~" if ids else ""), None)) is not None:
        ids.append(key.split("/", 2)[1])
    return ids


def read_run(store: BlobStore, run_id: str) -> RunState:
    """Return the state of a run; NOT_FOUND if there is none of that id."""
    _check_id(run_id)
    folder = f"{run_key(run_id)}/"
    wanted: dict[str, str] = {}
    for key in store.list(folder):
        name = key.removeprefix(folder)
        head = name.split("/")[0]
        if head == "epochs" and _number(name) < _number(wanted.get(head, "")):
            continue  # of epochs the last one says it all
        if head in _FACTS:
            wanted[name if head != "epochs" else head] = name
    if not wanted:
        raise DermisError(
            Kind.NOT_FOUND, "RUN", f"there is no run {run_id} in this store; `dermis models` lists those that are"
        )
    return fold_run(
        _FACTS[name.split("/")[0]].model_validate_json(store.get(folder + name)) for name in wanted.values()
    )


def unfinished_run(store: BlobStore, config: RunConfig) -> str | None:
    """Return the newest run of this config, data, split and seeds; None if there is none or it is finished."""
    for run_id in reversed(run_ids(store)):
        state = read_run(store, run_id)
        if state.started and state.started.config == config:
            return None if state.finished else run_id
    return None


def _number(name: str) -> int:
    text = name.rpartition("/")[2].removesuffix(".json")
    return int(text) if text.isdigit() else 0


def _check_id(run_id: str) -> None:
    if not is_id("run", run_id):
        raise DermisError(
            Kind.INVALID, "RUN_ID", f"{run_id!r} is no id of a run; it looks like run_01k9x4q7e8f3rtw5m2c6b0dvza"
        )


class Run:
    """Writes one attempt of a run; made by `start` or `resume`."""

    def __init__(self, store: BlobStore, started: Started, *, attempt: int) -> None:
        self.id = started.run_id
        self.started = started
        self.attempt = attempt
        self._store = store

    @classmethod
    def start(cls, store: BlobStore, config: RunConfig, *, hardware: str | None = None) -> Self:
        """Begin a new run."""
        started = Started(
            run_id=new_id("run"),
            started_at=_now(),
            config=config,
            code=code_version(),
            hardware=hardware or this_machine(),
        )
        run = cls(store, started, attempt=1)
        run._put("started.json", started)
        return run

    @classmethod
    def resume(cls, store: BlobStore, run_id: str, *, hardware: str | None = None) -> Self:
        """Begin a run's next attempt, whether it was stopped, failed or was killed.

        NOT_FOUND without such a run, CONFLICT if it is finished or another process resumes it at the same time.
        """
        state = read_run(store, run_id)
        if state.finished:
            version = state.finished.version
            raise DermisError(
                Kind.CONFLICT, "RUN_FINISHED", f"run {run_id} is finished: it made {version.name} {version.version}"
            )
        if state.started is None:
            raise DermisError(Kind.INVALID, "RUN", f"run {run_id} has no started.json; start a new one")
        run = cls(store, state.started, attempt=state.attempt + 1)
        checkpoint = run.last_checkpoint()
        fact = Resumed(
            run_id=run_id,
            attempt=run.attempt,
            resumed_at=_now(),
            after=checkpoint.epoch if checkpoint else 0,
            code=code_version(),
            hardware=hardware or this_machine(),
        )
        try:
            run._put(f"resumed/{run.attempt}.json", fact)
        except BlobConflict as error:
            raise DermisError(
                Kind.CONFLICT, "RUN_RESUMED", f"run {run_id} is being resumed by another process"
            ) from error
        run._clear_checkpoints(keep=checkpoint.epoch if checkpoint else 0)
        return run

    @classmethod
    def start_or_resume(cls, store: BlobStore, config: RunConfig, *, hardware: str | None = None) -> Self:
        """Resume the newest run of this very config that is not finished, else begin a new one.

        So the same command goes on after a kill.
        """
        unfinished = unfinished_run(store, config)
        return (
            cls.resume(store, unfinished, hardware=hardware)
            if unfinished
            else cls.start(store, config, hardware=hardware)
        )

    def learns(self, parts: Mapping[str, Iterable[str]]) -> None:
        """Record which cases this run learns from; an earlier record stands."""
        self._put_first(
            LEARNED_FILE, Learned(run_id=self.id, parts={name: tuple(keys) for name, keys in parts.items()})
        )

    def epoch(self, k: int, metrics: Mapping[str, float], *, stage: str = "", of: int | None = None) -> None:
        """Record that epoch `k` has ended; where an epoch is done again after a kill, its first record stands.

        CONFLICT as `check`.
        """
        self.check()
        values = {name: float(value) for name, value in metrics.items()}
        fact = Epoch(run_id=self.id, epoch=k, ended_at=_now(), metrics=values, stage=stage, of=of)
        self._put_first(f"epochs/{k}.json", fact)

    def epochs(self) -> list[Epoch]:
        """Return every epoch that is recorded, of earlier attempts too, in order."""
        keys = sorted(self._store.list(self._key("epochs/")), key=_number)
        return [Epoch.model_validate_json(self._store.get(key)) for key in keys]

    def checkpoint(self, k: int, files: Mapping[str, bytes]) -> None:
        """Keep what is needed to go on after epoch `k`, then drop older checkpoints; call it after `epoch`.

        CONFLICT as `check`.
        """
        self.check()
        for name, data in files.items():
            self._store.put_once(self._key(f"checkpoints/{k}/{name}"), data)
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        self._put(f"checkpoints/{k}/complete.json", Checkpoint(epoch=k, files=digests))
        self._clear_checkpoints(keep=k)

    def last_checkpoint(self) -> Checkpoint | None:
        """Return the last whole checkpoint, None if there is none."""
        prefix = self._key("checkpoints/")
        whole = [int(key.split("/")[-2]) for key in self._store.list(prefix) if key.endswith("/complete.json")]
        if not whole:
            return None
        return Checkpoint.model_validate_json(self._store.get(f"{prefix}{max(whole)}/complete.json"))

    def read_checkpoint(self, checkpoint: Checkpoint) -> dict[str, bytes]:
        """Return a checkpoint's files; INVALID if one is not what was kept."""
        files = {
            name: self._store.get(self._key(f"checkpoints/{checkpoint.epoch}/{name}")) for name in checkpoint.files
        }
        for name, data in files.items():
            if hashlib.sha256(data).hexdigest() != checkpoint.files[name]:
                raise DermisError(
                    Kind.INVALID, "CHECKPOINT", f"{name} of the checkpoint after epoch {checkpoint.epoch} was changed"
                )
        return files

    def finish(self, version: VersionRef) -> None:
        """Record the version that the run published; CONFLICT as `check`, or if another version is recorded."""
        self.check()
        self._put("finished.json", RunFinished(run_id=self.id, finished_at=_now(), version=version))
        self._clear_checkpoints(keep=None)

    def stop(self, reason: str) -> None:
        """Record that someone stopped this attempt."""
        fact = RunStopped(run_id=self.id, attempt=self.attempt, ended_at=_now(), reason=reason)
        self._put_first(f"stopped/{self.attempt}.json", fact)

    def fail(self, reason: str, detail: str) -> None:
        """Record that this attempt could not go on."""
        fact = RunFailed(run_id=self.id, attempt=self.attempt, ended_at=_now(), reason=reason, detail=detail)
        self._put_first(f"failed/{self.attempt}.json", fact)

    def check(self) -> None:
        """Raise CONFLICT if another process has resumed this run meanwhile: this one has to end."""
        try:
            self._store.get(self._key(f"resumed/{self.attempt + 1}.json"))
        except BlobNotFound:
            return
        raise DermisError(Kind.CONFLICT, "RUN_RESUMED", f"run {self.id} was resumed by another process; this one ends")

    def _clear_checkpoints(self, *, keep: int | None) -> None:
        """Delete all checkpoints but that of epoch `keep`.

        Each one's `complete.json` goes first: what is left of one never counts.
        """
        prefix = self._key("checkpoints/")
        keys = [key for key in self._store.list(prefix) if key.split("/")[3] != str(keep)]
        for key in sorted(keys, key=lambda key: not key.endswith("/complete.json")):
            self._store.delete(key)

    def _put_first(self, name: str, fact: Fact) -> None:
        with suppress(BlobConflict):  # it was said before, at another time: the first word stands
            self._put(name, fact)

    def _put(self, name: str, fact: Fact) -> None:
        self._store.put_once(self._key(name), fact.model_dump_json().encode())

    def _key(self, name: str) -> str:
        return f"{run_key(self.id)}/{name}"


def this_machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"


@cache
def code_version() -> str:
    """Return dermis' version and the SHA-256 of the sources that decide what a model becomes.

    Sources may be installed or in a checkout.
    """
    digest = hashlib.sha256()
    for part in _SOURCES:
        folder = Path(str(resources.files(f"dermis.{part.replace('/', '.')}")))
        for path in sorted(path for kind in ("*.py", "*.json") for path in folder.rglob(kind)):
            digest.update(f"{part}/{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return f"{metadata.version('dermis')} sha256:{digest.hexdigest()}"


def _now() -> datetime:
    return datetime.now(UTC)
