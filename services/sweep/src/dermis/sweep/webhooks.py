"""The sweep's look at webhooks: sends word of what is due again, and deletes receipts and dead letters in time."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile

from dermis.shared.ports import BlobStore
from dermis.shared.queue import Queue
from dermis.shared.webhooks import (
    DEAD_KEPT_FOR,
    DEAD_PREFIX,
    DELIVERED_KEPT_FOR,
    DELIVERED_PREFIX,
    PENDING_PREFIX,
    DrainJob,
    due_of,
    endpoint_of,
    happened_before,
)
from dermis.sweep import metrics
from dermis.sweep.faults import Faults

GRACE = timedelta(seconds=10)
"""What became due within this time has word of its own on the way."""
_MOST_ENDED = 2000
"""Receipts and dead letters that are deleted in one look."""


class WebhookSweep:
    """Looks at the oldest delivery of each endpoint: one word an endpoint, however much waits there."""

    def __init__(self, store: BlobStore, queue: Queue, faults: Faults | None = None) -> None:
        self._store = store
        self._queue = queue
        self._faults = faults or Faults()

    def look(self, now: datetime) -> int:
        """Send word of each endpoint at which something is due, unless the last look's still waits; return how many."""
        latest = (now - GRACE).timestamp()
        due = [key for key in self._firsts(PENDING_PREFIX) if due_of(key) <= latest]
        metrics.webhooks_behind.set(max((now.timestamp() - due_of(key) for key in due), default=0))
        if not due or self._queue.waiting_drains() >= len(due):
            return 0
        for key in due:
            with self._faults.survived(key):
                self._queue.send_drain(DrainJob(endpoint_id=endpoint_of(key)))
        return len(due)

    def end(self, now: datetime) -> int:
        """Delete receipts and dead letters whose time is over; return how many."""
        ended = 0
        for prefix, kept_for in ((DELIVERED_PREFIX, DELIVERED_KEPT_FOR), (DEAD_PREFIX, DEAD_KEPT_FOR)):
            for first in self._firsts(prefix):
                folder = f"{prefix}{endpoint_of(first)}/"
                for key in takewhile(lambda key: happened_before(key, now - kept_for), self._store.list(folder)):  # noqa: B023
                    if ended == _MOST_ENDED:
                        return ended
                    with self._faults.survived(key):
                        self._store.delete(key)
                        ended += 1
        return ended

    def _firsts(self, prefix: str) -> Iterator[str]:
        """Yield the first key of each endpoint."""
        after = ""
        while key := next(iter(self._store.list(prefix, after=after)), None):
            yield key
            after = f"{prefix}{endpoint_of(key)}/~"
