"""Who read, erased and promoted what: `audit/<day>/<part>-<id>.ndjson`, one object per process and minute, ids alone.

Records are held for a minute, so that a process that is killed loses those of its last minute and no others; one that
is told to end writes what it has. An erasure and a promotion have durable records of their own beside it: the
tombstone, `promotions/`.
"""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from dermis.shared.errors import DermisError
from dermis.shared.ids import new_id
from dermis.shared.ports import BlobStore
from dermis.shared.telemetry import log

AUDIT_PREFIX = "audit/"
EVERY_SECONDS = 60.0
_MOST_HELD = 10_000


class Act(StrEnum):
    READ = "READ"
    ERASE = "ERASE"
    EXPIRE = "EXPIRE"
    EXPORT = "EXPORT"
    PROMOTE = "PROMOTE"


def now() -> datetime:
    return datetime.now(UTC)


class Audit:
    """Holds what was done and writes it each minute; the same thing done again within it is one record with `times`."""

    def __init__(self, store: BlobStore, part: str, *, clock: Callable[[], datetime] = now) -> None:
        self._store = store
        self._part = part
        self._clock = clock
        self._held: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._lost = 0

    def note(self, act: Act, *, by: str, **what: str | int) -> None:
        """Hold a record that `by` (a key's id, or a part) did `act`; `what` are ids and routes.

        Never fails, never waits for the store.
        """
        at = self._clock().isoformat(timespec="milliseconds")
        with self._lock:
            name = (act, by, *sorted(what.items()))
            if entry := self._held.get(name):
                entry |= {"last_at": at, "times": entry["times"] + 1}
            elif len(self._held) < _MOST_HELD:
                self._held[name] = {
                    "at": at,
                    "last_at": at,
                    "times": 1,
                    "act": act,
                    "by": by,
                    "part": self._part,
                    **what,
                }
            else:
                self._lost += 1

    def flush(self) -> None:
        """Write what is held; what the store refuses is held on."""
        with self._lock:
            pending, self._held, lost, self._lost = self._held, {}, self._lost, 0
        if lost:
            log.error("audit records lost", count=lost)
        if not pending:
            return
        key = f"{AUDIT_PREFIX}{self._clock():%Y-%m-%d}/{self._part}-{new_id('audit')}.ndjson"
        try:
            self._store.put_once(key, "".join(f"{json.dumps(record)}\n" for record in pending.values()).encode())
        except DermisError as error:
            log.warning("audit not written yet", reason=error.reason, count=len(pending))
            with self._lock:
                for name, since in self._held.items():
                    entry = pending.get(name)
                    pending[name] = (
                        {**entry, "last_at": since["last_at"], "times": entry["times"] + since["times"]}
                        if entry
                        else since
                    )
                self._held = pending
