"""The queues of cases and images as Redis holds them: in which order they are taken from, and whose jobs wait."""

import base64
import json
from collections.abc import Iterator

import redis
from kombu.utils.scheduling import round_robin_cycle

from dermis.shared.jobs import ASSESS, CASES_QUEUE, SCRATCH_QUEUE, AssessImageJob, AssessJob

FIRST_QUEUES = (CASES_QUEUE, SCRATCH_QUEUE)
"""Hold the first job of each line."""
_PEEKED = 16


class FirstsEverySecondTime(round_robin_cycle):
    """The order of the queues for kombu: the first queues and the others alternate, those of each kind in turn.

    So a first job waits for one of the others at most, and these get every second process that is free.
    """

    def rotate(self, last_used: str) -> str:
        super().rotate(last_used)  # type: ignore[no-untyped-call]
        self.items.sort(key=lambda queue: (queue in FIRST_QUEUES) is (last_used in FIRST_QUEUES))
        return last_used


def waiting_lines(client: "redis.Redis") -> Iterator[str]:
    """Yield the lines of the jobs that wait longest in the first queues."""
    pipe = client.pipeline(transaction=False)
    for queue in FIRST_QUEUES:
        pipe.lrange(queue, -_PEEKED, -1)
    for messages in pipe.execute():
        yield from map(_line, messages)


def _line(message: bytes) -> str:
    """Return the line of a job, "" if it has none, from a message of Celery's protocol 2 in kombu's envelope."""
    envelope = json.loads(message)
    _, arguments, _ = json.loads(base64.b64decode(envelope["body"]))
    if envelope["headers"]["task"] == ASSESS:
        return AssessJob.model_validate(arguments["job"]).turn_of
    return AssessImageJob.model_validate(arguments["job"]).line
