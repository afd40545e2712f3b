"""Tables as inline SVG that takes its colours and fonts from the page around it, so that it reads in light and dark."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, ScalarFormatter

from dermis.data.report.canvas import (
    ACCENT,
    INK,
    LINES,
    MONK_COLOURS,
    SECOND,
    STYLE,
    WIDTH,
    inline_svg,
    labelled_axes,
    percent_ticks,
)
from dermis.data.report.curves import epoch_lines, reliability, risk_curves, share_lines
from dermis.data.report.flow import flow
from dermis.data.report.points import panels, points
from dermis.data.report.scatter import scatter
from dermis.data.report.table import ReportTable
from dermis.data.report.words import words

MOST_BARS = 25
LEAST_DRAWN = 20


def draw(table: ReportTable) -> str:
    """Return the table's chart as an SVG element with an alternative text, or "" if it has none."""
    frame = _drawn(table)
    if table.chart is None or frame.empty:
        return ""
    with mpl.rc_context(STYLE | {"svg.hashsalt": table.name}):
        figure, alternative = _CHARTS[table.chart](table, frame)
        return inline_svg(figure, f"{table.title}. {alternative}")


def _drawn(table: ReportTable) -> pd.DataFrame:
    """Return the rows that can be drawn: those with a share, of a matrix the columns of enough cases."""
    frame = table.frame
    match table.chart:
        case "matrix":
            return frame[frame["of"] >= LEAST_DRAWN] if "share" in frame else frame
        case "sides":
            return frame[(frame["n_a"] > 0) | (frame["n_b"] > 0)].head(MOST_BARS)
        case "histogram":
            return frame if frame["all"].sum() else frame.iloc[:0]
        case "points" | "reliability":
            return frame.dropna(subset="estimate").head(MOST_BARS)
        case "panels":
            return frame.dropna(subset="estimate")
        case "bars":
            return frame.dropna(subset="share").head(MOST_BARS)
        case _:
            return frame


def _bars(table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    labels = [words(value) for value in frame.iloc[:, 0]]
    figure, axes = labelled_axes(labels, foot=0.45)
    monk = "monk" in table.name
    colours = [
        MONK_COLOURS[int(value) - 1] if monk and str(value).isdecimal() else ACCENT for value in frame.iloc[:, 0]
    ]
    axes.barh(
        range(len(frame)), frame["share"], height=0.7, color=colours, edgecolor=INK if monk else "none", linewidth=0.5
    )
    gaps = [(frame["share"] - frame["low"]).clip(lower=0), (frame["high"] - frame["share"]).clip(lower=0)]
    axes.errorbar(
        frame["share"], range(len(frame)), xerr=gaps, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2, capthick=0.9
    )
    several_totals = frame["of"].nunique() > 1
    for row, (high, n, of) in enumerate(zip(frame["high"], frame["n"], frame["of"], strict=True)):
        axes.annotate(
            f"{n:,}/{of:,}" if several_totals else f"{n:,}",
            (high, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.set_xlim(0, min(1.0, frame["high"].max() * 1.02) * (1.22 if several_totals else 1.14))
    percent_ticks(axes)
    axes.set_xlabel("share (%) with its 95 % interval; count")
    texts = [
        f"{label} {share:.1%} of {of:,}" for label, share, of in zip(labels, frame["share"], frame["of"], strict=True)
    ]
    more = f" The first {MOST_BARS} of {len(table.frame)} are drawn." if len(table.frame) > MOST_BARS else ""
    return figure, "Bars: " + "; ".join(texts) + "." + more


def _matrix(_table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    rows, columns = frame.columns[:2]
    value = "share" if "share" in frame else "n"
    names, heads = list(dict.fromkeys(frame[rows])), list(dict.fromkeys(frame[columns]))
    figure, axes = labelled_axes([words(name) for name in names], foot=0.5)
    most = frame[value].max()
    for row in frame.to_dict("records"):
        x, y = heads.index(row[columns]), names.index(row[rows])
        strength = 0.75 * row[value] / most if most else 0.0
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=ACCENT, alpha=strength, linewidth=0))
        text = f"{row[value]:.0%}" if value == "share" else f"{row[value] or ''}"
        axes.text(x, y, text, ha="center", va="center", fontsize=8)
    of = frame.groupby(columns)["of"].first() if value == "share" else {}
    axes.set_xticks(range(len(heads)), [words(head) + (f"\nn = {of[head]:,}" if head in of else "") for head in heads])
    axes.set_xlim(-0.5, len(heads) - 0.5)
    axes.set_xlabel(f"{columns} (rows: {rows}); cells: {'cases' if value == 'n' else 'share (%)'}")
    largest = frame.loc[frame[value].idxmax()]
    peak = f"{largest[value]:.0%}" if value == "share" else f"{largest[value]:,}"
    return (
        figure,
        (
            f"Matrix of {rows} by {columns}; the largest cell is {words(largest[rows])}, "
            f"{words(largest[columns])}: {peak}."
        ),
    )


def _sides(table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    labels = [words(value) for value in frame["value"]]
    figure, axes = labelled_axes(labels, foot=0.65)
    for side, colour, marker, shift in (("a", ACCENT, "o", -0.16), ("b", SECOND, "s", 0.16)):
        share, low, high = (frame[f"{part}_{side}"] for part in ("share", "low", "high"))
        axes.errorbar(
            share,
            [row + shift for row in range(len(frame))],
            xerr=[(share - low).clip(lower=0), (high - share).clip(lower=0)],
            fmt=marker,
            markersize=4.5,
            color=colour,
            elinewidth=1.2,
            label=table.sides[0 if side == "a" else 1],
        )
    axes.set_xlim(left=-0.01)
    percent_ticks(axes)
    axes.set_xlabel("share (%) with its 95 % interval")
    figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=8)
    texts = [
        f"{label} {a:.1%} and {b:.1%}" for label, a, b in zip(labels, frame["share_a"], frame["share_b"], strict=True)
    ]
    return figure, f"Shares in {table.sides[0]} and {table.sides[1]}: " + "; ".join(texts) + "."


def _histogram(table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    figure = Figure(figsize=(WIDTH, 2.6))
    axes = figure.add_axes((0.15, 0.36, 0.82, 0.61))
    edges = [*frame["low"], frame["high"].iloc[-1]]
    groups = [name for name in frame.columns if name not in ("low", "high", "all")]
    axes.stairs(
        frame["all"] / frame["all"].sum(),
        edges,
        fill=True,
        color=INK,
        alpha=0.18,
        label=f"all, n = {frame['all'].sum():,}",
    )
    for group, (style, colour) in zip(groups, LINES, strict=False):
        n = frame[group].sum()
        label = f"{words(group)}, n = {n:,}"
        axes.stairs(frame[group] / max(n, 1), edges, color=colour, linestyle=style, linewidth=1.3, label=label)
    ratios = [edges[1] / edges[0], edges[-1] / edges[-2]] if edges[0] > 0 else [2.0, 1.0]
    if ratios[0] > 1.01 and abs(ratios[0] - ratios[1]) < 1e-6:  # bins of equal ratio
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel=table.title, ylabel="share of images (%)")
    figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=8)
    middle = frame["all"].cumsum().searchsorted(frame["all"].sum() / 2)
    peak = frame["all"].idxmax()
    text = ", ".join(f"{words(group)} {frame[group].sum():,}" for group in groups) or "none with a tone"
    return figure, (
        f"Histogram of {frame['all'].sum():,} images from {edges[0]:.3g} to {edges[-1]:.3g}; the median lies in "
        f"{frame['low'][middle]:.3g} to {frame['high'][middle]:.3g}, the fullest bin is {frame['low'][peak]:.3g} to "
        f"{frame['high'][peak]:.3g}. By tone: {text}."
    )


_CHARTS = {
    "bars": _bars,
    "matrix": _matrix,
    "sides": _sides,
    "histogram": _histogram,
    "points": points,
    "panels": panels,
    "reliability": reliability,
    "curves": risk_curves,
    "share_lines": share_lines,
    "epoch_lines": epoch_lines,
    "flow": flow,
    "scatter": scatter,
}
