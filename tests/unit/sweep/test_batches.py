"""The sweep's look at batches: lost steps are sent again, nothing that runs is, and what is done or erased goes."""

from datetime import timedelta

import pytest

from dermis.shared.batches import (
    BatchErased,
    BatchJob,
    BatchManifest,
    batch_erased_key,
    batch_failed_key,
    batch_key,
    batch_manifest_key,
    batch_result_key,
    batch_rows_key,
    open_batch_key,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import made_at, new_id
from dermis.shared.jobs import AssessJob
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.webhooks import DrainJob
from dermis.sweep.batches import BatchSweep
from dermis.sweep.core.decide import CaseAction, SweepPolicy

POLICY = SweepPolicy()
ID = new_id("batch")
MADE = made_at(ID)
assert MADE is not None
NOW = MADE
LATER = NOW + POLICY.resend_after


class FakeQueue:
    def __init__(self) -> None:
        self.sent: list[int] = []
        self.steps = 0
        self.down = False

    def waiting(self) -> int:
        return 0

    def send(self, job: AssessJob) -> None:
        raise AssertionError(job)

    def waiting_steps(self) -> int:
        if self.down:
            raise DermisError(Kind.UNAVAILABLE, "BROKER", "gone")
        return self.steps

    def waiting_drains(self) -> int:
        return 0

    def send_drain(self, job: DrainJob) -> None:
        raise AssertionError(job)

    def send_step(self, job: BatchJob) -> None:
        assert job.batch_id == ID
        self.sent.append(job.step)


@pytest.fixture
def store() -> MemoryStore:
    """A batch of 3 steps, the first of which is done."""
    store = MemoryStore(lambda: NOW)
    manifest = BatchManifest(batch_id=ID, owner="public", created_at=NOW, source="file:///x", rows=20, size=8)
    store.put_once(open_batch_key(ID), b"{}")
    store.put_once(batch_rows_key(ID), b"")
    store.put_once(batch_manifest_key(ID), manifest.model_dump_json().encode())
    store.put_once(batch_result_key(ID, 0), b"")
    return store


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


def test_a_clock_that_is_set_back_keeps_no_step_waiting(store: MemoryStore, queue: FakeQueue) -> None:
    sweep = BatchSweep(store, queue, POLICY)
    sweep.look(NOW)
    assert sweep.look(NOW - timedelta(hours=1)) == {CaseAction.RESEND: 1}


def test_without_redis_the_look_goes_on(store: MemoryStore, queue: FakeQueue) -> None:
    sweep = BatchSweep(store, queue, POLICY)
    sweep.look(NOW)
    queue.down = True
    assert sweep.look(LATER) == {CaseAction.WAIT: 1}
    queue.down = False
    assert sweep.look(LATER) == {CaseAction.RESEND: 1}


def test_a_batch_of_another_version_does_not_stop_the_others(store: MemoryStore, queue: FakeQueue) -> None:
    other = new_id("batch")
    store.put_once(open_batch_key(other), b"{}")
    store.put_once(batch_manifest_key(other), b'{"batch_id": "a later version wrote this"}')
    sweep = BatchSweep(store, queue, POLICY)
    sweep.look(NOW)
    assert sweep.look(LATER) == {CaseAction.RESEND: 1}


def test_steps_that_nobody_has_are_sent_again_once(store: MemoryStore, queue: FakeQueue) -> None:
    sweep = BatchSweep(store, queue, POLICY)
    assert sweep.look(NOW) == {CaseAction.WAIT: 1}
    assert sweep.look(LATER - timedelta(seconds=1)) == {CaseAction.WAIT: 1}
    assert sweep.look(LATER) == {CaseAction.RESEND: 1}
    assert queue.sent == [1, 2]
    assert sweep.look(LATER + timedelta(seconds=1)) == {CaseAction.WAIT: 1}


def test_nothing_is_sent_again_while_steps_wait_or_are_done(store: MemoryStore, queue: FakeQueue) -> None:
    sweep = BatchSweep(store, queue, POLICY)
    sweep.look(NOW)
    queue.steps = 1
    assert sweep.look(LATER) == {CaseAction.WAIT: 1}
    queue.steps = 0
    store.put_once(batch_result_key(ID, 2), b"")
    assert sweep.look(LATER) == {CaseAction.WAIT: 1}
    assert sweep.look(LATER + POLICY.resend_after) == {CaseAction.RESEND: 1}
    assert queue.sent == [1]


def test_a_batch_whose_steps_all_ended_is_closed(store: MemoryStore, queue: FakeQueue) -> None:
    store.put_once(batch_result_key(ID, 1), b"")
    store.put_once(batch_failed_key(ID, 2), b"why")
    assert BatchSweep(store, queue, POLICY).look(NOW) == {CaseAction.CLOSE: 1}
    assert not list(store.list("open-batches/"))
    assert store.get(batch_result_key(ID, 1)) == b""


def test_of_an_erased_batch_only_the_tombstone_stays(store: MemoryStore, queue: FakeQueue) -> None:
    store.put_once(batch_erased_key(ID), BatchErased(batch_id=ID, erased_at=NOW).model_dump_json().encode())
    sweep = BatchSweep(store, queue, POLICY)
    assert sweep.look(LATER - timedelta(seconds=1)) == {CaseAction.WAIT: 1}
    store.put_once(batch_result_key(ID, 1), b"a worker was late, and lost")
    assert sweep.look(LATER) == {CaseAction.DISCARD: 1}
    assert list(store.list("")) == [batch_erased_key(ID)]


def test_a_batch_that_was_never_wholly_submitted_goes_in_time(store: MemoryStore, queue: FakeQueue) -> None:
    store.delete(batch_manifest_key(ID))
    sweep = BatchSweep(store, queue, POLICY)
    assert sweep.look(NOW) == {CaseAction.WAIT: 1}
    assert sweep.look(NOW + POLICY.incomplete_after) == {CaseAction.DISCARD: 1}
    assert not list(store.list(batch_key(ID)))
    assert not list(store.list("open-batches/"))


def test_a_batch_that_a_lagging_gateway_is_storing_is_not_taken_for_lost(queue: FakeQueue) -> None:
    late = NOW + POLICY.incomplete_after
    slow = MemoryStore(lambda: late)
    slow.put_once(open_batch_key(ID), b"{}")
    assert BatchSweep(slow, queue, POLICY).look(late) == {CaseAction.WAIT: 1}


def test_steps_that_get_nowhere_are_sent_ever_more_rarely(store: MemoryStore, queue: FakeQueue) -> None:
    sweep, resends = BatchSweep(store, queue, POLICY), []
    for seconds in range(0, 3600, 15):
        if sweep.look(NOW + timedelta(seconds=seconds))[CaseAction.RESEND]:
            resends.append(seconds)  # noqa: PERF401 (each look changes the sweep)
    assert len(resends) <= 8
    assert resends[1] - resends[0] < resends[3] - resends[2]
