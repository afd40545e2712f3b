"""The picture of a roll-out: nothing that went wrong stays out of its figures."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.system.cluster.picture import draw, roll_of


def case(due: float, wait_s: float | None, *, refused: int = 0) -> dict[str, Any]:
    return {
        "due": due,
        "wait_s": wait_s,
        "late_s": 0.2,
        "cut": 1,
        "refused": [{"at": due + 0.1, "why": "503"}] * refused,
    }


CASES = [*(case(1000 + n / 3, 0.5) for n in range(98)), case(1033, 9.5, refused=2), case(1034, None)]


def test_figures_count_refusals_and_lost_cases() -> None:
    roll = roll_of("upgrade", CASES, 1010.0, 1020.0)
    assert (len(roll.waits), len(roll.refusals), roll.lost, roll.cut) == (99, 2, 1, 100)
    assert (roll.p50_s, roll.longest_s, roll.done) == (0.5, 9.5, (10.0, 20.0))
    assert "2 refusals, 1 lost" in roll.figures()


def test_percentiles_are_of_the_cases_that_ended() -> None:
    roll = roll_of("upgrade", [case(1000 + n, float(n)) for n in range(101)] + [case(2000, None)], 1000.0, 1001.0)
    assert (roll.p50_s, roll.p99_s, roll.longest_s) == pytest.approx((50, 99, 100))


def test_each_column_has_its_bars_points_and_span_on_the_same_scales() -> None:
    calm = roll_of("after", CASES[:30], 1002.0, 1005.0)
    svg = ET.fromstring(draw([roll_of("before", CASES, 1010.0, 1020.0), calm]))  # noqa: S314
    name = "{http://www.w3.org/2000/svg}"
    columns = svg.findall(f"{name}g")
    assert [len(column.findall(f".//{name}circle")) for column in columns] == [99, 30]
    assert [column.find(f"{name}text").text for column in columns] == ["before", "after"]  # type: ignore[union-attr]
    tops = [[text.text for text in column.findall(f".//{name}text[@y='8']")] for column in columns]
    assert tops[0] == tops[1]


def test_a_load_whose_every_case_is_lost_has_no_picture_but_a_count() -> None:
    roll = roll_of("gone", [case(1000, None, refused=1)], 1000.0, 1001.0)
    assert roll.lost == 1
    assert "0 cases" in roll.figures()
    assert draw([roll]).startswith("<svg")
