"""Waiting for workers: what is lost is sent again, what is done is not."""

from collections.abc import Callable

import pytest

from dermis.data.images.measure import load_quality_policy
from dermis.data.images.shards import WINDOW, ShardPlan, begin, collect, make_plan, measure_by_workers
from dermis.shared.errors import DermisError
from dermis.shared.jobs import ShardJob, shard_failed_key, shard_result_key
from dermis.shared.stores.memory import MemoryStore
from dermis.worker.core import shard

POLICY = load_quality_policy(None)
KEYS = [f"images/{n}.png" for n in range(200)]


class FakeQueue:
    """A queue whose workers take a job at each look.

    `lose` says which jobs get lost, given the job and how often it was sent.
    """

    def __init__(
        self, store: MemoryStore, plan: ShardPlan, lose: Callable[[int, int], bool] = lambda *_: False
    ) -> None:
        self.store, self.plan, self.lose = store, plan, lose
        self.jobs: list[int] = []
        self.sent: list[int] = []
        self.most = 0
        self.reachable = True

    def send(self, job: ShardJob) -> bool:
        if self.reachable:
            self.sent.append(job.shard)
            if not self.lose(job.shard, self.sent.count(job.shard)):
                self.jobs.append(job.shard)
            self.most = max(self.most, len(self.jobs))
        return self.reachable

    def waiting(self) -> int | None:
        return len(self.jobs)

    def work(self, _: float) -> None:
        for n in self.jobs[:5]:
            rows = [shard.missing(key) for key in self.plan.listed.shard(n)]
            self.store.put_once(shard_result_key(self.plan.id, n), shard.as_lines(rows))
        del self.jobs[:5]


@pytest.fixture
def plan() -> ShardPlan:
    return make_plan("file:///source", KEYS, POLICY, size=2)


def wait(store: MemoryStore, queue: FakeQueue, plan: ShardPlan, todo: set[int] | None = None) -> tuple[int, list[str]]:
    steps: list[int] = []
    said: list[str] = []
    time = iter(range(10**6))
    measure_by_workers(
        store,
        queue,
        plan,
        begin(store, plan) if todo is None else todo,
        step=steps.append,
        say=said.append,
        resend_after=10,
        clock=lambda: float(next(time)),
        sleep=queue.work,
    )
    return sum(steps), said


def test_every_image_once_and_never_more_than_a_window_under_way(plan: ShardPlan) -> None:
    store = MemoryStore()
    queue = FakeQueue(store, plan)
    assert wait(store, queue, plan) == (200, [])
    assert sorted(queue.sent) == list(range(100))
    assert queue.most <= WINDOW
    assert [row["image"] for row in collect(store, plan)] == KEYS


def test_lost_shards_are_sent_again_and_only_these(plan: ShardPlan) -> None:
    store = MemoryStore()
    queue = FakeQueue(store, plan, lose=lambda n, times: n % 7 == 0 and times < 3)
    done, said = wait(store, queue, plan)
    assert done == 200
    assert {n for n in queue.sent if queue.sent.count(n) > 1} == {n for n in range(100) if n % 7 == 0}
    assert any("sent again" in text for text in said)


def test_what_is_done_is_not_sent(plan: ShardPlan) -> None:
    store = MemoryStore()
    begin(store, plan)
    first = FakeQueue(store, plan)
    first.jobs = [3, 1, 99]
    first.work(0)
    queue = FakeQueue(store, plan)
    assert begin(store, plan) == set(range(100)) - {1, 3, 99}
    assert wait(store, queue, plan)[0] == 194
    assert not {1, 3, 99} & set(queue.sent)


def test_jobs_that_still_wait_are_not_sent_twice(plan: ShardPlan) -> None:
    class Idle(FakeQueue):
        """Nobody works for a while."""

        looks = 0

        def work(self, seconds: float) -> None:
            self.looks += 1
            if self.looks > 40:
                super().work(seconds)

    store = MemoryStore()
    queue = Idle(store, plan)
    done, said = wait(store, queue, plan)
    assert done == 200
    assert len(queue.sent) == 100
    assert f"no result for 10 s: {WINDOW} shards wait for a worker" in said


def test_a_broker_that_is_away_is_waited_for(plan: ShardPlan) -> None:
    class Away(FakeQueue):
        looks = 0

        def work(self, seconds: float) -> None:
            self.looks += 1
            self.reachable = self.looks > 3
            super().work(seconds)

    store = MemoryStore()
    queue = Away(store, plan)
    queue.reachable = False
    done, said = wait(store, queue, plan)
    assert done == 200
    assert "the broker can't be reached; trying again" in said


def test_what_can_not_be_measured_is_told_after_all_others_and_tried_again_next_time(plan: ShardPlan) -> None:
    class Failing(FakeQueue):
        def work(self, seconds: float) -> None:
            if 5 in self.jobs:
                self.jobs.remove(5)
                self.store.put_once(shard_failed_key(self.plan.id, 5), b"bucket refused")
            super().work(seconds)

    store = MemoryStore()
    with pytest.raises(
        DermisError, match=r"1 shards could not be measured.*shard 5 \(images/10.png ...\): bucket refused"
    ):
        wait(store, Failing(store, plan), plan)
    assert begin(store, plan) == {5}
    assert wait(store, FakeQueue(store, plan), plan)[0] == 2
    assert len(collect(store, plan)) == 200


def test_the_id_is_of_what_is_measured(plan: ShardPlan) -> None:
    assert make_plan("file:///source", KEYS, POLICY, size=2).id == plan.id
    others = [
        make_plan("file:///other", KEYS, POLICY, size=2),
        make_plan("file:///source", KEYS[1:], POLICY, size=2),
        make_plan("file:///source", KEYS, POLICY, size=3),
        make_plan("file:///source", KEYS, POLICY.model_copy(update={"advice": {}}), size=2),
    ]
    assert len({plan.id, *(other.id for other in others)}) == 5
