"""What a report is made of: tables and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd


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
    scatter (columns x, y, value; the page shows no rows), or none. `pictures` stand in the page only.
    """

    name: str
    section: str
    title: str
    frame: pd.DataFrame
    note: str = ""
    chart: Literal["bars", "matrix", "sides", "histogram", "points", "reliability", "curves", "scatter"] | None = None
    sides: tuple[str, str] = ("A", "B")
    pictures: Sequence[Picture] = ()
