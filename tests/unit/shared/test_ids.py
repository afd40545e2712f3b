from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typeid import TypeID
from uuid_utils import UUID

from dermis.shared.ids import after_ids, first_id, is_id, made_at, new_id, new_secret_id


def test_ids_are_typed_unique_and_in_order_of_time() -> None:
    ids = [new_id("case") for _ in range(2000)]
    assert all(is_id("case", each) for each in ids)
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert new_id("batch").startswith("batch_")


def test_all_of_a_secret_id_but_its_time_is_random() -> None:
    ids = [new_secret_id("upload") for _ in range(2000)]
    assert all(is_id("upload", each) for each in ids)
    assert all(abs(made_at(each) - datetime.now(UTC)) < timedelta(minutes=1) for each in ids)
    numbers = [TypeID.from_string(each).uuid.int for each in ids]
    assert {number >> 76 & 0xF for number in numbers} == {7}
    assert {number >> 62 & 0x3 for number in numbers} == {2}
    free = [bit for bit in range(76) if bit not in (62, 63)]
    for bit in free:
        assert 800 < sum(number >> bit & 1 for number in numbers) < 1200, bit
    stems = [number >> 32 & (1 << 44) - 1 for number in numbers]
    assert len(set(stems)) == len(stems), "of one millisecond, too"


def test_an_id_of_another_kind_is_none_of_this_kind() -> None:
    assert not is_id("case", new_id("batch"))
    assert not is_id("cas", new_id("case"))


GOOD = "01jd3v2e8jf6ar8m2zq0n5w1xk"


def test_the_example_is_an_id() -> None:
    assert is_id("case", f"case_{GOOD}")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "case_",
            GOOD,
            f"case{GOOD}",
            f"case-{GOOD}",
            f"CASE_{GOOD}",
            f"case_{GOOD.upper()}",
            f"case_{GOOD}\n",
            f" case_{GOOD}",
        ),
        *(
            f"case_{GOOD[:-1]}",
            f"case_{GOOD}0",
            f"case_8{GOOD[1:]}",
            f"case_{GOOD[:-1]}u",
            f"case_{GOOD[:-1]}/",
            "case_" + "../" * 8 + "aa",
        ),
    ],
)
def test_what_is_no_id(text: str) -> None:
    assert not is_id("case", text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_ids_of_a_millisecond_stand_between_its_first_and_what_comes_after_them(at: datetime) -> None:
    first, end = first_id("case", at), after_ids("case", at)
    last = str(TypeID.from_uuid(UUID(int=TypeID.from_string(first).uuid.int | ((1 << 80) - 1)), prefix="case"))
    later = first_id("case", at + timedelta(milliseconds=1))
    assert first <= last < end < later
    assert abs(made_at(first) - at) < timedelta(milliseconds=1)
