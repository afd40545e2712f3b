"""What a spreadsheet does to a table is named by line, with what to do about it."""

import pytest

from dermis.shared.tables import CsvRow, TableError, check_ids, read_table


def test_a_table_is_read_by_line() -> None:
    table = read_table(b'\xef\xbb\xbfa,b\r\n"x\r\ny",1\r\nz,\r\n')
    assert table.header == ("a", "b")
    assert table.rows == (CsvRow(2, ("x\r\ny", "1")), CsvRow(4, ("z", "")))


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"", 1, "name the columns"),
        (b"a;b\n1;2\n", 1, "semicolons"),
        (b"a\tb\n1\t2\n", 1, "tabs"),
        (b"a,b\n1,2\n\n,\n , \n\n", 3, "blank (as are 2 others: 4, 5)"),
        (b"a,b\n1,2,3\n", 2, "3 cells instead of 2"),
        (b"a,b\n1,2\n1,\0\n", 3, "NUL"),
        ("a,b\n1,ü\n".encode("latin-1"), 2, "UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), 1, "UTF-8"),
        (b'a,b\n1,2\n1,"2\n', 3, "no CSV"),
    ],
)
def test_damage_is_named_with_its_line_and_a_remedy(data: bytes, line: int, words: str) -> None:
    with pytest.raises(TableError) as caught:
        read_table(data)
    assert caught.value.line == line
    assert words in str(caught.value)
    assert ":" in caught.value.remedy


@pytest.mark.parametrize(
    "ids",
    [
        ["1.26295E+18", "x"],
        ["-1,26295e18"],
        ["126295123456789000"],
        [f"1262951234567{n}0" for n in range(10, 14)],
        ["x", *[f"1262951234567{n}0000" for n in range(10, 13)], "1262951234567891234"],
    ],
)
def test_ids_that_became_numbers_are_named(ids: list[str]) -> None:
    with pytest.raises(TableError, match=r"line \d has '.*a spreadsheet has taken it for a number"):
        check_ids("name", ids, range(2, len(ids) + 2))


@pytest.mark.parametrize(
    "ids", [["100000000000000", "arm"], ["1262951234567890", "1262951234567891"], ["1262951234567890"], ["1E+"]]
)
def test_ids_that_happen_to_end_in_zeros_are_taken(ids: list[str]) -> None:
    check_ids("name", ids, range(2, len(ids) + 2))
