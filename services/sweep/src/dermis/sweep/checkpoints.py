"""Chains the audit: now and then a checkpoint names the digest of each object that none before it names.

Only after a checkpoint says from which day on records are kept are those of earlier days deleted, so that a verifier
can tell what was ended from what was taken out.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice, takewhile

from dermis.shared.audit import (
    AUDIT_PREFIX,
    CHECKPOINTS,
    AuditCheckpoint,
    checkpoint_key,
    day_of,
    digest_of,
    read_checkpoint,
)
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore
from dermis.sweep.core.decide import SweepPolicy
from dermis.sweep.faults import Faults

_MOST_NAMED = 5_000
"""Objects that a checkpoint names: others wait for the next look."""
_LATE = timedelta(days=2)
"""So long after its day an object is still looked for: a store that refused may take it late."""


class CheckpointSweep:
    """Makes checkpoints and ends what is over of the audit; remembers what the last ones named."""

    def __init__(self, store: BlobStore, policy: SweepPolicy, faults: Faults | None = None) -> None:
        self._store = store
        self._policy = policy
        self._faults = faults or Faults()
        self._last: tuple[AuditCheckpoint, str] | None = None
        self._named: set[str] = set()

    def look(self, now: datetime) -> int:
        """Make a checkpoint if it is time and there is something to name, then delete what is over; return how many.

        `now` is the time by the store. A checkpoint that can't be read is an error until an operator looks at it: the
        chain can't go on from there.
        """
        self._read_last()
        last = self._last[0] if self._last else None
        kept_from = max(f"{(now - self._policy.audit_for).date()}", last.kept_from if last else "")
        if last and last.complete and now - last.made_at < self._policy.checkpoint_every:
            return 0
        unnamed = list(islice(self._unnamed(last), _MOST_NAMED + 1))
        if unnamed or (last and kept_from > last.kept_from and self._is_over(kept_from)):
            self._make(now, unnamed, kept_from)
        return self._end()

    def _read_last(self) -> None:
        """Read the checkpoints that were made since the last look, at first those that name what may come late."""
        after = checkpoint_key(self._last[0].number) if self._last else CHECKPOINTS
        newest: tuple[AuditCheckpoint, str] | None = None
        for key in reversed(list(self._store.list(CHECKPOINTS, after=after))):
            checkpoint, digest = read_checkpoint(self._store, key)
            newest = newest or (checkpoint, digest)
            if newest[0].complete and checkpoint.made_at < newest[0].made_at - 2 * _LATE:
                break
            self._named |= checkpoint.objects.keys()
        self._last = newest or self._last

    def _unnamed(self, last: AuditCheckpoint | None) -> Iterator[str]:
        start = f"{(last.made_at - _LATE).date()}" if last and last.complete else ""
        self._named = {key for key in self._named if day_of(key) >= start}
        keys = takewhile(_is_of_a_day, self._store.list(AUDIT_PREFIX, after=f"{AUDIT_PREFIX}{start}"))
        return (key for key in keys if key not in self._named)

    def _is_over(self, kept_from: str) -> bool:
        first = next(self._store.list(AUDIT_PREFIX), None)
        return first is not None and _is_of_a_day(first) and day_of(first) < kept_from

    def _make(self, now: datetime, unnamed: list[str], kept_from: str) -> None:
        objects = {}
        for key in unnamed[:_MOST_NAMED]:
            with self._faults.survived(key), suppress(BlobNotFound):
                objects[key] = digest_of(self._store.get(key))
        last = self._last[0] if self._last else None
        checkpoint = AuditCheckpoint(
            number=last.number + 1 if last else 1,
            made_at=now,
            previous=self._last[1] if self._last else "",
            objects=objects,
            kept_from=kept_from,
            first=self._first_kept(last, kept_from),
            complete=len(unnamed) <= _MOST_NAMED,
        )
        data = checkpoint.model_dump_json().encode()
        with suppress(BlobConflict):  # another sweep was first; the next look goes on from its
            self._store.put_once(checkpoint_key(checkpoint.number), data)
            self._last = checkpoint, digest_of(data)
            self._named |= objects.keys()

    def _first_kept(self, last: AuditCheckpoint | None, kept_from: str) -> int:
        """Return the first checkpoint that names an object of a day that is kept."""
        if last is None:
            return 1
        for number in range(last.first, last.number + 1):
            with suppress(BlobNotFound):
                checkpoint, _ = read_checkpoint(self._store, checkpoint_key(number))
                if any(day_of(key) >= kept_from for key in checkpoint.objects):
                    return number
        return last.number

    def _end(self) -> int:
        """Delete what the last checkpoint says is over; return how many objects."""
        if self._last is None:
            return 0
        last, ended = self._last[0], 0
        for prefix in (AUDIT_PREFIX, CHECKPOINTS):
            for key in takewhile(last.ends, self._store.list(prefix)):
                with self._faults.survived(key):
                    self._store.delete(key)
                    ended += 1
        return ended


def _is_of_a_day(key: str) -> bool:
    return day_of(key)[:1].isdigit()
