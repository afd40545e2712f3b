"""The sweep's look at batches.

It sends steps again that were lost, and ends what is left of those that are done or erased.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel

from dermis.shared.backoff import delay
from dermis.shared.batches import (
    OPEN_BATCHES,
    BatchErased,
    BatchJob,
    BatchManifest,
    batch_erased_key,
    batch_key,
    batch_manifest_key,
    open_batch_key,
    steps_in,
)
from dermis.shared.erasing import clear_batch
from dermis.shared.errors import DermisError
from dermis.shared.ports import BlobNotFound, BlobStore
from dermis.shared.queue import Queue
from dermis.shared.telemetry import log
from dermis.sweep.core.decide import CaseAction, SweepPolicy, is_expired
from dermis.sweep.faults import Faults
from dermis.sweep.waits import Waits

M = TypeVar("M", bound=BaseModel)
_LONGEST_WAIT_S = 900.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How many steps were done, since when there are no more, and how often the missing ones were sent again."""

    done: int
    since: datetime
    resent: int = 0


class BatchSweep:
    """Looks at all open batches each time; remembers, while it runs, how far each was."""

    def __init__(
        self,
        store: BlobStore,
        queue: Queue,
        policy: SweepPolicy,
        faults: Faults | None = None,
        waits: Waits | None = None,
    ) -> None:
        self._waits = waits or Waits()
        self._store = store
        self._queue = queue
        self._policy = policy
        self._faults = faults or Faults()
        self._progress: dict[str, Progress] = {}

    def look(self, now: datetime, *, in_doubt: bool = False) -> Counter[CaseAction]:
        """Look once and return what was done; `now` is the time by the store. A fault of one batch is survived.

        Nothing is discarded while the clock is `in_doubt`.
        """
        done: Counter[CaseAction] = Counter()
        keys = set(self._store.list(OPEN_BATCHES))
        self._waits.keep(OPEN_BATCHES, keys)
        ids = sorted(key.removeprefix(OPEN_BATCHES) for key in keys)
        self._progress = {batch_id: progress for batch_id, progress in self._progress.items() if batch_id in ids}
        for batch_id in ids:
            with self._faults.survived(batch_manifest_key(batch_id)):
                done[self._look_at(batch_id, now, in_doubt)] += 1
        return done

    def _look_at(self, batch_id: str, now: datetime, in_doubt: bool) -> CaseAction:
        erased = self._get(batch_erased_key(batch_id), BatchErased)
        if erased:  # kept for so long, as a worker may be at a step, and be lost after its last put
            self._waits.note_erased(open_batch_key(batch_id), erased.erased_at)
            if abs(now - erased.erased_at) < self._policy.resend_after:
                return CaseAction.WAIT
            action = self._discard(batch_id)
            self._waits.cleared(open_batch_key(batch_id), now)
            return action
        manifest = self._get(batch_manifest_key(batch_id), BatchManifest)
        if manifest is None:
            after, opened_at = self._policy.incomplete_after, self._store.written_at(open_batch_key(batch_id))
            over = is_expired(batch_id, now=now, after=after) and now - opened_at >= after
            return self._discard(batch_id) if over and not in_doubt else CaseAction.WAIT
        closed = steps_in(self._store.list(f"{batch_key(batch_id)}/results/")) | steps_in(
            self._store.list(f"{batch_key(batch_id)}/failed/")
        )
        if len(closed) == manifest.steps:
            self._store.delete(f"{OPEN_BATCHES}{batch_id}")
            return CaseAction.CLOSE
        return self._send_again(manifest, closed, now)

    def _send_again(self, manifest: BatchManifest, closed: set[int], now: datetime) -> CaseAction:
        """Send what is missing if nothing waits and nothing was done for `resend_after`: then no worker has it.

        It waits longer each time.
        """
        progress = self._progress.get(manifest.batch_id)
        if progress is None or progress.done != len(closed):
            self._progress[manifest.batch_id] = Progress(len(closed), now)
            return CaseAction.WAIT
        wait = delay(progress.resent + 1, first=self._policy.resend_after.total_seconds(), longest=_LONGEST_WAIT_S)
        if abs(now - progress.since).total_seconds() < wait or self._is_waiting():
            return CaseAction.WAIT
        for step in range(manifest.steps):
            if step not in closed:
                self._queue.send_step(BatchJob(batch_id=manifest.batch_id, step=step))
        self._progress[manifest.batch_id] = Progress(len(closed), now, progress.resent + 1)
        return CaseAction.RESEND

    def _is_waiting(self) -> bool:
        """Return whether steps wait in the queue.

        Where that can't be asked they count as waiting, so that the rest of the look goes on.
        """
        try:
            return bool(self._queue.waiting_steps())
        except DermisError as error:
            log.warning("no step is sent again", reason=error.reason, detail=error.detail)
            return True

    def _discard(self, batch_id: str) -> CaseAction:
        clear_batch(self._store, batch_id)
        self._store.delete(f"{OPEN_BATCHES}{batch_id}")
        return CaseAction.DISCARD

    def _get(self, key: str, kind: type[M]) -> M | None:
        try:
            return kind.model_validate_json(self._store.get(key))
        except BlobNotFound:
            return None
