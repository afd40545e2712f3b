"""Measures the images of a profile shard by shard, by workers or here; a finished shard is not measured again."""

import hashlib
import json
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import cv2
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from dermis.data.images.gate import load_gate
from dermis.shared.errors import DermisError, Kind
from dermis.shared.jobs import (
    IMAGES_SHARD,
    SHARDS_QUEUE,
    ShardJob,
    ShardList,
    shard_failed_key,
    shard_list_key,
    shard_result_key,
)
from dermis.shared.ports import BlobConflict, BlobStore
from dermis.shared.stores import open_store
from dermis.worker.core.quality import Policy
from dermis.worker.core.shard import COLUMNS, Row, as_lines, from_lines, rows, worker_lost

SHARD_SIZE = 16
"""Images of a shard: with large images far away it still ends well within a worker's time limit."""
WINDOW = 64
"""Shards sent and not yet done: what a stopped command leaves in the queue at most."""
_SOCKET_SECONDS = 2.0
_FAULTS = (redis.RedisError, OperationalError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """A profile's shards; `id` follows from what is measured, so that the same command goes on where it was stopped."""

    id: str
    listed: ShardList


def make_plan(source: str, keys: Sequence[str], policy: Policy, *, size: int = SHARD_SIZE) -> ShardPlan:
    """Return the plan to measure `keys`, which are there, in the store at `source`."""
    gate = load_gate().id
    listed = ShardList(
        source=source, quality_policy=policy.model_dump(mode="json"), size=size, keys=tuple(keys), skin_gate=gate
    )
    text = json.dumps([COLUMNS, source, policy.id, gate, size, list(keys)], separators=(",", ":"))
    return ShardPlan(id=f"images_{hashlib.sha256(text.encode()).hexdigest()[:24]}", listed=listed)


def begin(store: BlobStore, plan: ShardPlan) -> set[int]:
    """Put the plan into the store if it is not there; return the shards that have no result yet."""
    store.put_once(shard_list_key(plan.id), plan.listed.model_dump_json().encode())
    return set(range(plan.listed.shards)) - _done(store, plan)


def collect(store: BlobStore, plan: ShardPlan) -> list[Row]:
    """Return a row per image in the plan's order; INTERNAL if the results don't hold each image exactly once."""
    rows = [row for n in range(plan.listed.shards) for row in from_lines(store.get(shard_result_key(plan.id, n)))]
    if [row["image"] for row in rows] != list(plan.listed.keys):
        raise DermisError(
            Kind.INTERNAL,
            "SHARD_RESULTS",
            f"profiles/{plan.id}/results do not fit its list: delete profiles/{plan.id}/",
        )
    return rows


def measure_here(
    store_url: str, plan: ShardPlan, todo: Iterable[int], *, processes: int, step: Callable[[int], None]
) -> None:
    """Measure shards on this machine, `step` called with the number of images of each as it is done.

    Where a process is lost, what it may have had in work is done again image by image, so that the one at fault is
    named.
    """
    left = set(todo)
    with suppress(BrokenProcessPool), _pool(processes) as pool:
        jobs = {pool.submit(_measure, store_url, plan.id, n): n for n in sorted(left)}
        try:
            for done in as_completed(jobs):
                step(done.result())
                left.discard(jobs[done])
        finally:
            pool.shutdown(cancel_futures=True)  # what is under way is finished, what is not begun is left
    for n in sorted(left):
        step(_measure_image_by_image(store_url, plan, n))


def _measure_image_by_image(store_url: str, plan: ShardPlan, n: int) -> int:
    """Measure a shard with a process that is replaced where an image takes it along; return the number of images."""
    keys = plan.listed.shard(n)
    measured: list[bytes] = []
    while len(measured) < len(keys):
        with _pool(1) as pool:
            try:
                for key in keys[len(measured) :]:
                    measured.append(pool.submit(_lines, store_url, plan.id, key).result())  # noqa: PERF401 (what is done stands if the pool breaks)
            except BrokenProcessPool:
                measured.append(as_lines([worker_lost(keys[len(measured)])]))
    with suppress(BlobConflict):
        open_store(store_url).put_once(shard_result_key(plan.id, n), b"".join(measured))
    return len(keys)


def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"), initializer=_start_process)


def _start_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command's to answer
    cv2.setNumThreads(1)


def _measure(store_url: str, plan_id: str, n: int) -> int:
    store, listed, source, policy = _opened(store_url, plan_id)
    keys = listed.shard(n)
    with suppress(BlobConflict):  # an image was replaced while another measured it too: the first result stands
        store.put_once(shard_result_key(plan_id, n), as_lines(rows(keys, source.get, policy, load_gate())))
    return len(keys)


def _lines(store_url: str, plan_id: str, key: str) -> bytes:
    _, _, source, policy = _opened(store_url, plan_id)
    return as_lines(rows([key], source.get, policy, load_gate()))


@cache
def _opened(store_url: str, plan_id: str) -> tuple[BlobStore, ShardList, BlobStore, Policy]:
    store = open_store(store_url)
    listed = ShardList.model_validate_json(store.get(shard_list_key(plan_id)))
    return store, listed, open_store(listed.source), Policy.model_validate(listed.quality_policy)


class ShardQueue(Protocol):
    def send(self, job: ShardJob) -> bool:
        """Send a job; False if the queue can't be reached now."""
        ...

    def waiting(self) -> int | None:
        """Return how many jobs nobody has taken up yet, None if the queue can't be reached now."""
        ...


class RedisShardQueue:
    """The workers' queue `shards` on Redis; makes its messages by name, so it shares no code with the workers."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, socket_connect_timeout=_SOCKET_SECONDS, socket_timeout=_SOCKET_SECONDS)
        self._app = Celery("dermis.trainer", broker=url, set_as_current=False)
        self._app.conf.update(
            broker_transport_options={
                "socket_connect_timeout": _SOCKET_SECONDS,
                "socket_timeout": _SOCKET_SECONDS,
                "max_retries": 0,
            },
            task_ignore_result=True,
        )

    def send(self, job: ShardJob) -> bool:
        try:
            self._app.send_task(IMAGES_SHARD, kwargs={"job": job.model_dump()}, queue=SHARDS_QUEUE, retry=False)
        except _FAULTS:
            return False
        return True

    def waiting(self) -> int | None:
        try:
            return int(self._redis.llen(SHARDS_QUEUE))
        except _FAULTS:
            return None

    def close(self) -> None:
        self._redis.close()
        self._app.close()


def measure_by_workers(
    store: BlobStore,
    queue: ShardQueue,
    plan: ShardPlan,
    todo: Iterable[int],
    *,
    step: Callable[[int], None],
    say: Callable[[str], None],
    resend_after: float,
    poll: float = 0.5,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Have workers measure shards and wait for their results in the store.

    At most `WINDOW` are under way. Where none has come for `resend_after` seconds and the queue is empty, those under
    way are lost, with Redis or with a worker, and sent again: a result is put once, so it does no harm if they were
    not.
    UNAVAILABLE, with the reasons, if shards could not be measured; the others are done then.
    """
    ahead = sorted(todo, reverse=True)
    for kind in ("failed", "redelivered"):
        for key in list(store.list(f"profiles/{plan.id}/{kind}/")):
            store.delete(key)
    under_way: set[int] = set()
    failed: dict[int, str] = {}
    progress = clock()
    while ahead or under_way:
        while ahead and len(under_way) < WINDOW:
            if not queue.send(ShardJob(profile_id=plan.id, shard=ahead[-1])):
                say("the broker can't be reached; trying again")
                break
            under_way.add(ahead.pop())
        sleep(poll)
        began = clock()
        finished = under_way & _done(store, plan)
        lost = (under_way & _numbers(store, f"profiles/{plan.id}/failed/")) - finished
        failed |= {n: store.get(shard_failed_key(plan.id, n)).decode() for n in lost}
        for n in sorted(finished):
            step(len(plan.listed.shard(n)))
        under_way -= finished | lost
        now = clock()
        if finished or lost:
            progress = now
        elif now - progress > resend_after:
            progress = now
            if (waiting := queue.waiting()) == 0:
                say(f"no result for {resend_after:g} s: {len(under_way)} shards are sent again")
                ahead += sorted(under_way, reverse=True)
                under_way.clear()
            else:
                say(f"no result for {resend_after:g} s" + (f": {waiting} shards wait for a worker" if waiting else ""))
        poll = max(poll, 5 * (now - began))  # a long list is not asked for all the time
    if failed:
        reasons = "; ".join(
            f"shard {n} ({plan.listed.shard(n)[0]} ...): {why}" for n, why in sorted(failed.items())[:5]
        )
        raise DermisError(
            Kind.UNAVAILABLE,
            "SHARDS_FAILED",
            f"{len(failed)} shards could not be measured; the others are done. {reasons}",
        )


def _done(store: BlobStore, plan: ShardPlan) -> set[int]:
    return _numbers(store, f"profiles/{plan.id}/results/")


def _numbers(store: BlobStore, prefix: str) -> set[int]:
    return {int(key.removeprefix(prefix).partition(".")[0]) for key in store.list(prefix)}
