"""Cases by order, state and time: every page once, whatever the window that it came from."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from dermis.shared.case import fact_key
from dermis.shared.ids import first_id, made_at, new_id
from dermis.shared.listing import ANY_CASE, Filter, Order, list_cases, owners
from dermis.shared.stores.memory import MemoryStore

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def store_of(ages: list[float]) -> tuple[MemoryStore, list[str]]:
    """A store with a case of each age in minutes, and their ids, the oldest first."""
    store = MemoryStore()
    ids = sorted(
        first_id("case", NOW - timedelta(minutes=age))[:-10] + new_id("case")[-10:] for age in ages
    )  # with other random bits, so that two of one millisecond differ
    for case_id in ids:
        store.put_once(fact_key("public", case_id, "received"), b"")
        store.put_once(f"cases/public/{case_id}/images/1/original", b"")
    return store, ids


def pages(store: MemoryStore, order: Order, size: int, wanted: Filter) -> Iterator[str]:
    after = ""
    while page := list(islice(list_cases(store, "public", now=NOW, after=after, order=order, wanted=wanted), size)):
        yield from (each.case_id for each in page)
        after = page[-1].case_id


AGES = st.lists(st.floats(-60, 3e6), max_size=12)


@given(AGES, st.integers(1, 5))
def test_the_newest_first_is_the_oldest_first_turned_round(ages: list[float], size: int) -> None:
    store, ids = store_of(ages)
    assert list(pages(store, Order.OLDEST, size, ANY_CASE)) == ids
    assert list(pages(store, Order.NEWEST, size, ANY_CASE)) == ids[::-1]


@given(AGES, st.floats(0, 3e6), st.floats(0, 3e6), st.sampled_from(Order), st.integers(1, 3))
def test_a_stretch_of_time_holds_what_was_received_in_it(
    ages: list[float], start: float, end: float, order: Order, size: int
) -> None:
    store, ids = store_of(ages)
    wanted = Filter(start=NOW - timedelta(minutes=start), end=NOW - timedelta(minutes=end))
    expected = [each for each in ids if wanted.start <= made_at(each) < wanted.end]  # type: ignore[operator]
    assert list(pages(store, order, size, wanted)) == expected[:: 1 if order == Order.OLDEST else -1]


def test_a_page_of_new_cases_reads_few_of_many_old_ones() -> None:
    store, ids = store_of([*(1e5 + n for n in range(300)), *(n / 10 for n in range(5))])
    listing, read = store.list, []

    def counted(prefix: str, *, after: str = "") -> Iterator[str]:
        for key in listing(prefix, after=after):
            read.append(key)
            yield key

    store.list = counted  # type: ignore[method-assign]
    page = list(islice(list_cases(store, "public", now=NOW, order=Order.NEWEST), 5))
    assert [each.case_id for each in page] == ids[:-6:-1]
    assert len(read) <= 10


def test_owners_are_those_who_have_cases() -> None:
    store, _ = store_of([1, 2])
    for owner in ("key_0", "key_00", "session_1"):
        store.put_once(fact_key(owner, new_id("case"), "received"), b"")
    assert list(owners(store)) == ["key_0", "key_00", "public", "session_1"]
