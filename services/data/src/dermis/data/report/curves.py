"""Charts of one number against another: reliability, risk by share answered."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dermis.data.report.canvas import ACCENT, INK, LINES, SECOND, square
from dermis.data.report.table import ReportTable
from dermis.data.report.words import words

_EDGE = 0.1
"""So near to the right or the lower edge a count stands on the other side of its point."""
_FEW_EPOCHS = 12
"""Up to which each epoch is marked by a dot."""


def reliability(_table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    figure, axes = square()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    gaps = [
        (frame["estimate"] - frame["low"]).clip(lower=0).fillna(0),
        (frame["high"] - frame["estimate"]).clip(lower=0).fillna(0),
    ]
    axes.errorbar(
        frame["confidence"], frame["estimate"], yerr=gaps, fmt="o-", markersize=4.5, color=ACCENT, elinewidth=1.2
    )
    if "soft" in frame:
        axes.plot(frame["confidence"], frame["soft"], linestyle="none", marker="s", markersize=4, color=SECOND)
    for row in frame.itertuples():
        right, low = row.confidence > 1 - _EDGE, row.estimate < _EDGE
        axes.annotate(
            f"{row.n:,}",
            (row.confidence, row.estimate),
            xytext=(-5 if right else 5, 5 if low else -9),
            ha="right" if right else "left",
            textcoords="offset points",
            fontsize=7,
        )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1),
        xlabel="probability of the first condition (0\N{EN DASH}1)",
        ylabel="share right (0\N{EN DASH}1)",
    )
    texts = [f"{row.confidence:.2f} probable, {row.estimate:.2f} right, n = {row.n:,}" for row in frame.itertuples()]
    return figure, "Reliability: " + "; ".join(texts) + "."


def risk_curves(_table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    figure, axes = square(foot=0.85)
    texts = []
    for (name, rows), (style, colour) in zip(frame.groupby("of", sort=False), (*LINES, ("-.", ACCENT)), strict=False):
        axes.plot(
            rows["answered"],
            rows["risk"],
            color=colour,
            linestyle=style,
            linewidth=1.4,
            label=f"{words(name)}, n = {rows['n'].max():,}",
        )
        if {"low", "high"} <= set(rows.columns) and name == frame["of"].iloc[0]:
            band = rows.dropna(subset=["low", "high"])
            axes.fill_between(band["answered"], band["low"], band["high"], color=colour, alpha=0.15, linewidth=0)
        texts.append(f"{words(name)} {rows['risk'].iloc[-1]:.3f} where all {rows['n'].max():,} are answered")
    axes.set(
        xlim=(0, 1),
        ylim=(0, None),
        xlabel="share answered, most confident first (0\N{EN DASH}1)",
        ylabel="share wrong (0\N{EN DASH}1)",
    )
    figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=8)
    return figure, "Risk by share answered: " + "; ".join(texts) + "."


def share_lines(table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    """Draw lines of two shares, the first one in front of the others; a ROC curve's diagonal is what chance gives."""
    figure, axes = square(foot=0.5)
    names = list(dict.fromkeys(frame["of"]))
    for name in reversed(names):
        rows = frame[frame["of"] == name]
        first = name == names[0]
        axes.plot(
            rows["x"],
            rows["y"],
            color=ACCENT if first else INK,
            linewidth=2 if first else 0.8,
            alpha=1 if first else 0.35,
        )
    if table.diagonal:
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlim=(0, 1.01), ylim=(0, 1.01), xlabel=table.axes[0], ylabel=table.axes[1])
    counts = ", ".join(f"{words(name)} (n = {frame.loc[frame['of'] == name, 'n'].iloc[0]:,})" for name in names)
    return figure, f"{table.axes[1]} by {table.axes[0]}: {counts}."


def epoch_lines(table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    """Draw what each epoch came to; a vertical line begins a further stage."""
    figure, axes = square(foot=0.75)
    texts = []
    for (name, rows), (style, colour) in zip(frame.groupby("of", sort=False), LINES, strict=False):
        drawn = axes.plot(rows["epoch"], rows["value"], color=colour, linestyle=style, markersize=3.5, label=name)
        drawn[0].set_marker("o" if len(rows) < _FEW_EPOCHS else "")
        texts.append(f"{name} {rows['value'].iloc[0]:.3f} first, {rows['value'].iloc[-1]:.3f} last")
    stages = frame.groupby("stage")["epoch"].min()
    for stage, epoch in stages.iloc[1:].items():
        axes.axvline(epoch - 0.5, color=INK, linewidth=0.8, linestyle=":")
        axes.annotate(f"stage {stage}", (epoch - 0.4, 0.97), xycoords=("data", "axes fraction"), va="top", fontsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if table.percent:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    top = 1.02 if table.percent else None
    axes.set(xlabel=table.axes[0], ylabel=table.axes[1], ylim=(0, top))
    figure.legend(loc="lower center", ncols=3, frameon=False, fontsize=8)
    return figure, f"By epoch, of {frame['epoch'].max()}: " + "; ".join(texts) + "."
