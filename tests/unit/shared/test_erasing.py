"""What is erased is gone, also where nothing more can be written before something is deleted."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dermis.shared.batches import batch_erased_key, batch_key, open_batch_key
from dermis.shared.case import case_key, fact_key, open_key
from dermis.shared.erasing import RETAINED_BATCHES, erase, erase_batch
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ports import BlobStore
from dermis.shared.stores.memory import MemoryStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class FullStore(MemoryStore):
    """Takes nothing new, once it is full, until something was deleted; what it keeps back is used up."""

    full = False

    def put_once(self, key: str, data: bytes, *, reserved: bool = False) -> bool:
        if self.full and key not in self._objects:
            raise DermisError(Kind.FULL, "STORE_FULL", "the store has no space")
        return super().put_once(key, data, reserved=reserved)

    def delete(self, key: str, *, generation: int | None = None) -> None:
        self.full &= key not in self._objects
        super().delete(key, generation=generation)


def erase_case(store: BlobStore, case_id: str) -> None:
    erase(store, owner="public", case_id=case_id, at=NOW)


def erase_a_batch(store: BlobStore, batch_id: str) -> None:
    erase_batch(store, batch_id, at=NOW)


CASE, BATCH = "case_01k9anw0rye7gvfhd5wbzcpzph", "batch_01k9anw0rye7gvfhd5wbzcpzph"


@pytest.mark.parametrize(
    ("erasing", "thing_id", "folder", "left"),
    [
        (erase_case, CASE, case_key("public", CASE), {fact_key("public", CASE, "erased"), open_key(CASE)}),
        (erase_a_batch, BATCH, batch_key(BATCH), {batch_erased_key(BATCH), open_batch_key(BATCH)}),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_only_the_tombstone_and_the_marker_stay(
    erasing: Callable[[BlobStore, str], None], thing_id: str, folder: str, left: set[str], full: bool
) -> None:
    store = FullStore()
    for name in ("received.json", "rows.ndjson", "manifest.json", "rows/1/done", "images/1/profile", "redelivered/1-1"):
        store.put_once(f"{folder}/{name}", b"x")
    if erasing is erase_a_batch:
        store.put_once(f"{RETAINED_BATCHES}{BATCH}", b"{}")
    store.full = full
    erasing(store, thing_id)
    assert set(store.list("")) == left
