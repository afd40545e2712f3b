"""A step that lost its worker, done again row by row.

The row that takes the worker with it is named, and the others are done.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial

from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore
from dermis.worker.limits import ComputedTooLong
from dermis.worker.ports import AtRisk
from dermis.worker.strikes import Strikes, WorkerLost

MOST_LOSSES = 2
"""Workers that a row may take with it, alone in work, before it is left out."""
Do = Callable[[int, AtRisk], bytes]
"""Does a row, of which it looks at the images under what it gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowByRow:
    """Rows below `prefix` of the store.

    Each has a mark while its images are looked at and is kept once it is done, until the step is.
    """

    strikes: Strikes
    prefix: str

    @property
    def store(self) -> BlobStore:
        return self.strikes.store

    def noted(self) -> bool:
        """Return whether rows are kept here, as a step broke off: it is gone on with row by row."""
        return any(True for _ in self.store.list(f"{self.prefix}/"))

    def run(self, rows: range, do: Do, lost: Callable[[int], bytes], *, careful: bool = True) -> Iterator[bytes]:
        """Yield what each row came to, by `do`, or by `lost` where it cost its workers; what is done is not done again.

        Where not `careful`, rows are kept only if the step breaks off, so that it comes to its end however often it
        does. A step that computed for too long is UNAVAILABLE if it came any further, to be gone on with.
        """
        fresh: dict[int, bytes] = {}
        try:
            for n in rows:
                result = self._result(n) if careful else None
                if result is None:
                    result = fresh[n] = self._once(n, do, lost) if careful else do(n, nullcontext)
                yield result
        except BaseException as fault:
            if not careful:
                with suppress(DermisError):
                    for n, result in fresh.items():
                        self.keep(n, result)
            if fresh and isinstance(fault, ComputedTooLong):
                raise DermisError(
                    Kind.UNAVAILABLE, "STEP_LONG", f"{len(fresh)} rows took all of its time; it is gone on with"
                ) from fault
            raise

    def keep(self, n: int, result: bytes) -> None:
        """Keep what a row came to; what was kept first stands."""
        with suppress(BlobConflict):
            self.store.put_once(self._done(n), result)

    def clear(self, *rows: int) -> None:
        """Remove what was noted of these rows, or of all."""
        for prefix in [f"{self.prefix}/{n}/" for n in rows] or [f"{self.prefix}/"]:
            for key in list(self.store.list(prefix)):
                self.store.delete(key)

    def _once(self, n: int, do: Do, lost: Callable[[int], bytes]) -> bytes:
        place = f"{self.prefix}/{n}/begun"
        try:
            result = do(n, partial(self.strikes.at_risk, place, most=MOST_LOSSES, redelivered=True))
        except WorkerLost:
            result = lost(n)
        self.keep(n, result)
        return result

    def _result(self, n: int) -> bytes | None:
        try:
            return self.store.get(self._done(n))
        except BlobNotFound:
            return None

    def _done(self, n: int) -> str:
        return f"{self.prefix}/{n}/done"
