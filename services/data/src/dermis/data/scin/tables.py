"""From the bytes of SCIN's two tables to one typed frame, a row per case.

Every fault names file, row, column, value and remedy.
"""

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dermis.data.scin.cells import Parser
from dermis.data.scin.columns import (
    ANY_OF,
    CASE_COLUMNS,
    CASES_FILE,
    LABEL_COLUMNS,
    LABELS_FILE,
    ONE_OF,
    OPTIONAL_COLUMNS,
    PERSONS_FILE,
    POOLS,
    SLOTS,
    flag_column,
)
from dermis.shared.errors import DermisError, Kind
from dermis.shared.tables import TableError, check_ids, read_table

SHOWN_FAULTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a table; `row` as a spreadsheet counts, the header being row 1."""

    file: str
    remedy: str
    row: int | None = None
    column: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        where = [
            self.file,
            *([f"row {self.row}"] if self.row else []),
            *([f"column {self.column}"] if self.column else []),
        ]
        what = f" = {self.value[:80]!r}" if self.value is not None else ""
        return f"{', '.join(where)}{what}: {self.remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScinTables:
    """The data set's rows.

    `original`: every cell as it was written, both tables merged on case_id. `cases`: the same rows, typed:
    `case_id`, `release`, `year`, the answers (a string or NaN; where several boxes could be ticked, a tuple, or None if
    none was), `combined_race`, `images` (tuple of (key, shot type or None)), `loose_shot_types` (shot types without a
    path), `gradable` (tuple of one answer per dermatologist), `names` and `confidences` (tuples, dermatologists in
    order), `weights` (dict), `efst` (tuple of 3, None where not given), `monk_us`, `monk_india` (Int64),
    `monk_gradable_us`, `monk_gradable_india` (boolean), `person` (whose case it is, None where nobody says).
    `digests`: SHA-256 of each table by file name.
    """

    original: pd.DataFrame
    cases: pd.DataFrame
    digests: Mapping[str, str]


def read_tables(cases: bytes, labels: bytes, persons: bytes | None = None) -> ScinTables:
    """Parse and join SCIN's tables; `persons`: the file that says which cases are of one person, where there is one.

    INVALID with all faults, the first 20 in words, if anything is not as documented.
    """
    faults: list[Fault] = []
    case_text = _rows(CASES_FILE, cases, CASE_COLUMNS, faults)
    label_text = _rows(LABELS_FILE, labels, LABEL_COLUMNS, faults)
    _stop_at(faults)
    case_values = _typed(CASES_FILE, case_text, CASE_COLUMNS, faults)
    label_values = _typed(LABELS_FILE, label_text, LABEL_COLUMNS, faults)
    faults += _id_faults(CASES_FILE, case_text["case_id"]) + _id_faults(LABELS_FILE, label_text["case_id"])
    _stop_at(faults)
    faults += _join_faults(case_text["case_id"], label_text["case_id"]) + _length_faults(label_values)
    _stop_at(faults)
    place = {case_id: row for row, case_id in enumerate(label_text["case_id"])}
    order = [place[case_id] for case_id in case_text["case_id"]]
    original = pd.DataFrame(case_text).merge(pd.DataFrame(label_text), on="case_id", validate="one_to_one")
    typed = _cases_frame(case_values).join(_labels_frame(label_values).iloc[order].reset_index(drop=True))
    person_of = _persons(persons, faults) if persons is not None else {}
    _stop_at(faults)
    typed["person"] = _objects(person_of.get(case_id) for case_id in case_text["case_id"])
    files = {CASES_FILE: cases, LABELS_FILE: labels, **({} if persons is None else {PERSONS_FILE: persons})}
    digests = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    return ScinTables(original=original, cases=typed, digests=digests)


def _rows(file: str, data: bytes, columns: Mapping[str, Parser], faults: list[Fault]) -> dict[str, list[str]]:
    try:
        table = read_table(data)
    except TableError as error:
        faults.append(Fault(file=file, row=error.line, remedy=error.remedy))
        return {}
    header, rows = table.header, [row.cells for row in table.rows]
    faults += _header_faults(file, header, columns)
    if not rows:
        faults.append(Fault(file=file, remedy="has no rows: download it again"))
    if faults:
        return {}
    return {name: list(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)}


def _header_faults(file: str, header: Sequence[str], columns: Mapping[str, Parser]) -> Iterator[Fault]:
    unknown = [name for name in header if name not in columns]
    for name in columns:
        if name not in header and name not in OPTIONAL_COLUMNS:
            close = difflib.get_close_matches(name, unknown, n=1)
            yield Fault(
                file=file,
                column=name,
                remedy="is missing" + (f": rename {close[0]!r}" if close else ": download the table again"),
            )
    for name in unknown:
        yield Fault(file=file, column=name, remedy="is not a column of SCIN 1.x: remove it")
    for name, count in Counter(header).items():
        if count > 1:
            yield Fault(file=file, column=name, remedy=f"stands {count} times: keep one")


def _typed(
    file: str, table: dict[str, list[str]], columns: Mapping[str, Parser], faults: list[Fault]
) -> dict[str, list[Any]]:
    return {name: _typed_column(file, name, column, columns[name], faults) for name, column in table.items()}


def _typed_column(file: str, name: str, column: list[str], parser: Parser, faults: list[Fault]) -> list[Any]:
    parsed: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for cell in dict.fromkeys(column):
        try:
            parsed[cell] = parser(cell)
        except ValueError as error:
            refused[cell] = str(error)
    if refused:
        faults += [
            Fault(file=file, row=row, column=name, value=cell, remedy=refused[cell])
            for row, cell in enumerate(column, start=2)
            if cell in refused
        ]
    return [parsed.get(cell) for cell in column]


def _persons(data: bytes, faults: list[Fault]) -> dict[str, str]:
    """Return whose each case is; a case that the tables do not hold changes nothing."""
    try:
        table = read_table(data)
    except TableError as error:
        faults.append(Fault(file=PERSONS_FILE, row=error.line, remedy=error.remedy))
        return {}
    if list(table.header) != ["case_id", "person"]:
        faults.append(Fault(file=PERSONS_FILE, row=1, remedy="its first row has to be case_id,person"))
        return {}
    return {row.cells[0]: row.cells[1] for row in table.rows}


def _id_faults(file: str, ids: list[str]) -> list[Fault]:
    first: dict[str, int] = {}
    faults = []
    for row, case_id in enumerate(ids, start=2):
        if first.setdefault(case_id, row) != row:
            remedy = f"stands in row {first[case_id]} too: keep one row per case"
            faults.append(Fault(file=file, row=row, column="case_id", value=case_id, remedy=remedy))
    try:
        check_ids("case_id", ids, range(2, len(ids) + 2))
    except TableError as error:
        faults.append(Fault(file=file, row=error.line, column="case_id", remedy=error.remedy))
    return faults


def _join_faults(cases: list[str], labels: list[str]) -> list[Fault]:
    return [
        Fault(
            file=file,
            row=row,
            column="case_id",
            value=case_id,
            remedy=f"has no row in {other}: both tables hold the same cases",
        )
        for file, ids, other, others in (
            (CASES_FILE, cases, LABELS_FILE, set(labels)),
            (LABELS_FILE, labels, CASES_FILE, set(cases)),
        )
        for row, case_id in enumerate(ids, start=2)
        if case_id not in others
    ]


def _length_faults(labels: Mapping[str, list[Any]]) -> list[Fault]:
    column = "dermatologist_skin_condition_confidence"
    pairs = zip(labels["dermatologist_skin_condition_on_label_name"], labels[column], strict=True)
    return [
        Fault(
            file=LABELS_FILE,
            row=row,
            column=column,
            value=str(list(confidences)),
            remedy=f"{len(confidences)} confidences for {len(names)} names: give one each",
        )
        for row, (names, confidences) in enumerate(pairs, start=2)
        if len(names) != len(confidences)
    ]


def _stop_at(faults: list[Fault]) -> None:
    if faults:
        lines = [str(fault) for fault in faults[:SHOWN_FAULTS]]
        more = [f"... and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else []
        raise DermisError(Kind.INVALID, "SCIN_TABLE", "\n".join([f"{len(faults)} faults:", *lines, *more]))


def _cases_frame(values: Mapping[str, list[Any]]) -> pd.DataFrame:
    frame = pd.DataFrame({name: values[name] for name in ("case_id", "release", "year")})
    for name in (*ONE_OF, "combined_race"):
        frame[name] = pd.Series(values[name], dtype="str")
    for question, options in ANY_OF.items():
        columns = [
            (option, values[flag_column(question, option)])
            for option in options
            if flag_column(question, option) in values
        ]
        frame[question] = _objects(
            tuple(str(option) for option, ticked in columns if ticked[row]) or None
            for row in range(len(values["case_id"]))
        )
    slots = [(values[f"image_{n}_path"], values[f"image_{n}_shot_type"]) for n in SLOTS]
    frame["images"] = _objects(
        tuple((paths[i], shots[i]) for paths, shots in slots if paths[i]) for i in range(len(frame))
    )
    frame["loose_shot_types"] = [
        sum(bool(shots[i]) and not paths[i] for paths, shots in slots) for i in range(len(frame))
    ]
    return frame


def _labels_frame(values: Mapping[str, list[Any]]) -> pd.DataFrame:
    def slots(stem: str) -> Iterator[tuple[Any, ...]]:
        return zip(*(values[f"{stem}_{n}"] for n in SLOTS), strict=True)

    frame = pd.DataFrame(
        {
            "gradable": _objects(
                tuple(answer for answer in row if answer) for row in slots("dermatologist_gradable_for_skin_condition")
            ),
            "names": _objects(values["dermatologist_skin_condition_on_label_name"]),
            "confidences": _objects(values["dermatologist_skin_condition_confidence"]),
            "weights": _objects(values["weighted_skin_condition_label"]),
            "efst": _objects(slots("dermatologist_fitzpatrick_skin_type_label")),
        }
    )
    for pool in POOLS:
        frame[f"monk_{pool}"] = pd.array(values[f"monk_skin_tone_label_{pool}"], dtype="Int64")
        frame[f"monk_gradable_{pool}"] = pd.array(values[f"gradable_for_monk_skin_tone_{pool}"], dtype="boolean")
    return frame


def _objects(values: Any) -> pd.Series:
    return pd.Series(list(values), dtype="object")
