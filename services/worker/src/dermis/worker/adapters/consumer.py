"""Celery's consumer, back within seconds of the broker's return."""

import functools
from typing import Any

from celery.worker.consumer import Consumer

LONGEST_WAIT_S = 2


class PromptConsumer(Consumer):  # type: ignore[misc]
    """Asks every two seconds at the latest; kombu's own waits grow to 30 s, and no setting of Celery's changes them."""

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = functools.partial(
            conn.ensure_connection, interval_start=1, interval_step=1, interval_max=LONGEST_WAIT_S - 1
        )
        return super().ensure_connected(conn)
