"""Turns: one process is left for who has nothing in work, and locks go with the process that holds them."""

import base64
import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Self

import pytest
import redis
from kombu.exceptions import OperationalError
from pydantic import BaseModel

from dermis.shared.jobs import ASSESS, ASSESS_IMAGE, CASES_QUEUES, AssessImageJob, AssessJob, cases_queue
from dermis.worker import turn_tasks
from dermis.worker.adapters.queues import FirstsEverySecondTime
from dermis.worker.adapters.turns import Turns
from dermis.worker.settings import WorkerSettings


class FakeRedis:
    """Queues that hold jobs, as Celery and kombu write them, or no Redis at all."""

    def __init__(self) -> None:
        self.queues: dict[str, list[bytes]] = {}
        self.gone = False
        self._asked: list[list[bytes]] = []

    def send(self, queue: str, task: str, job: BaseModel) -> None:
        """As tests/integration/test_queues.py shows of a real Redis."""
        body = base64.b64encode(json.dumps([[], {"job": job.model_dump()}, {}]).encode()).decode()
        self.queues.setdefault(queue, []).insert(0, json.dumps({"body": body, "headers": {"task": task}}).encode())

    def pipeline(self, *, transaction: bool) -> Self:  # noqa: ARG002 - the client's name
        if self.gone:
            raise redis.ConnectionError
        self._asked = []
        return self

    def lrange(self, queue: str, start: int, end: int) -> None:
        assert end == -1
        self._asked.append(self.queues.get(queue, [])[start:])

    def execute(self) -> list[list[bytes]]:
        return self._asked


@pytest.fixture
def client() -> FakeRedis:
    return FakeRedis()


@pytest.fixture
def turns(tmp_path: Path, client: FakeRedis) -> Turns:
    return Turns(tmp_path, 2, client)  # type: ignore[arg-type]


def taken(turns: Turns, held: contextlib.ExitStack, line: str, *, first: bool = True) -> bool:
    return held.enter_context(turns.take(line, first=first))


def test_an_owner_who_sends_much_leaves_a_process_to_others(turns: Turns) -> None:
    with contextlib.ExitStack() as held:
        assert [taken(turns, held, "a") for _ in range(4)] == [True, True, False, False]
        assert [taken(turns, held, "b"), taken(turns, held, "b")] == [True, False]


def test_who_is_alone_has_all_but_one_and_two_have_half_each(turns: Turns, tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        assert [taken(turns, held, "a", first=False) for _ in range(3)] == [True, True, False]
    with contextlib.ExitStack() as held:
        assert taken(turns, held, "b", first=False)
        assert [taken(turns, held, "a", first=False) for _ in range(2)] == [True, False]
    for file in tmp_path.glob("active-*"):
        os.utime(file, (0, 0))  # long ago
    with contextlib.ExitStack() as held:
        assert [taken(turns, held, "a", first=False) for _ in range(3)] == [True, True, False]


def test_what_belongs_to_nobody_or_is_not_first_never_takes_the_last_process(turns: Turns) -> None:
    with contextlib.ExitStack() as held:
        assert [taken(turns, held, "") for _ in range(3)] == [True, True, False]
        assert not taken(turns, held, "b", first=False)
        assert taken(turns, held, "b")


def test_a_turn_ends_with_its_process(turns: Turns) -> None:
    pid = os.fork()
    if not pid:
        with turns.take("a", first=True), turns.take("a", first=True):
            time.sleep(60)
    with contextlib.ExitStack() as held:
        deadline, free = time.monotonic() + 10, True
        while free and time.monotonic() < deadline:
            with turns.take("a", first=False) as free:
                time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert [taken(turns, held, "a") for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("place", "queue"),
    [(0, "cases"), (1, "cases"), (2, "cases.2"), (3, "cases.2"), (4, "cases.4"), (15, "cases.8"), (16, "cases.16")],
)
def test_the_more_wait_in_a_line_the_later_the_queue(place: int, queue: str) -> None:
    assert cases_queue(place) == queue
    assert cases_queue(10**9) == CASES_QUEUES[-1]


def test_workers_of_cases_take_from_all_their_queues_and_have_a_process_more() -> None:
    settings = WorkerSettings(store_url="file:///s", concurrency=3)
    assert settings.celery_queues == (*CASES_QUEUES, "scratch", "shards", "batches")
    assert settings.processes == 4
    alone = WorkerSettings(store_url="file:///s", concurrency=3, queues="batches")
    assert (alone.celery_queues, alone.processes) == (("batches",), 3)


class FakeTask:
    """A task that was delivered from a queue, and the app that it sends with."""

    name = "case.assess"

    def __init__(self, queue: str, *, redelivered: bool = False) -> None:
        self.sent: list[dict[str, Any]] = []
        self.request = self
        self.app = self
        self.delivery_info = {"routing_key": queue, "redelivered": redelivered}
        self.headers = {"sent_at": 1.5, "traceparent": "00-a-b-01", "timelimit": [None, None]}
        self.expires = None

    def send_task(self, name: str, **options: Any) -> None:
        self.sent.append({"name": name, **options})


CASE = AssessJob(case_id="case_2", owner="b")
IMAGE = AssessImageJob(scratch_id="image_1", content_type="image/png", line="b")
OWN = AssessJob(case_id="case_3", owner="a")


@pytest.mark.parametrize(
    ("queue", "name", "other", "gone", "at_once"),
    [
        ("cases", ASSESS, CASE, False, True),
        ("scratch", ASSESS_IMAGE, IMAGE, False, True),
        ("cases", ASSESS, OWN, False, False),
        ("cases.2", ASSESS, CASE, False, False),
        ("cases", ASSESS, CASE, True, False),
    ],
)
def test_what_has_no_turn_is_given_back_at_once_where_somebody_else_may_work(
    turns: Turns, client: FakeRedis, queue: str, name: str, other: BaseModel, gone: bool, at_once: bool
) -> None:
    client.send(queue, name, other)
    client.gone = gone
    task, job = FakeTask("cases.4"), AssessJob(case_id="case_1", owner="a", attempt=2)
    with contextlib.ExitStack() as held:
        assert [taken(turns, held, "a") for _ in range(2)] == [True, True]
        begun = time.monotonic()
        with turn_tasks.turn(task, job, turns, line="a") as third:
            assert not third
        assert (time.monotonic() - begun < turn_tasks.LONGEST_S) is at_once
    (sent,) = task.sent
    assert sent["queue"] == "cases.4"
    assert sent["kwargs"] == {"job": job.model_dump()}
    assert sent["headers"] == {"sent_at": 1.5, "traceparent": "00-a-b-01"}


def test_what_can_not_be_given_back_as_redis_is_away_is_done_and_not_left_to_the_sweep(
    turns: Turns, client: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, client.gone = FakeTask("cases.4"), True

    def away(*_: Any, **_options: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(task, "send_task", away)
    with contextlib.ExitStack() as held:
        assert [taken(turns, held, "a") for _ in range(2)] == [True, True]
        with turn_tasks.turn(task, OWN, turns, line="a") as may_work:  # type: ignore[arg-type]
            assert may_work


class Lines:
    """Turns that only remember who waits again."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.joined: list[tuple[str, str]] = []
        self.fault = fault

    def join(self, line: str, case_id: str) -> None:
        if self.fault:
            raise self.fault
        self.joined.append((line, case_id))


def test_a_case_whose_peer_is_away_waits_again_at_the_end_until_the_sweep_takes_it() -> None:
    task, lines = FakeTask("cases.4"), Lines()
    for times in range(turn_tasks.MOST_GIVEN_BACK):
        turn_tasks.give_back(task, OWN, lines)  # type: ignore[arg-type]
        sent = task.sent[-1]
        assert (sent["name"], sent["queue"], sent["kwargs"]) == (ASSESS, "cases.4", {"job": OWN.model_dump()})
        assert not {"eta", "countdown"} & sent.keys()
        assert sent["headers"][turn_tasks.GIVEN_BACK] == times + 1
        assert time.time() - sent["headers"]["sent_at"] < 60
        assert sent["headers"]["traceparent"] == "00-a-b-01"
        task.headers = sent["headers"]
    turn_tasks.give_back(task, OWN, lines)  # type: ignore[arg-type]
    assert len(task.sent) == len(lines.joined) == turn_tasks.MOST_GIVEN_BACK
    assert set(lines.joined) == {("a", "case_3")}


def test_the_sweep_takes_what_can_not_be_given_back() -> None:
    lost, away = FakeTask("cases", redelivered=True), FakeTask("cases")
    turn_tasks.give_back(lost, OWN, Lines())  # type: ignore[arg-type]
    turn_tasks.give_back(away, OWN, Lines(redis.ConnectionError()))  # type: ignore[arg-type]
    assert lost.sent == away.sent == []


def test_two_that_can_not_be_done_do_not_chase_each_other(turns: Turns, client: FakeRedis) -> None:
    with contextlib.ExitStack() as held:
        assert [taken(turns, held, line) for line in "abc"] == [True] * 3
        client.send("cases", ASSESS, CASE)
        client.send("cases", ASSESS, OWN)
        assert not turns.waited_for()
        client.send("cases", ASSESS, CASE.model_copy(update={"owner": "d"}))
        assert turns.waited_for()
        client.queues["cases"] = [b"not of Celery"]
        assert not turns.waited_for()


def test_of_the_queues_those_of_first_jobs_come_first_every_second_time() -> None:
    order = FirstsEverySecondTime()  # type: ignore[no-untyped-call]
    order.update(["cases", "cases.2", "cases.4", "scratch"])  # type: ignore[no-untyped-call]
    full = []
    for _ in range(8):
        full.append(order.consume(4)[0])  # type: ignore[no-untyped-call]
        order.rotate(full[-1])
    assert full == ["cases", "cases.2", "scratch", "cases.4", "cases", "cases.2", "scratch", "cases.4"]
    for used in ("cases.2", "cases.4", "cases.2"):  # where the first queues are empty
        order.rotate(used)
        assert order.consume(2) == ["cases", "scratch"]  # type: ignore[no-untyped-call]


def test_a_job_waits_a_moment_for_its_turn(turns: Turns) -> None:
    task, job = FakeTask("cases.4"), AssessJob(case_id="case_1", owner="a")
    held = contextlib.ExitStack()
    assert [taken(turns, held, "a") for _ in range(2)] == [True, True]
    threading.Timer(0.1, held.close).start()
    with turn_tasks.turn(task, job, turns, line="a") as may_work:
        assert may_work
    assert task.sent == []


def test_what_was_lost_with_its_worker_is_done_and_counted_and_never_given_back(turns: Turns) -> None:
    task, job = FakeTask("cases.4", redelivered=True), AssessJob(case_id="case_1", owner="a")
    with contextlib.ExitStack() as held:
        assert [held.enter_context(turn_tasks.turn(task, job, turns, line="a")) for _ in range(5)] == [True] * 5
    assert task.sent == []
