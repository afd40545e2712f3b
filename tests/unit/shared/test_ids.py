import pytest

from dermis.shared.ids import is_id, new_id


def test_ids_are_typed_unique_and_in_order_of_time() -> None:
    ids = [new_id("case") for _ in range(2000)]
    assert all(is_id("case", each) for each in ids)
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert new_id("batch").startswith("batch_")


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
