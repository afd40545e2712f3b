"""Charts of estimates with their intervals, a row each."""

from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dermis.data.report.canvas import ACCENT, INK, SECOND, WIDTH, labelled_axes
from dermis.data.report.table import ReportTable
from dermis.data.report.words import words

_FEW = 0.4
"""How opaque a row of too few cases is."""


def points(table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    labels = [words(value) for value in frame.iloc[:, 0]]
    figure, axes = labelled_axes(
        [f"{label}, n = {n:,}" for label, n in zip(labels, frame["n"], strict=True)], foot=0.45
    )
    _estimates(axes, frame, n_min=table.n_min)
    if "floor" in frame:
        axes.plot(frame["floor"], range(len(frame)), linestyle="none", marker="|", markersize=11, color=SECOND)
    axes.set_xlim(min(-0.01, frame["low"].min()), max(1.01, frame["high"].max()))
    axes.set_xlabel(table.axes[0] or "estimate with its 95 % interval (share of cases)")
    texts = [
        f"{label} {value:.3f} of {n:,}" for label, value, n in zip(labels, frame["estimate"], frame["n"], strict=True)
    ]
    return figure, "Points with intervals: " + "; ".join(texts) + "."


def panels(table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    """Draw a panel for each `measure`, below each other, on the same rows."""
    measures = list(dict.fromkeys(frame["measure"]))
    rows = list(dict.fromkeys(zip(frame["value"], frame["n"], strict=True)))
    place = {value: row for row, (value, _) in enumerate(rows)}
    labels = [fill(f"{words(value)}, n = {n:,}", 24) for value, n in rows]
    lines = sum(1 + label.count("\n") for label in labels)
    panel, foot = 0.17 * lines + 0.09 * len(labels), 0.6
    height = len(measures) * (panel + foot)
    left = (0.12 + 0.07 * max(len(line) for label in labels for line in label.split("\n"))) / WIDTH
    figure = Figure(figsize=(WIDTH, height))
    texts = []
    for number, measure in enumerate(measures):
        bottom = height - (number + 1) * (panel + foot) + foot - 0.06
        axes = figure.add_axes((left, bottom / height, 0.97 - left, panel / height))
        of = frame[frame["measure"] == measure]
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        _estimates(axes, of, n_min=table.n_min, rows=[place[value] for value in of["value"]])
        axes.set_xlim(-0.01, 1.01)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.set_xlabel(f"{measure} (0\N{EN DASH}1)")
        several = zip(of["value"], of["estimate"], of["n"], strict=True)
        texts.append(f"{measure}: " + ", ".join(f"{words(value)} {x:.3f} of {n:,}" for value, x, n in several))
    return figure, "Points with intervals. " + "; ".join(texts) + "."


def _estimates(axes: Axes, frame: pd.DataFrame, *, n_min: int, rows: list[int] | None = None) -> None:
    """Draw each estimate and its interval; those of fewer than `n_min` cases pale."""
    places = pd.Series(range(len(frame)) if rows is None else rows, index=frame.index)
    gaps = pd.DataFrame({"low": frame["estimate"] - frame["low"], "high": frame["high"] - frame["estimate"]})
    gaps = gaps.clip(lower=0).fillna(0)
    for few, colour in ((False, ACCENT), (True, INK)):
        here = (frame["n"] < n_min) == few
        if here.any():
            axes.errorbar(
                frame.loc[here, "estimate"],
                places[here],
                xerr=gaps[here].to_numpy().T,
                fmt="o",
                markersize=4.5,
                color=colour,
                elinewidth=1.2,
                alpha=_FEW if few else 1,
            )
