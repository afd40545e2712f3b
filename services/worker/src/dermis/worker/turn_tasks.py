"""Gives a job back to its queue where it is not its turn."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from celery import Task
from pydantic import BaseModel

from dermis.shared.jobs import CASES_QUEUE, SCRATCH_QUEUE
from dermis.worker.adapters.turns import Turns

GIVE_BACK_S = 0.1
"""Wait before a job is given back: the longest that one who may work at once waits for this process."""
_FIRST = (CASES_QUEUE, SCRATCH_QUEUE)


@contextmanager
def turn(task: "Task[Any, Any]", job: BaseModel, turns: Turns, *, line: str = "") -> Iterator[bool]:
    """Give whether the job may be done now; if not, it is at the end of its queue again.

    One that comes a second time, as its worker was lost, is always done: given back, it would no longer count as lost.
    """
    delivery = task.request.delivery_info or {}
    if delivery.get("redelivered"):
        yield True
        return
    queue = str(delivery.get("routing_key", ""))
    with turns.take(line, first=queue in _FIRST) as may_work:
        yield may_work
    if not may_work:
        time.sleep(GIVE_BACK_S)
        _send_again(task, job, queue)


def _send_again(task: "Task[Any, Any]", job: BaseModel, queue: str) -> None:
    request = task.request
    headers = {name: value for name, value in (request.headers or {}).items() if isinstance(value, str | float)}
    expires = datetime.fromisoformat(request.expires) if isinstance(request.expires, str) else request.expires
    task.app.send_task(str(task.name), kwargs={"job": job.model_dump()}, queue=queue, headers=headers, expires=expires)
