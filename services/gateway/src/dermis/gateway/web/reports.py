"""Reports, read for a page.

An evaluation's figures with n and interval beside their floor, the cuts by skin tone first; a data set's tables.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from dermis.shared.evaluation import EvaluationReport, Floors, Interval, Slice
from dermis.shared.evaluation import Figure as Measured

TONES = (
    "monk_bin",
    "monk_skin_tone",
    "fitzpatrick_group",
    "fitzpatrick_estimated_group",
    "fitzpatrick_self",
    "fitzpatrick_estimated",
    "fitzpatrick_skin_type",
)
_ROMAN = ("", "I", "II", "III", "IV", "V", "VI")
_LAST = 99
SHOWN = ("top_1", "top_3", "set_coverage", "balanced_accuracy", "macro_auroc", "expected_calibration_error")
"""The figures of a group, in the order of a table's columns; balanced accuracy is the mean sensitivity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureView:
    """A share, its 95 % interval and floor, None where there is none.

    `perfect` is the range of a perfect model at this n.
    """

    name: str
    value: float
    interval: Interval = None
    floor: float | None = None
    perfect: Interval = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupView:
    """The figures of `n` cases of one value of a cut, by name; `few`: too few to count as measured."""

    value: str
    n: int
    few: bool
    figures: dict[str, FigureView]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """What a page shows of a report; `measured` is the report itself, for what needs no preparing."""

    data: str
    remembered: bool
    """Cases were in the model's training or calibration: the figures tell how well it remembers."""
    n: int | None
    overall: tuple[FigureView, ...]
    floor_meaning: str
    tones: dict[str, tuple[GroupView, ...]]
    others: dict[str, tuple[GroupView, ...]]
    measured: EvaluationReport

    def figure(self, name: str) -> FigureView | None:
        """Return an overall figure, None if the report has none of that name."""
        return next((figure for figure in self.overall if figure.name == name), None)


def read(report: EvaluationReport) -> ReportView:
    """Return what a page shows of a report, whatever of it is there."""
    floors, perfect = report.floors, report.perfect_model_at_this_n
    cuts = {name: tuple(_group(row, floors, report.n_min) for row in rows) for name, rows in report.slices.items()}
    cuts |= {name: tuple(sorted(cuts[name], key=_place)) for name in TONES if name in cuts}
    return ReportView(
        data=report.data,
        remembered=report.seen_in_training is not None,
        n=report.n,
        overall=tuple(
            filter(
                None,
                (
                    _figure(name, _around(report.figure(name)), floor=floors.of(name), perfect=perfect.of(name))
                    for name in dict.fromkeys((*report.metrics, *(name for name in SHOWN if name in report.overall)))
                ),
            )
        ),
        floor_meaning=floors.meaning,
        tones={name: cuts[name] for name in TONES if name in cuts},
        others={name: rows for name, rows in cuts.items() if name not in TONES},
        measured=report,
    )


def _figure(name: str, figure: Measured | None, *, floor: float | None, perfect: Interval = None) -> FigureView | None:
    if figure is None or figure.value is None:
        return None
    return FigureView(name=name, value=figure.value, interval=figure.interval, floor=floor, perfect=perfect)


def overlap(one: FigureView | None, other: FigureView | None) -> bool | None:
    """Return whether two intervals overlap; None if there are not two."""
    if not (one and other and one.interval and other.interval):
        return None
    return one.interval[0] <= other.interval[1] and other.interval[0] <= one.interval[1]


def beside(
    one: tuple[GroupView, ...], other: tuple[GroupView, ...]
) -> list[tuple[str, GroupView | None, GroupView | None]]:
    """Return the groups of two reports side by side, by their value."""
    ours, theirs = ({group.value: group for group in groups} for groups in (one, other))
    return [(value, ours.get(value), theirs.get(value)) for value in {**ours, **theirs}]


def _place(group: GroupView) -> int:
    """Return where a tone's or type's group stands.

    MST_1_3 comes before MST_4_6, FST_I_II before FST_III_IV, what is none last.
    """
    number = re.fullmatch(r"(?:MST|FST)_?(\d+|[IV]+)(?:_\w+)?", group.value)
    if not number:
        return _LAST
    return int(number[1]) if number[1].isdigit() else _ROMAN.index(number[1])


def _group(row: Slice, floors: Floors, n_min: int) -> GroupView:
    figures = {name: _figure(name, _around(row.figures.get(name)), floor=floors.of(name)) for name in SHOWN}
    return GroupView(
        value=row.value,
        n=row.n,
        few=row.n < n_min,
        figures={name: figure for name, figure in figures.items() if figure},
    )


def _around(figure: Measured | None) -> Measured | None:
    """Return a figure without an interval that leaves its value out.

    Resampling adds noise, which a calibration error counts as error.
    """
    outside = (
        figure
        and figure.value is not None
        and figure.interval
        and not figure.interval[0] <= figure.value <= figure.interval[1]
    )
    return figure.model_copy(update={"interval": None}) if figure and outside else figure


def _pair(value: object) -> Interval:
    match value:
        case [int() | float() as low, int() | float() as high] if math.isfinite(low) and math.isfinite(high):
            return float(low), float(high)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class Withheld:
    """Stands where a number would be of a few people."""

    name: str = "withheld"


WITHHELD = Withheld()
Cell = str | int | float | FigureView | Withheld | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTable:
    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numbers: frozenset[int]
    """The columns that hold whole numbers, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    title: str
    facts: dict[str, str]
    sections: tuple[tuple[str, tuple[DataTable, ...]], ...]


def read_data(document: dict[str, Any]) -> DataReport:
    """Return what a page shows of a published data report; KeyError, TypeError or ValueError if it is none."""
    if document["format"] != "dermis.data-report/1":
        raise ValueError(f"format {document['format']!r} is not understood")
    sections = groupby(document["tables"], key=lambda table: str(table["section"]))
    return DataReport(
        title=str(document["title"]),
        facts={str(name): str(text) for name, text in document["facts"].items()},
        sections=tuple((name, tuple(map(_data_table, tables))) for name, tables in sections),
    )


def _data_table(table: dict[str, Any]) -> DataTable:
    columns = tuple(map(str, table["columns"]))
    figure = next((name for name in ("share", "estimate") if {name, "low", "high"} <= set(columns)), None)
    kept = tuple(name for name in columns if name not in ("low", "high"))
    rows = tuple(tuple(_cells(dict(zip(columns, row, strict=True)), kept, figure)) for row in table["rows"])
    numbers = frozenset(place for place in range(len(kept)) if any(isinstance(row[place], int) for row in rows))
    return DataTable(
        name=str(table["name"]),
        title=str(table["title"]),
        note=str(table["note"]),
        columns=kept,
        rows=rows,
        numbers=numbers,
    )


def _cells(row: dict[str, Any], kept: tuple[str, ...], figure: str | None) -> Iterator[Cell]:
    for name in kept:
        value = row[name]
        if isinstance(value, str):
            yield value
        elif name == figure and value is not None:
            yield FigureView(name=name, value=float(value), interval=_pair([row["low"], row["high"]]))
        else:
            yield value if isinstance(value, int | float) else WITHHELD if "share" in kept and row["of"] != 0 else None


_PEOPLES = re.compile(
    r"\b(african|alaska|american|asian|black|eastern|hawaiian|hispanic|indian|islander|latino|native|pacific|spanish|white)\b",
    re.IGNORECASE,
)


def words(value: str) -> str:
    """Return a value of the vocabulary as words: MST_1_3 as "MST 1-3", ONE_DAY as "One day"."""
    if tone := re.fullmatch(r"(MST|FST)_?(\d+|[IV]+)(?:_(\d+|[IV]+))?", value):
        return f"{tone[1]} {tone[2]}" + (f"\N{EN DASH}{tone[3]}" if tone[3] else "")
    if value == "MST_NONE":
        return "No MST"
    if not re.fullmatch(r"[A-Z]+(_[A-Z0-9]+)+|[A-Z]{4,}|[A-Z_]+(,[A-Z_]+)+", value):
        return value
    return _PEOPLES.sub(lambda name: name[0].title(), value.replace("_", " ").replace(",", ", ").capitalize())
