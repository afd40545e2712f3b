from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.errors import DermisError
from dermis.shared.ids import new_id
from dermis.shared.manifest import VersionRef
from dermis.shared.ports import BlobStore
from dermis.shared.stores.disk import DiskStore
from dermis.shared.stores.memory import MemoryStore
from dermis.trainer.records.facts import (
    AnyRunFact,
    Checkpoint,
    Epoch,
    Resumed,
    RunConfig,
    RunFailed,
    RunFinished,
    RunStatus,
    RunStopped,
    Started,
    fold_run,
)
from dermis.trainer.records.runs import Run, read_run, run_ids

CONFIG = RunConfig(name="demo", purpose="demo", parameters={"batch": 4}, data={"generated": "sha256:aa"})
ID = "run_01jd3v2e8jf6ar8m2zq0n5w1xk"
BEGAN = datetime(2026, 1, 2, tzinfo=UTC)
VERSION = VersionRef(name="dermis", version=2)


@pytest.fixture(params=["memory", "disk"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MemoryStore() if request.param == "memory" else DiskStore(tmp_path / "store")


def started() -> Started:
    return Started(run_id=ID, started_at=BEGAN, config=CONFIG, code="c", hardware="h")


def resumed(attempt: int) -> Resumed:
    return Resumed(
        run_id=ID, attempt=attempt, resumed_at=BEGAN + timedelta(hours=attempt), after=0, code="c", hardware="h"
    )


def epoch(k: int) -> Epoch:
    return Epoch(run_id=ID, epoch=k, ended_at=BEGAN + timedelta(minutes=k), metrics={"loss": 1 / k})


def ended(kind: type[RunStopped] | type[RunFailed], attempt: int) -> AnyRunFact:
    return kind(run_id=ID, attempt=attempt, ended_at=BEGAN + timedelta(hours=attempt, minutes=30), reason="WHY")


FACTS = st.one_of(
    st.just(started()),
    st.builds(resumed, st.integers(2, 4)),
    st.builds(epoch, st.integers(1, 5)),
    st.builds(ended, st.sampled_from([RunStopped, RunFailed]), st.integers(1, 4)),
    st.just(RunFinished(run_id=ID, finished_at=BEGAN, version=VERSION)),
)


@given(st.lists(FACTS), st.randoms(use_true_random=False))
def test_the_state_depends_on_no_order_and_no_repetition(facts: list[AnyRunFact], chance: Any) -> None:
    shuffled = facts + facts[: len(facts) // 2]
    chance.shuffle(shuffled)
    assert fold_run(shuffled) == fold_run(facts)


@given(st.lists(FACTS))
def test_a_finished_run_stays_finished(facts: list[AnyRunFact]) -> None:
    state = fold_run([*facts, RunFinished(run_id=ID, finished_at=BEGAN, version=VERSION)])
    assert state.status is RunStatus.FINISHED


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([], None),
        ([started()], RunStatus.RUNNING),
        ([started(), epoch(1), ended(RunStopped, 1)], RunStatus.STOPPED),
        ([started(), epoch(1), ended(RunFailed, 1)], RunStatus.FAILED),
        ([started(), ended(RunFailed, 1), resumed(2)], RunStatus.RUNNING),
        ([started(), ended(RunFailed, 1), resumed(2), ended(RunStopped, 2)], RunStatus.STOPPED),
    ],
)
def test_the_end_of_an_attempt_counts_until_the_next_begins(facts: list[AnyRunFact], status: RunStatus | None) -> None:
    assert fold_run(facts).status is status


def test_a_run_from_start_to_version(store: BlobStore) -> None:
    run = Run.start(store, CONFIG)
    assert read_run(store, run.id).status is RunStatus.RUNNING
    for k in (1, 2, 10):
        run.epoch(k, {"loss": 1 / k}, stage="head", of=10)
        run.checkpoint(k, {"state.npz": b"%d" % k})
    state = read_run(store, run.id)
    assert state.epoch is not None
    assert (state.epoch.epoch, state.epoch.metrics) == (10, {"loss": 0.1})
    run.finish(VERSION)
    state = read_run(store, run.id)
    assert (state.status, state.finished and state.finished.version) == (RunStatus.FINISHED, VERSION)
    assert list(store.list(f"runs/{run.id}/checkpoints/")) == []
    assert run.started.code.startswith("0.1.0 sha256:")


def test_only_the_last_checkpoint_is_kept_and_its_files_are_checked(store: BlobStore) -> None:
    run = Run.start(store, CONFIG)
    assert run.last_checkpoint() is None
    for k in (9, 10):
        run.checkpoint(k, {"state.npz": b"%d" % k, "order.npz": b""})
    held = run.last_checkpoint()
    assert held is not None
    assert held.epoch == 10
    assert run.read_checkpoint(held) == {"state.npz": b"10", "order.npz": b""}
    assert {key.split("/")[3] for key in store.list(f"runs/{run.id}/checkpoints/")} == {"10"}
    changed = Checkpoint(epoch=10, files={"state.npz": "0" * 64})
    with pytest.raises(DermisError, match=r"state\.npz of the checkpoint after epoch 10 was changed"):
        run.read_checkpoint(changed)


class Dies(Exception):
    pass


class DiesAt:
    """A store that dies at its n-th put."""

    def __init__(self, store: BlobStore, puts: int) -> None:
        self._store, self._left = store, puts
        self.get, self.get_versioned, self.replace, self.list, self.delete = (
            store.get,
            store.get_versioned,
            store.replace,
            store.list,
            store.delete,
        )

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:
        self._left -= 1
        if self._left < 0:
            raise Dies
        return self._store.put_once(key, data, reserved=reserved)


def work(run: Run, *, salt: bytes, epochs: int = 3) -> None:
    """Train: what a checkpoint holds differs with `salt`, as a resumed run's last bits do."""
    held = run.last_checkpoint()
    for k in range((held.epoch if held else 0) + 1, epochs + 1):
        run.epoch(k, {"loss": 1 / k})
        run.checkpoint(k, {"a": b"%d" % k + salt, "b": salt})
    run.finish(VERSION)


PUTS = 1 + 3 * 4 + 1
"""Of `work`: started.json, for each epoch its fact and a checkpoint of two files, finished.json."""


@pytest.mark.parametrize("puts", range(PUTS + 1))
def test_a_run_killed_at_any_put_goes_on(puts: int) -> None:
    store = MemoryStore()
    with pytest.raises(Dies) if puts < PUTS else nullcontext():
        work(Run.start(DiesAt(store, puts), CONFIG), salt=b"first")  # type: ignore[arg-type]
    if not run_ids(store):
        assert puts == 0
        return
    [run_id] = run_ids(store)
    if puts < PUTS:
        assert read_run(store, run_id).status is RunStatus.RUNNING
        work(Run.resume(store, run_id), salt=b"second")
    state = read_run(store, run_id)
    assert state.status is RunStatus.FINISHED
    assert state.epoch is not None
    assert state.epoch.epoch == 3


def test_of_two_processes_the_one_that_resumed_goes_on(store: BlobStore) -> None:
    old = Run.start(store, CONFIG)
    old.epoch(1, {})
    new = Run.resume(store, old.id)
    for late in (lambda: old.epoch(2, {}), lambda: old.checkpoint(2, {}), lambda: old.finish(VERSION)):
        with pytest.raises(DermisError, match="was resumed by another process"):
            late()
    new.epoch(2, {})
    assert read_run(store, old.id).attempt == 2


def test_stopped_and_failed_runs_can_be_resumed_and_finished_ones_not(store: BlobStore) -> None:
    run = Run.start(store, CONFIG)
    run.stop("SIGTERM")
    run.stop("SIGTERM")
    assert read_run(store, run.id).status is RunStatus.STOPPED
    run = Run.resume(store, run.id)
    run.fail("LOSS_NOT_FINITE", "batch 3")
    state = read_run(store, run.id)
    assert (state.status, state.ended and state.ended.reason) == (RunStatus.FAILED, "LOSS_NOT_FINITE")
    run = Run.resume(store, run.id)
    run.finish(VERSION)
    with pytest.raises(DermisError, match="is finished: it made dermis 2"):
        Run.resume(store, run.id)


def test_runs_are_listed_by_age_and_unknown_ones_refused(store: BlobStore) -> None:
    runs = [Run.start(store, CONFIG) for _ in range(3)]
    for run in runs:
        run.epoch(1, {})
    assert run_ids(store) == [run.id for run in runs]
    with pytest.raises(DermisError, match="there is no run"):
        read_run(store, new_id("run"))
    with pytest.raises(DermisError, match="is no id of a run"):
        read_run(store, "run_../../x")


def test_the_same_command_goes_on_where_it_was_stopped_and_starts_anew_once_it_is_finished(store: BlobStore) -> None:
    first = Run.start_or_resume(store, CONFIG)
    other = Run.start_or_resume(store, CONFIG.model_copy(update={"seeds": {"weights": 1}}))
    assert other.id != first.id
    again = Run.start_or_resume(store, CONFIG)
    assert (again.id, again.attempt) == (first.id, 2)
    again.finish(VERSION)
    assert Run.start_or_resume(store, CONFIG).id not in (first.id, other.id)
