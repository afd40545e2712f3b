"""What all charts are drawn on: sizes, colours, axes, and the SVG that takes its colours from the page around it."""

import io
import re
import textwrap
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

WIDTH = 4.4
# Stand-ins that matplotlib accepts, replaced in the SVG by what the page defines.
INK, ACCENT, SECOND = "#010203", "#010204", "#010205"
_ON_PAGE = {INK: "currentColor", ACCENT: "var(--accent)", SECOND: "var(--second)"}
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


STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
}
LINES = (("-", SECOND), ("--", ACCENT), (":", INK))


def inline_svg(figure: Figure, alternative: str) -> str:
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


def labelled_axes(labels: list[str], *, foot: float) -> tuple[Figure, Axes]:
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


def percent_ticks(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0 if axes.get_xlim()[1] > 0.1 else 1))


def square(foot: float = 0.45) -> tuple[Figure, Axes]:
    height = 3.2
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.add_axes((0.16, foot / height, 0.81, 1 - (foot + 0.1) / height))
