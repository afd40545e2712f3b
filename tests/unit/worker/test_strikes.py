"""Images that kill their worker end their case; waits, outages and other workers do not."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dermis.shared.case import Status
from dermis.shared.errors import DermisError
from dermis.shared.stores import open_store
from dermis.shared.stores.memory import MemoryStore
from dermis.worker import tasks
from dermis.worker.core import decode
from dermis.worker.facts import read
from dermis.worker.row_by_row import MOST_LOSSES, RowByRow
from dermis.worker.strikes import Strikes, WorkerLost
from tests.unit.worker.test_pipeline import JOB, SETTINGS, Killed, World, skin, world

PLACE = f"cases/{JOB.owner}/{JOB.case_id}/redelivered/{JOB.attempt}"
DELIVERIES = SETTINGS.max_redeliveries + 1


def marks(store: MemoryStore) -> list[str]:
    return list(store.list(f"cases/{JOB.owner}/{JOB.case_id}/redelivered/"))


def with_losses(n: int) -> World:
    made = world(skin())
    for loss in range(n):
        made.store.put_once(f"{PLACE}-{loss + 1}", b"of another process")
    return made


def an_hour_later(made: World) -> None:
    made.store._clock = lambda: datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("redelivered", [False, True])
def test_a_case_whose_images_kill_the_worker_ends_however_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redelivered: bool
) -> None:
    """What the sweep sends again is no redelivery: the broker, or all of the machine, may die with the worker."""
    made, store = world(skin()), open_store(f"file://{tmp_path}")
    for key in made.store.list(""):
        store.put_once(key, made.store.get(key))
    made.store = store  # type: ignore[assignment]
    deadly: Callable[..., Any] = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    monkeypatch.setattr(decode, "decode", deadly)

    def deliver() -> None:
        pipeline = made.pipeline()
        object.__setattr__(pipeline.strikes, "longest", timedelta(0))
        tasks.work(pipeline, JOB, settings=SETTINGS, redelivered=redelivered, metrics=made.metrics)

    for delivery in range(1, DELIVERIES + 2):
        assert made.status() is Status.RECEIVED
        child = multiprocessing.get_context("fork").Process(target=deliver)
        child.start()
        child.join()
        assert child.exitcode == (-signal.SIGKILL if delivery <= DELIVERIES else 0)
    failed = read(made.pipeline(), JOB).failed
    assert failed is not None
    assert failed.reason == "WORKER_LOST"


def test_a_case_that_is_finished_leaves_no_mark() -> None:
    made = world(skin())
    made.work()
    assert made.status() is Status.FINISHED
    assert marks(made.store) == []


@pytest.mark.parametrize("redelivered", [False, True])
def test_a_worker_that_is_lost_while_it_waits_for_the_store_is_no_strike(redelivered: bool) -> None:
    made = world(skin())
    get = made.store.get

    def lost(key: str) -> bytes:
        if key.endswith("/original"):
            raise Killed  # as SIGKILL at the hard limit
        return get(key)

    made.store.get = lost  # type: ignore[method-assign]
    for _ in range(10):
        with suppress(Killed):
            made.work(redelivered=redelivered)
    made.store.get = get  # type: ignore[method-assign]
    assert marks(made.store) == []
    made.work(redelivered=redelivered)
    assert made.status() is Status.FINISHED


def test_a_case_that_others_may_be_at_is_left_open_until_their_time_is_over() -> None:
    """Workers that were all away take up the copies that the sweep had sent, of one case, at once."""
    made = with_losses(DELIVERIES)
    made.work()
    assert made.status() is Status.RECEIVED
    assert made.counted("retries_total", reason="IN_WORK") > 0
    an_hour_later(made)
    made.work()
    assert made.status() is Status.FAILED


def test_a_case_that_the_broker_sends_again_is_not_waited_for() -> None:
    made = with_losses(DELIVERIES)
    made.work(redelivered=True)
    assert made.status() is Status.FAILED


def test_a_time_limit_while_the_mark_is_put_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    store, slow = MemoryStore(), threading.Event()
    put_once = store.put_once

    def waits(*arguments: Any, **options: Any) -> bool:
        slow.wait()
        return put_once(*arguments, **options)

    monkeypatch.setattr(store, "put_once", waits)
    strikes = Strikes(store=store)

    def limit(*_: object) -> None:
        slow.set()
        raise Killed

    before = signal.signal(signal.SIGALRM, limit)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Killed), strikes.at_risk("place", most=1, redelivered=False):
            pytest.fail("the mark does not stand yet")
    finally:
        signal.signal(signal.SIGALRM, before)
    strikes._thread.shutdown()
    assert list(store.list("")) == []


def test_a_row_whose_worker_is_lost_outside_its_images_is_no_loss() -> None:
    store = MemoryStore()

    def away(*_: object) -> bytes:
        raise Killed

    for _ in range(MOST_LOSSES + 1):
        careful = RowByRow(strikes=Strikes(store=store), prefix="rows")
        with pytest.raises(Killed):
            list(careful.run(range(1), away, lambda _: b"lost"))
    assert list(careful.run(range(1), lambda *_: b"done", lambda _: b"lost")) == [b"done"]


def test_too_many_losses_are_told() -> None:
    store = MemoryStore()
    lost = [Strikes(store=store).at_risk("place", most=MOST_LOSSES, redelivered=True) for _ in range(MOST_LOSSES)]
    for each in lost:
        each.__enter__()  # and never left
    assert list(store.list("place")) == [f"place-{n + 1}" for n in range(MOST_LOSSES)]
    with pytest.raises(WorkerLost), Strikes(store=store).at_risk("place", most=MOST_LOSSES, redelivered=True):
        pytest.fail("nobody may look")
    with pytest.raises(DermisError) as error, Strikes(store=store).at_risk("place", most=2, redelivered=False):
        pytest.fail("nobody may look")
    assert error.value.reason == "IN_WORK"
