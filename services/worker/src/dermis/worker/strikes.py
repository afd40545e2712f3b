"""Workers that were lost at images: marks in the store, put before decoding begins and removed after it."""

import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore

WORKER_LOST = "WORKER_LOST"


class WorkerLost(DermisError):
    """Too many workers were lost at these images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strikes:
    """The marks that this worker puts and meets; each outlives Redis and this process.

    One thread puts and removes them, in order: a time limit that ends the task leaves no mark behind, and no case waits
    for the removal.
    """

    store: BlobStore
    longest: timedelta = timedelta(seconds=25)
    """No worker lives that looks at the images of one case for longer."""
    _own: bytes = field(default_factory=lambda: secrets.token_hex(8).encode())
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="strikes"))

    @contextmanager
    def at_risk(self, place: str, *, most: int, redelivered: bool) -> Iterator[None]:
        """Keep a mark at `place` while the body looks at images; those that were there are of lost workers.

        `WorkerLost` if there are `most` of them. The job itself may have been sent several times, so where it was not
        `redelivered` and the last of them is young, others may be at it still: UNAVAILABLE.
        """
        mark = self._thread.submit(self._put, place)
        try:
            losses = mark.result()
            if losses >= most:
                if not redelivered and self._is_young(_key(place, losses - 1)):
                    raise DermisError(Kind.UNAVAILABLE, "IN_WORK", "other workers may be at these images")
                raise WorkerLost(Kind.INTERNAL, WORKER_LOST, "the worker was lost each time that it read these images")
            yield
        finally:
            self._thread.submit(self._remove, place, mark)

    def _put(self, place: str) -> int:
        """Put a mark and return how many others stand; one of this worker's own is taken again."""
        losses = 0
        while True:
            with suppress(BlobConflict):
                self.store.put_once(_key(place, losses), self._own, reserved=True)
                return losses
            losses += 1

    def _remove(self, place: str, mark: "Future[int]") -> None:
        with suppress(DermisError):
            self.store.delete(_key(place, mark.result()))

    def _is_young(self, key: str) -> bool:
        try:
            return self.store.clock() - self.store.written_at(key) < self.longest
        except BlobNotFound:  # removed: its worker was not lost
            return True


def _key(place: str, losses: int) -> str:
    return f"{place}-{losses + 1}"
