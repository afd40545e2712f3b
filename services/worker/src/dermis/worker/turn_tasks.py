"""Has a job wait a moment for its turn, and gives it back to its queue where that, or a peer, doesn't come."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import MappingProxyType
from typing import Any

import redis
from celery import Task
from kombu.exceptions import OperationalError
from pydantic import BaseModel

from dermis.shared.jobs import SENT_AT, AssessJob
from dermis.shared.telemetry import log
from dermis.worker.adapters.queues import FIRST_QUEUES
from dermis.worker.adapters.turns import Turns

LOOK_S = 0.02
LONGEST_S = 0.5
GIVEN_BACK = "dermis-given-back"
"""Header of a job: how often it was given back as a peer was away."""
MOST_GIVEN_BACK = 20
"""Each takes the two seconds of the tries inside a task; then the sweep looks after a case that has still to wait."""


@contextmanager
def turn(task: "Task[Any, Any]", job: BaseModel, turns: Turns, *, line: str = "") -> Iterator[bool]:
    """Give whether the job may be done now; if not, it is at the end of its queue again.

    One that comes a second time, as its worker was lost, is always done: given back, it would no longer count as lost.
    So is one that can't be given back as Redis is away, which would be left to the sweep.
    """
    delivery = task.request.delivery_info or {}
    if delivery.get("redelivered"):
        yield True
        return
    queue, begun = str(delivery.get("routing_key", "")), time.monotonic()
    while time.monotonic() - begun < LONGEST_S:
        with turns.take(line, first=queue in FIRST_QUEUES) as may_work:
            if may_work:
                yield True
                return
        if turns.waited_for():
            break
        time.sleep(LOOK_S)
    try:
        _send_again(task, job, queue)
    except OperationalError as fault:
        log.warning("job not given back, done out of turn", fault=type(fault).__name__)
        yield True
        return
    yield False


def give_back(task: "Task[Any, Any]", job: AssessJob, turns: Turns) -> None:
    """Put a case whose peers are away at the end of its queue and its line; after a while it is left to the sweep.

    Likewise one that was lost with its worker, as it would no longer count as lost, and any while Redis is away.
    """
    delivery, times = task.request.delivery_info or {}, (task.request.headers or {}).get(GIVEN_BACK, 0.0)
    if delivery.get("redelivered") or times >= MOST_GIVEN_BACK:
        return
    try:
        turns.join(job.turn_of, job.case_id)
        changes = {GIVEN_BACK: times + 1.0, SENT_AT: time.time()}
        _send_again(task, job, str(delivery.get("routing_key", "")), changes)
    except (OperationalError, redis.RedisError) as fault:
        log.warning("case not given back", fault=type(fault).__name__)


def _send_again(
    task: "Task[Any, Any]", job: BaseModel, queue: str, changes: Mapping[str, float] = MappingProxyType({})
) -> None:
    request = task.request
    headers = {name: value for name, value in (request.headers or {}).items() if isinstance(value, str | float)}
    headers |= changes
    expires = datetime.fromisoformat(request.expires) if isinstance(request.expires, str) else request.expires
    task.app.send_task(str(task.name), kwargs={"job": job.model_dump()}, queue=queue, headers=headers, expires=expires)
