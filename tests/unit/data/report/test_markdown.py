import re

import pytest

from dermis.data.report.markdown import markdown_table, with_measured


def test_every_cell_stands_as_it_is_and_no_bar_in_one_starts_another() -> None:
    lines = markdown_table(["", "a|b"], [["+0.10", "1,000"], ["x|y", ""]]).splitlines()
    assert [re.split(r" ?(?<!\\)\| ?", line)[1:-1] for line in (lines[0], *lines[2:])] == [
        ["", r"a\|b"],
        ["+0.10", "1,000"],
        [r"x\|y", ""],
    ]
    assert re.fullmatch(r"(\|-{3,})+\|", lines[1])


def test_a_table_without_rows_has_its_head() -> None:
    assert markdown_table(["a", "b"], []).splitlines()[0] == "| a | b |"


def test_columns_are_aligned_on_request() -> None:
    head, rule, row = markdown_table(["a", "n"], [["x", 1]], align=["left", "right"]).splitlines()
    assert rule.startswith("|:")
    assert rule.endswith(":|")
    assert (head.count("|"), row.count("|")) == (3, 3)


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="rows of \\[1\\] cells under 2 columns"):
        markdown_table(["a", "b"], [["x"]])


def test_what_is_measured_takes_the_place_of_what_was() -> None:
    first = with_measured("# Page\n\nProse.\n", "a", "one")
    assert first == "# Page\n\nProse.\n\n<!-- measured: a -->\n\none\n\n<!-- /measured -->\n"
    both = with_measured(first + "\nMore.\n", "b", "two")
    changed = with_measured(both, "a", "three")
    assert changed == both.replace("one", "three")
    assert with_measured("", "a", "one").startswith("<!-- measured: a -->")
