"""What of a profile may be shown to whoever can open a page: counts and shares, none of them of a few people."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from dermis.data.report.table import ReportTable

LEAST = 5
"""Counts from 1 to LEAST - 1 are withheld."""
NOTICE = (
    f"Counts from 1 to {LEAST - 1} are withheld, and so is whatever would give them away. Rare labels, conditions as "
    "they were named, the two Monk pools beside each other and who would be lost are left out."
)
_SHARES = ("n", "of", "share", "low", "high")
_WHOLE = ("overview",)
"""Of the data set as a whole, not of people with something in common."""


def publishable(tables: Sequence[ReportTable]) -> list[ReportTable]:
    """Return those tables of a profile that may be shown.

    Small counts and what follows from them are withheld (empty cells).
    """
    return [public for table in tables if (public := _public(table)) is not None]


def _public(table: ReportTable) -> ReportTable | None:
    columns = set(table.frame.columns)
    if table.name in _WHOLE:
        return table
    if table.name == "agreement":
        return replace(table, frame=table.frame[table.frame["n"] >= LEAST].reset_index(drop=True))
    if set(_SHARES) <= columns and table.chart in ("bars", "matrix") and "lost" not in columns:
        names = [name for name in table.frame.columns if name not in _SHARES and name in ("value", "label", "tone")]
        frame = table.frame[[*names, *_SHARES]]
        if "label" in names:  # a rare one may be a free sentence
            frame = frame[frame.groupby("label")["n"].transform("sum") >= LEAST].reset_index(drop=True)
        return replace(table, frame=_withheld(frame))
    return None


def _withheld(frame: pd.DataFrame) -> pd.DataFrame:
    """Empty the cells of small groups: a few who have a value, a few who lack it, a few of whom a share is taken.

    Where the rows add up to one whole and a single one is withheld, the smallest other is as well: else it is what is
    missing to the whole.
    """
    n, of = frame["n"], frame["of"]
    small = _few(n) | _few(of - n)
    if small.sum() == 1 and of.nunique() == 1 and n.sum() == of.iloc[0]:
        others = n[~small & (n > 0)]
        if len(others):
            small.loc[others.idxmin()] = True
    columns = {"n": n.astype("Int64").mask(small | _few(of)), "of": of.astype("Int64").mask(_few(of))}
    return frame.assign(**columns, **{name: frame[name].mask(small | _few(of)) for name in ("share", "low", "high")})


def _few(counts: "pd.Series[int]") -> "pd.Series[bool]":
    return counts.between(1, LEAST - 1)
