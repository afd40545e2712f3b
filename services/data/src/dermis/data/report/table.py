"""What a report is made of: tables and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

Chart = Literal[
    "bars",
    "matrix",
    "sides",
    "histogram",
    "points",
    "panels",
    "reliability",
    "curves",
    "share_lines",
    "epoch_lines",
    "flow",
    "scatter",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A small picture for a report: a JPEG and what stands below it."""

    jpeg: bytes
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTable:
    """One table of a report.

    `chart`: a bar with interval per row, a matrix of the first two columns, two data sets side by side, a histogram
    (columns low, high, then counts per group), points with an interval per row (columns estimate, low, high, and floor
    where there is one), reliability (columns confidence, estimate, low, high), curves (columns of, answered, risk), a
    scatter (columns x, y, value; the page shows no rows), panels of points (columns value, n, measure, estimate, low,
    high), lines of two shares (columns of, n, x, y) or by epoch (columns of, epoch, stage, value), a cohort's flow
    (`flow.flow_table`), or none. `axes`: titles with units of the two axes of lines, of points the lower one;
    `percent`: what they show are shares; `diagonal`: chance is drawn. Rows of fewer than `n_min` cases are grey.
    `pictures` stand in the page only.
    """

    name: str
    section: str
    title: str
    frame: pd.DataFrame
    note: str = ""
    chart: Chart | None = None
    sides: tuple[str, str] = ("A", "B")
    axes: tuple[str, str] = ("", "")
    percent: bool = False
    diagonal: bool = False
    n_min: int = 0
    pictures: Sequence[Picture] = ()
