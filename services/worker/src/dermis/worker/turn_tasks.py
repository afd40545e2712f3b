"""Has a job wait a moment for its turn, and gives it back to its queue where that doesn't come."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from celery import Task
from pydantic import BaseModel

from dermis.worker.adapters.queues import FIRST_QUEUES
from dermis.worker.adapters.turns import Turns

LOOK_S = 0.02
LONGEST_S = 0.5


@contextmanager
def turn(task: "Task[Any, Any]", job: BaseModel, turns: Turns, *, line: str = "") -> Iterator[bool]:
    """Give whether the job may be done now; if not, it is at the end of its queue again.

    One that comes a second time, as its worker was lost, is always done: given back, it would no longer count as lost.
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
    yield False
    _send_again(task, job, queue)


def _send_again(task: "Task[Any, Any]", job: BaseModel, queue: str) -> None:
    request = task.request
    headers = {name: value for name, value in (request.headers or {}).items() if isinstance(value, str | float)}
    expires = datetime.fromisoformat(request.expires) if isinstance(request.expires, str) else request.expires
    task.app.send_task(str(task.name), kwargs={"job": job.model_dump()}, queue=queue, headers=headers, expires=expires)
