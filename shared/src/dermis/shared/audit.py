"""Records by ids who read, erased and promoted what, and changed webhooks.

Each process puts one object a minute, `audit/<day>/<part>-<id>.ndjson`. Records are held for a minute, so that a
process that is killed loses those of its last minute and no others; one that is told to end writes what it has. An
erasure and a promotion have durable records of their own beside it: the tombstone, `promotions/`.

Each object begins with a `ChainLink`, which names the digest of the one that its process put before, so that none of
them can be changed or taken out unseen. The sweep's checkpoints, `audit/checkpoints/<n>.json`, name all objects and
each other. Objects of older versions have no link.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import new_id
from dermis.shared.ports import BlobStore
from dermis.shared.telemetry import log

AUDIT_PREFIX = "audit/"
CHECKPOINTS = f"{AUDIT_PREFIX}checkpoints/"
EVERY_SECONDS = 60.0
_MOST_HELD = 10_000


class Act(StrEnum):
    READ = "READ"
    ERASE = "ERASE"
    EXPIRE = "EXPIRE"
    EXPORT = "EXPORT"
    PROMOTE = "PROMOTE"
    REVIEW = "REVIEW"
    BACKUP = "BACKUP"
    RESTORE = "RESTORE"
    WEBHOOK = "WEBHOOK"
    """A webhook was made or changed."""


class ChainLink(BaseModel):
    """The first line of an object: its name, which process put it, as which in turn, and SHA-256 of the one before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    process: str
    sequence: int
    previous: str


class AuditCheckpoint(BaseModel):
    """`audit/checkpoints/<n>.json`: SHA-256 of each object of the audit that no earlier checkpoint names.

    `previous`: SHA-256 of checkpoint n - 1. `kept_from`: records of earlier days were deleted, as their time was over;
    `first`: so were checkpoints before this one. `complete`: it names all that was there.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    made_at: datetime
    previous: str
    objects: dict[str, str]
    kept_from: str = ""
    first: int = 1
    complete: bool = True

    def ends(self, key: str) -> bool:
        """Return whether the time of an object of the audit was over when this was made, so that it may be gone."""
        if key.startswith(CHECKPOINTS):
            return key < checkpoint_key(self.first)
        return day_of(key) < self.kept_from


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def checkpoint_key(number: int) -> str:
    return f"{CHECKPOINTS}{number:08}.json"


def day_of(key: str) -> str:
    """Return the day of an object of the audit, "checkpoints" for one of those."""
    return key.removeprefix(AUDIT_PREFIX).partition("/")[0]


def link_of(data: bytes) -> ChainLink | None:
    """Return the link that an object of the audit begins with, None for one of an older version."""
    try:
        return ChainLink.model_validate_json(data.partition(b"\n")[0])
    except ValidationError:
        return None


def records_of(data: bytes) -> list[dict[str, Any]]:
    """Return the records of an object of the audit; a line that can't be read is none."""
    records = []
    for line in data.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "act" in record:
            records.append(record)
    return records


def last_checkpoint(store: BlobStore) -> tuple[AuditCheckpoint, str] | None:
    """Return the newest checkpoint and its SHA-256, the audit's head; None without one, INTERNAL if broken."""
    keys = list(store.list(CHECKPOINTS))
    return read_checkpoint(store, keys[-1]) if keys else None


def read_checkpoint(store: BlobStore, key: str) -> tuple[AuditCheckpoint, str]:
    """Return a checkpoint and its SHA-256; INTERNAL if it can't be read: the chain can't go on from there."""
    data = store.get(key)
    try:
        return AuditCheckpoint.model_validate_json(data), digest_of(data)
    except ValidationError:
        detail = f"{key} can't be read; `dermis audit verify`, then bring it back from a backup"
        raise DermisError(Kind.INTERNAL, "AUDIT_CHAIN", detail) from None


def now() -> datetime:
    return datetime.now(UTC)


class Audit:
    """Holds what was done and writes it each minute; the same thing done again within it is one record with `times`."""

    def __init__(self, store: BlobStore, part: str, *, clock: Callable[[], datetime] = now) -> None:
        self._store = store
        self._part = part
        self._clock = clock
        self._pending: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._lost = 0
        self._writing = threading.Lock()
        self._process = new_id("process")
        self._sequence = 0
        self._previous = ""
        self._unwritten: tuple[str, bytes] | None = None

    def note(self, act: Act, *, by: str, **what: str | int) -> None:
        """Hold a record that `by` (a key's id, or a part) did `act`; `what` are ids and routes.

        Never fails, never waits for the store.
        """
        at = self._clock().isoformat(timespec="milliseconds")
        with self._lock:
            name = (act, by, *sorted(what.items()))
            if entry := self._pending.get(name):
                entry |= {"last_at": at, "times": entry["times"] + 1}
            elif len(self._pending) < _MOST_HELD:
                self._pending[name] = {
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
        """Write what is held; what the store refuses is held on, and written again as it was before anything else."""
        with self._writing:
            if self._unwritten is None:
                self._unwritten = self._object()
            if self._unwritten is None:
                return
            key, data = self._unwritten
            try:
                self._store.put_once(key, data)
            except DermisError as error:
                log.warning("audit not written yet", reason=error.reason, detail=error.detail)
                return
            self._unwritten, self._previous = None, digest_of(data)

    def _object(self) -> tuple[str, bytes] | None:
        """Return the key and content of what is held, the link first; None if nothing is."""
        with self._lock:
            pending, self._pending, lost, self._lost = self._pending, {}, self._lost, 0
        if lost:
            log.error("audit records lost", count=lost)
        if not pending:
            return None
        self._sequence += 1
        name = f"{self._clock():%Y-%m-%d}/{self._part}-{new_id('audit')}.ndjson"
        link = ChainLink(name=name, process=self._process, sequence=self._sequence, previous=self._previous)
        lines = [link.model_dump_json(), *map(json.dumps, pending.values())]
        return f"{AUDIT_PREFIX}{name}", "".join(f"{line}\n" for line in lines).encode()
