"""CSV tables (RFC 4180) as spreadsheets leave them.

What one has damaged is named by its line, with what to do about it.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

_LOST_AFTER = 15
"""Digits of a number that a spreadsheet keeps; it writes zeros for the rest."""
_CERTAIN = 3
"""Zeros in place of digits, all ids that could have them taken together, that are no accident: one in a thousand."""
_EXPONENT = re.compile(r"-?\d([.,]\d+)?E\+?\d+", re.IGNORECASE)
_SHOWN_LINES = 5


class TableError(ValueError):
    """A table that can't be read as it is; `line` counts from 1, None where it is the whole file."""

    def __init__(self, remedy: str, *, line: int | None = None) -> None:
        super().__init__(f"line {line} {remedy}" if line else remedy)
        self.remedy = remedy
        self.line = line


@dataclass(frozen=True, slots=True)
class CsvRow:
    """The cells of a row and the line that it starts on."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    header: tuple[str, ...]
    rows: tuple[CsvRow, ...]


def read_table(data: bytes) -> Table:
    """Read a table with a header; raises `TableError` where rows or cells would be lost or mean something else."""
    text = _text(data)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows, start = [], 1
    try:
        for cells in reader:
            rows.append(CsvRow(start, tuple(cells)))
            start = reader.line_num + 1
    except csv.Error as error:
        raise TableError(
            f"is no CSV ({error}): quote cells that hold a comma or a quotation mark", line=reader.line_num
        ) from None
    while rows and not rows[-1].cells:  # empty lines at the end
        rows.pop()
    if not rows or not any(rows[0].cells):
        raise TableError("is blank: name the columns in it", line=1)
    header = rows[0].cells
    if len(header) == 1 and (separator := next((each for each in ";\t" if each in header[0]), None)):
        name = {";": "semicolons", "\t": "tabs"}[separator]
        raise TableError(
            f"has {name} between the columns: save the table with commas ('CSV UTF-8, comma delimited')", line=1
        )
    _check_rows(header, rows[1:])
    return Table(header, tuple(rows[1:]))


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError("is not UTF-8: save the table as 'CSV UTF-8'", line=line) from None
    if (at := text.find("\0")) >= 0:
        raise TableError(
            "holds a NUL character: remove it, or export the table again as UTF-8", line=text.count("\n", 0, at) + 1
        )
    return text


def _check_rows(header: Sequence[str], rows: Sequence[CsvRow]) -> None:
    blank = [row.line for row in rows if not any(cell.strip() for cell in row.cells)]
    if blank:
        others = ", ".join(map(str, blank[1:_SHOWN_LINES])) + (", ..." if len(blank) > _SHOWN_LINES else "")
        more = f" (as are {len(blank) - 1} others: {others})" if len(blank) > 1 else ""
        raise TableError(
            f"is blank{more}: delete such rows, a spreadsheet leaves them where cells were emptied", line=blank[0]
        )
    for row in rows:
        if len(row.cells) != len(header):
            detail = (
                f"has {len(row.cells)} cells instead of {len(header)}: quote cells that hold a comma, and give "
                "each row all cells"
            )
            raise TableError(detail, line=row.line)


def check_ids(column: str, ids: Sequence[str], lines: Sequence[int]) -> None:
    """Raise `TableError` where a spreadsheet took ids for numbers.

    It shows them by an exponent, or keeps 15 digits of them.
    """
    remedy = (
        f"in column '{column}': a spreadsheet has taken it for a number; take the original table, and import the "
        "column as text"
    )
    for name, line in zip(ids, lines, strict=True):
        if _EXPONENT.fullmatch(name.strip()):
            raise TableError(f"has {name.strip()!r} {remedy}", line=line)
    long = [name.strip().lstrip("-") for name in ids]
    lost = [name[_LOST_AFTER:] if name.isdecimal() else "" for name in long]
    rounded = [at for at, digits in enumerate(lost) if digits and not digits.strip("0")]
    everyone = len(rounded) == sum(map(bool, lost)) and sum(len(lost[at]) for at in rounded) >= _CERTAIN
    certain = [at for at in rounded if len(lost[at]) >= _CERTAIN]
    if everyone or len(certain) > max(2, len(ids) / 100):
        first = (certain or rounded)[0]
        raise TableError(
            f"has {ids[first].strip()!r}, rounded like {len(rounded) - 1} others, {remedy}", line=lines[first]
        )
