"""A step that lost its worker, done again row by row, so that the row that takes the worker with it is named and the others are done."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from dermis.shared.ports import BlobConflict, BlobNotFound, BlobStore

MOST_LOSSES = 2
"""Workers that a row may take with it, alone in work, before it is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowByRow:
    """Rows below `prefix` of the store: each is noted before it is begun and kept once it is done, until the step is."""

    store: BlobStore
    prefix: str

    def run(self, rows: range, do: Callable[[int], bytes], lost: Callable[[int], bytes]) -> Iterator[bytes]:
        """Yield what each row came to, by `do`, or by `lost` where it cost its workers; what is done is not done again."""
        for n in rows:
            try:
                yield self.store.get(self._done(n))
            except BlobNotFound:
                yield self._once(n, do, lost)

    def keep(self, n: int, result: bytes) -> None:
        """Keep what a row came to; what was kept first stands."""
        with suppress(BlobConflict):
            self.store.put_once(self._done(n), result)

    def clear(self, *rows: int) -> None:
        """Remove what was noted of these rows, or of all."""
        for prefix in [f"{self.prefix}/{n}/" for n in rows] or [f"{self.prefix}/"]:
            for key in list(self.store.list(prefix)):
                self.store.delete(key)

    def _once(self, n: int, do: Callable[[int], bytes], lost: Callable[[int], bytes]) -> bytes:
        losses, begun = 0, self._begun(n, 0)
        while not self.store.put_once(begun, b"{}"):
            losses += 1
            begun = self._begun(n, losses)
        try:
            result = lost(n) if losses >= MOST_LOSSES else do(n)
        except BaseException:
            self.store.delete(begun)  # the worker lives: an outage or a time limit says nothing of the row
            raise
        self.keep(n, result)
        return result

    def _done(self, n: int) -> str:
        return f"{self.prefix}/{n}/done"

    def _begun(self, n: int, losses: int) -> str:
        return f"{self.prefix}/{n}/begun-{losses}"
