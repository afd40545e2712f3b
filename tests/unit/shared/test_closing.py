"""A failed attempt closes its case, and no later attempt."""

from datetime import UTC, datetime

import pytest

from dermis.shared.case import OpenCase, open_key
from dermis.shared.closing import close_attempt
from dermis.shared.stores.memory import MemoryStore

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def marker(attempt: int) -> bytes:
    return OpenCase(case_id="c", owner="public", opened_at=NOW, attempt=attempt).model_dump_json().encode()


@pytest.mark.parametrize(("standing", "stays"), [(1, False), (2, False), (3, True), (None, False), (0, False)])
def test_the_marker_of_a_later_attempt_alone_stays(standing: int | None, stays: bool) -> None:
    store = MemoryStore()
    if standing is not None:
        store.put_once(open_key("c"), marker(standing) if standing else b"broken")
    close_attempt(store, case_id="c", attempt=2)
    assert [*store.list("")] == ([open_key("c")] if stays else [])


def test_one_that_is_opened_after_the_marker_was_read_stays() -> None:
    class Reopened(MemoryStore):
        def delete(self, key: str, *, generation: int | None = None) -> None:
            super().delete(key)
            self.put_once(key, marker(2))
            super().delete(key, generation=generation)

    store = Reopened()
    store.put_once(open_key("c"), marker(1))
    close_attempt(store, case_id="c", attempt=1)
    assert OpenCase.model_validate_json(store.get(open_key("c"))).attempt == 2
