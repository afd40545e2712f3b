"""Tables as inline SVG that takes its colours and fonts from the page around it, so that it reads in light and dark."""

import io
import re
import textwrap
from collections import Counter
from html import escape
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter, ScalarFormatter

from dermis.data.report.table import ReportTable
from dermis.data.scin.attributes import NO_RESPONSE

WIDTH = 4.4
MOST_BARS = 25
LEAST_DRAWN = 20
# Stand-ins that matplotlib accepts, replaced in the SVG by what the page defines.
_INK, _ACCENT, _SECOND = "#010203", "#010204", "#010205"
_ON_PAGE = {_INK: "currentColor", _ACCENT: "var(--accent)", _SECOND: "var(--second)"}
# Monk skin tone scale, orbs 1-10 (skintone.google).
MONK_COLOURS = (
    "#f6ede4",
    "#f3e7db",
    "#f7ead0",
    "#eadaba",
    "#d7bd96",
    "#a07e56",
    "#825c43",
    "#604134",
    "#3a312a",
    "#292420",
)


_PEOPLES = re.compile(
    r"\b(african|alaska|american|asian|black|eastern|hawaiian|hispanic|indian|islander|latino|native|pacific|spanish|white)\b"
)


def words(value: object) -> str:
    """Return a value of the data as words: MST_1_3 as "MST 1-3", AGE_18_TO_29 as "Age 18 to 29"."""
    text = str(value)
    if tone := re.fullmatch(r"MST_(\d)_(\d+)", text):
        return f"MST {tone[1]}\N{EN DASH}{tone[2]}"
    if types := re.fullmatch(r"FST_([IV]+)_([IV]+)", text):
        return f"FST {types[1]}\N{EN DASH}{types[2]}"
    if re.fullmatch(r"[A-Z]{3}\d+|US", text) or not re.fullmatch(r"[A-Z][A-Z0-9_,]*", text):
        return text
    plain = text.replace("_", " ").replace(",", ", ").replace("MST NONE", "No MST")
    return plain if "MST" in plain else _PEOPLES.sub(lambda name: name[0].title(), plain.capitalize())


def draw(table: ReportTable) -> str:
    """Return the table's chart as an SVG element with an alternative text, or "" if it has none."""
    frame = _drawn(table)
    if table.chart is None or frame.empty:
        return ""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": table.name}):
        figure, alternative = _CHARTS[table.chart](table, frame)
        return _inline(figure, f"{table.title}. {alternative}")


def _drawn(table: ReportTable) -> pd.DataFrame:
    """Return the rows that can be drawn: those with a share, of a matrix the columns of enough cases."""
    frame = table.frame
    if table.chart == "matrix":
        return frame[frame["of"] >= LEAST_DRAWN] if "share" in frame else frame
    if table.chart == "sides":
        return frame[(frame["n_a"] > 0) | (frame["n_b"] > 0)].head(MOST_BARS)
    if table.chart == "scatter":
        return frame
    if table.chart == "histogram":
        return frame if frame["all"].sum() else frame.iloc[:0]
    if table.chart in ("points", "reliability"):
        return frame.dropna(subset="estimate").head(MOST_BARS)
    if table.chart == "curves":
        return frame
    return frame.dropna(subset="share").head(MOST_BARS) if table.chart else frame


_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
}


def _inline(figure: Figure, alternative: str) -> str:
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]+)"[^>]*>',
        rf'<svg viewBox="\1" role="img" aria-label="{escape(alternative)}">',
        svg,
        count=1,
    )
    for stand_in, colour in _ON_PAGE.items():
        svg = svg.replace(stand_in, colour)
    return svg


def _axes(labels: list[str], *, foot: float) -> tuple[Figure, Axes]:
    wrapped = [textwrap.fill(label, 24) for label in labels]
    lines = sum(1 + label.count("\n") for label in wrapped)
    height = 0.17 * lines + 0.09 * len(labels) + foot
    figure = Figure(figsize=(WIDTH, height))
    # Margins by the length of the words: half the time of a layout engine, which draws everything twice.
    widest = max(len(line) for label in wrapped for line in label.split("\n"))
    axes = figure.add_axes(
        (left := (0.12 + 0.07 * widest) / WIDTH, foot / height, 0.97 - left, 1 - (foot + 0.06) / height)
    )
    axes.set_yticks(range(len(labels)), wrapped)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure, axes


def _percent(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0 if axes.get_xlim()[1] > 0.1 else 1))


def _bars(table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    labels = [words(value) for value in frame.iloc[:, 0]]
    figure, axes = _axes(labels, foot=0.45)
    monk = "monk" in table.name
    colours = [
        MONK_COLOURS[int(value) - 1] if monk and str(value).isdecimal() else _ACCENT for value in frame.iloc[:, 0]
    ]
    axes.barh(
        range(len(frame)), frame["share"], height=0.7, color=colours, edgecolor=_INK if monk else "none", linewidth=0.5
    )
    gaps = [(frame["share"] - frame["low"]).clip(lower=0), (frame["high"] - frame["share"]).clip(lower=0)]
    axes.errorbar(
        frame["share"], range(len(frame)), xerr=gaps, fmt="none", ecolor=_INK, elinewidth=0.9, capsize=2, capthick=0.9
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
    _percent(axes)
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
    figure, axes = _axes([words(name) for name in names], foot=0.5)
    most = frame[value].max()
    for row in frame.to_dict("records"):
        x, y = heads.index(row[columns]), names.index(row[rows])
        strength = 0.75 * row[value] / most if most else 0.0
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=_ACCENT, alpha=strength, linewidth=0))
        text = f"{row[value]:.0%}" if value == "share" else f"{row[value] or ''}"
        axes.text(x, y, text, ha="center", va="center", fontsize=8)
    of = frame.groupby(columns)["of"].first() if value == "share" else {}
    axes.set_xticks(range(len(heads)), [words(head) + (f"\nn = {of[head]:,}" if head in of else "") for head in heads])
    axes.set_xlim(-0.5, len(heads) - 0.5)
    axes.set_xlabel(f"{columns} (rows: {rows})" if value == "n" else "")
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
    figure, axes = _axes(labels, foot=0.65)
    for side, colour, marker, shift in (("a", _ACCENT, "o", -0.16), ("b", _SECOND, "s", 0.16)):
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
    _percent(axes)
    axes.set_xlabel("share (%) with its 95 % interval")
    figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=8)
    texts = [
        f"{label} {a:.1%} and {b:.1%}" for label, a, b in zip(labels, frame["share_a"], frame["share_b"], strict=True)
    ]
    return figure, f"Shares in {table.sides[0]} and {table.sides[1]}: " + "; ".join(texts) + "."


_LINES = (("-", _SECOND), ("--", _ACCENT), (":", _INK))


def _histogram(table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    figure = Figure(figsize=(WIDTH, 2.6))
    axes = figure.add_axes((0.15, 0.36, 0.82, 0.61))
    edges = [*frame["low"], frame["high"].iloc[-1]]
    groups = [name for name in frame.columns if name not in ("low", "high", "all")]
    axes.stairs(
        frame["all"] / frame["all"].sum(),
        edges,
        fill=True,
        color=_INK,
        alpha=0.18,
        label=f"all, n = {frame['all'].sum():,}",
    )
    for group, (style, colour) in zip(groups, _LINES, strict=False):
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


def _points(_table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    labels = [words(value) for value in frame.iloc[:, 0]]
    figure, axes = _axes([f"{label}, n = {n:,}" for label, n in zip(labels, frame["n"], strict=True)], foot=0.45)
    rows = range(len(frame))
    gaps = [
        (frame["estimate"] - frame["low"]).clip(lower=0).fillna(0),
        (frame["high"] - frame["estimate"]).clip(lower=0).fillna(0),
    ]
    axes.errorbar(frame["estimate"], rows, xerr=gaps, fmt="o", markersize=4.5, color=_ACCENT, elinewidth=1.2)
    if "floor" in frame:
        axes.plot(frame["floor"], rows, linestyle="none", marker="|", markersize=11, color=_SECOND)
    axes.set_xlim(-0.01, max(1.01, frame["high"].max()))
    axes.set_xlabel("estimate with its 95 % interval (share of cases)")
    texts = [
        f"{label} {value:.3f} of {n:,}" for label, value, n in zip(labels, frame["estimate"], frame["n"], strict=True)
    ]
    return figure, "Points with intervals: " + "; ".join(texts) + "."


def _square(foot: float = 0.45) -> tuple[Figure, Axes]:
    height = 3.2
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.add_axes((0.16, foot / height, 0.81, 1 - (foot + 0.1) / height))


def _reliability(_table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    figure, axes = _square()
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":")
    gaps = [
        (frame["estimate"] - frame["low"]).clip(lower=0).fillna(0),
        (frame["high"] - frame["estimate"]).clip(lower=0).fillna(0),
    ]
    axes.errorbar(
        frame["confidence"], frame["estimate"], yerr=gaps, fmt="o-", markersize=4.5, color=_ACCENT, elinewidth=1.2
    )
    if "soft" in frame:
        axes.plot(frame["confidence"], frame["soft"], linestyle="none", marker="s", markersize=4, color=_SECOND)
    for row in frame.itertuples():
        axes.annotate(
            f"{row.n:,}", (row.confidence, row.estimate), xytext=(5, -9), textcoords="offset points", fontsize=7
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the first condition", ylabel="share right")
    texts = [f"{row.confidence:.2f} said, {row.estimate:.2f} right, n = {row.n:,}" for row in frame.itertuples()]
    return figure, "Reliability: " + "; ".join(texts) + "."


def _curves(_table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    figure, axes = _square(foot=0.85)
    texts = []
    for (name, rows), (style, colour) in zip(frame.groupby("of", sort=False), (*_LINES, ("-.", _ACCENT)), strict=False):
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
    axes.set(xlim=(0, 1), ylim=(0, None), xlabel="share answered, most confident first", ylabel="share wrong")
    figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=8)
    return figure, "Risk by share answered: " + "; ".join(texts) + "."


_NONE = "#8a929b"
_COLOURS = ("#3f7fbf", "#c0661a", "#3a9a5b", "#b5418f", "#8a6d3b", "#7a5cc2", "#1f9e9e", "#c94040")
_MARKERS = "os^DvPX*"
_BIN_COLOURS = {"MST_1_3": MONK_COLOURS[1], "MST_4_6": MONK_COLOURS[5], "MST_7_10": MONK_COLOURS[8]}
MOST_POINTS = 3000


def _scatter(_table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    counts = Counter(frame["value"])
    named = [value for value in dict.fromkeys(frame["value"]) if value not in (NO_RESPONSE, "NO_CLUSTER")]
    ordered = sorted(named, key=lambda value: (-counts[value], value)) if len(named) > len(_MARKERS) else sorted(named)
    drawn = frame if len(frame) <= MOST_POINTS else frame.sample(MOST_POINTS, random_state=0)
    marked = ordered[: len(_MARKERS)]
    groups = [
        (
            "others or none",
            _NONE,
            ".",
            ~drawn["value"].isin(marked),
            sum(counts.values()) - sum(counts[value] for value in marked),
        ),
        *(
            (words(value), _BIN_COLOURS.get(value, colour), marker, drawn["value"] == value, counts[value])
            for value, colour, marker in zip(marked, _COLOURS, _MARKERS, strict=False)
        ),
    ]
    figure = Figure(figsize=(WIDTH, 4.6))
    axes = figure.add_axes((0.02, 0.26, 0.96, 0.72))
    for label, colour, marker, mask, n in groups:
        if n:
            edge = _INK if colour in MONK_COLOURS else "none"
            points = drawn[mask]
            axes.scatter(
                points["x"],
                points["y"],
                s=13,
                c=colour,
                marker=marker,
                edgecolors=edge,
                linewidths=0.3,
                alpha=0.8,
                label=f"{label}, {n:,}",
            )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=7.5)
    text = "; ".join(f"{label} {n:,}" for label, _, _, _, n in groups if n)
    more = f" {MOST_POINTS:,} of them are drawn." if len(drawn) < len(frame) else ""
    return figure, f"A map of {len(frame):,} points: {text}.{more}"


_CHARTS = {
    "bars": _bars,
    "matrix": _matrix,
    "sides": _sides,
    "histogram": _histogram,
    "points": _points,
    "reliability": _reliability,
    "curves": _curves,
    "scatter": _scatter,
}
